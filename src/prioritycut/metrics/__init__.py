"""The paper's metrics as functions."""

"""PriorityCut."""

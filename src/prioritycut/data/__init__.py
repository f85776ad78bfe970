"""Clips in and out, training pairs, augmentation, and the embedded puppets."""

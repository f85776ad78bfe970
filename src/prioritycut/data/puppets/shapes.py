"""Formulas for shapes and patterns, made with + - * /, square root and rounding alone.

A shape is a number at each point, below 0 inside.
"""

from __future__ import annotations

import numpy as np

from prioritycut.data.puppets.arrays import Field, Numbers


def ellipse(x: Field, y: Field, width: float | Field, height: float) -> Field:
    """Below 0 inside the ellipse with these half axes."""
    return (x / width) ** 2 + (y / height) ** 2 - 1.0


def box(x: Field, y: Field, width: float | Field, height: float, rounding: float) -> Field:
    """Below 0 inside the rounded rectangle with these half sides."""
    over_x = np.maximum(np.abs(x) - (width - rounding), 0.0)
    over_y = np.maximum(np.abs(y) - (height - rounding), 0.0)
    return np.sqrt(over_x * over_x + over_y * over_y + np.float32(1e-8)) - rounding


def ramp(value: Field, start: float, end: float) -> Field:
    """Smoothly from 0 at `start` to 1 at `end`."""
    share = np.clip((value - start) / (end - start), 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def wave(value: Field) -> Field:
    """A smooth wave of period 1 between -1 and 1, made without a sine."""
    share = np.abs(2.0 * (value - np.floor(value)) - 1.0)
    return 1.0 - 2.0 * share * share * (3.0 - 2.0 * share)


def zigzag(value: Field) -> Field:
    """A triangular wave of period 1 between 0 and 1."""
    return np.abs(2.0 * (value - np.floor(value)) - 1.0)


def smooth_noise(noise: Numbers, x: Field, y: Field) -> Field:
    """Smooth irregular values in [-1, 1]; the 12 by 12 grid repeats."""
    col, row = np.floor(x), np.floor(y)
    share_x, share_y = ramp(x - col, 0.0, 1.0), ramp(y - row, 0.0, 1.0)
    left, top = col.astype(np.intp) % 12, row.astype(np.intp) % 12
    right, bottom = (left + 1) % 12, (top + 1) % 12
    above = noise[top, left] * (1.0 - share_x) + noise[top, right] * share_x
    below = noise[bottom, left] * (1.0 - share_x) + noise[bottom, right] * share_x
    return above * (1.0 - share_y) + below * share_y

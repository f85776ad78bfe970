"""Affine maps of the plane: one after another, and back."""

from __future__ import annotations

import numpy as np

from prioritycut.data.puppets.arrays import Affine


def compose(outer: Affine, inner: Affine) -> Affine:
    """The map that applies `inner`, then `outer`."""
    result = np.empty_like(outer)
    result[..., :2] = outer[..., :, :1] * inner[..., :1, :2] + outer[..., :, 1:2] * inner[..., 1:, :2]
    result[..., 2] = outer[..., 0] * inner[..., :1, 2] + outer[..., 1] * inner[..., 1:, 2] + outer[..., 2]
    return result


def invert(affine: Affine) -> Affine:
    """The map back; a map that flattens the plane, whose sheet no frame shows, gets zeros."""
    determinant = affine[..., 0, 0] * affine[..., 1, 1] - affine[..., 0, 1] * affine[..., 1, 0]
    flat = np.abs(determinant) < 1e-9
    scale = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, determinant))
    result = np.empty_like(affine)
    result[..., 0, 0], result[..., 0, 1] = affine[..., 1, 1] * scale, -affine[..., 0, 1] * scale
    result[..., 1, 0], result[..., 1, 1] = -affine[..., 1, 0] * scale, affine[..., 0, 0] * scale
    result[..., 0, 2] = -(result[..., 0, 0] * affine[..., 0, 2] + result[..., 0, 1] * affine[..., 1, 2])
    result[..., 1, 2] = -(result[..., 1, 0] * affine[..., 0, 2] + result[..., 1, 1] * affine[..., 1, 2])
    return result

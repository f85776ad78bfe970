"""Boxes around subjects, in whole pixels of an upright frame."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """Edges in pixels from the frame's left and top; all four may lie outside it."""

    left: int
    top: int
    right: int
    bottom: int

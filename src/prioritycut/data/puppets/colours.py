"""Colours, mixed and shaded as in painting."""

from __future__ import annotations

from typing import TypeAlias

Colour: TypeAlias = tuple[float, float, float]  # RGB in [0, 1]
WHITE: Colour = (1.0, 1.0, 1.0)


def mix(start: Colour, end: Colour, share: float) -> Colour:
    """`start` where share is 0, `end` where it is 1."""
    red, green, blue = (a + (b - a) * share for a, b in zip(start, end, strict=True))
    return red, green, blue


def shade(colour: Colour, amount: float) -> Colour:
    """Lighter (amount above 0) or darker (below); shadows turn towards violet as in painting."""
    if amount >= 0.0:
        return mix(colour, WHITE, amount)
    return mix(colour, (colour[0] * 0.45, colour[1] * 0.28, colour[2] * 0.42), -amount)

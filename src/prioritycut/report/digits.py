"""Numbers to text. An interval has one significant digit, and its mean ends at the same decimal place."""

from __future__ import annotations

import math
from collections.abc import Iterable

MOST_DECIMALS = 6


def first_place(value: float) -> int:
    """Decimal place of the first significant digit, once rounded to it: 0 for 3 and 12, 2 for 0.012, 3 for 0.0096."""
    exponent = int(f"{abs(value):.0e}".partition("e")[2])
    return min(max(0, -exponent), MOST_DECIMALS)


def reading_place(half: float) -> int:
    """Decimals at which an interval's half-width is at least three units: 2 for 0.1, 1 for 0.4, 4 for 0.0005."""
    return min(max(0, math.ceil(math.log10(3 / half))), MOST_DECIMALS)


def decimals_for(intervals: Iterable[float | None], means: Iterable[float | None]) -> int:
    """Decimals of a column: the place of its narrowest interval, so that all its means end alike.

    Args:
        intervals: Half-widths; `None`, nan and 0 say nothing.
        means: Where no interval speaks, the largest of them gets four significant digits.
    """
    places = [first_place(half) for half in intervals if half is not None and math.isfinite(half) and half > 0]
    if places:
        return max(places)
    largest = max((abs(mean) for mean in means if mean is not None), default=0.0)
    return 3 if largest == 0 else min(max(0, 3 - math.floor(math.log10(largest))), MOST_DECIMALS)


def fixed(value: float, decimals: int, *, signed: bool = False) -> str:
    """To so many decimals; nothing is called -0, and a difference carries its sign."""
    text = f"{value:.{decimals}f}"
    if float(text) == 0:
        return text.lstrip("-")
    return f"+{text}" if signed and value > 0 else text


def half_width(half: float | None) -> str | None:
    """An interval's half-width to one significant digit, such as ±0.0009; `None` where there is none."""
    if half is None or not math.isfinite(half):
        return None
    rounded = float(f"{half:.0e}")
    return f"±{rounded:.{first_place(half) if rounded else 0}f}"


def span(low: float | None, high: float | None, decimals: int) -> str | None:
    """The two ends of an interval; `None` where it has none, or they read the same."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return None
    start, end = fixed(low, decimals), fixed(high, decimals)
    return None if start == end else f"[{start}, {end}]"


def count(number: int, noun: str) -> str:
    """1 clip, 2,048 frames."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def share(part: int, whole: int) -> str:
    """A percentage that never calls something nothing, nor nearly all everything."""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1%"
    if 99.9 < percent < 100:
        return ">99.9%"
    return f"{percent:.1f}%"

"""Metric against p as SVG that is part of the page and takes its colours from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from prioritycut.report.curves import Curve, Panel, Point
from prioritycut.report.style import CURVES

WIDTH, HEIGHT = 480, 280
LEFT, RIGHT, TOP, BOTTOM = 54, 12, 30, 46
"""Margins around the plotted area."""

DASHES = ("", "7 3", "2 3", "9 3 2 3")
MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "M-3.6 -3.6H3.6V3.6H-3.6Z",
    "M0 -4.8L4.6 3.4H-4.6Z",
    "M0 -5L5 0L0 5L-5 0Z",
    "M0 4.8L4.6 -3.4H-4.6Z",
)
"""Disc, square, triangle, diamond, triangle upside down; with the colours, no two of forty methods look alike."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Values to places."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def draw_panel(panel: Panel) -> str:
    """A panel as an SVG element."""
    points = [point for curve in panel.curves for point in curve.points]
    ticks = nice_ticks(min(point.low for point in points), max(point.high for point in points))
    y = Scale(ticks[0], ticks[-1], HEIGHT - BOTTOM, TOP)
    shares = sorted({point.p for point in points})
    x = Scale(shares[0], shares[-1], LEFT + 14, WIDTH - RIGHT - 14)
    parts = [_frame(panel, ticks, shares, x, y)]
    parts += [_band(curve, x, y) for curve in panel.curves]
    parts += [_line(curve, x, y) for curve in panel.curves]
    label = f"{panel.title} against p, {len(panel.curves)} methods; the numbers are in the tables"
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'


def draw_key(number: int) -> str:
    """How a method's line looks, for a legend."""
    return (
        '<svg viewBox="0 0 44 14" aria-hidden="true">'
        f'<path class="curve c{number % CURVES}" d="M2 7H42"{_dash(number)}/>'
        f'<path class="marker f{number % CURVES}" transform="translate(22 7)" d="{_marker(number)}"/></svg>'
    )


def nice_ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers that enclose all values."""
    if not high > low:
        low, high = low - max(abs(low) * 0.01, 1e-6), high + max(abs(high) * 0.01, 1e-6)
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _frame(panel: Panel, ticks: Sequence[float], shares: Sequence[int], x: Scale, y: Scale) -> str:
    decimals = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    if any(abs(tick - round(tick, decimals)) > 1e-9 for tick in ticks):  # a step of 2.5 needs a digit more
        decimals += 1
    rows = "".join(
        f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:.{decimals}f}</text>'
        for tick in ticks
    )
    columns = "".join(
        f'<path class="axis" d="M{x(p):.1f} {HEIGHT - BOTTOM}v4"/>'
        f'<text x="{x(p):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{p}</text>'
        for p in shares
    )
    axis = f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    name = panel.title.split()[0] + (f", {panel.unit}" if panel.unit else "")
    names = (
        f'<text x="{middle}" y="{HEIGHT - 5}" text-anchor="middle">p, % of the pixels</text>'
        f'<text x="0" y="13">{escape(name)}</text>'
    )
    return rows + columns + axis + names


def _band(curve: Curve, x: Scale, y: Scale) -> str:
    edge = [(point, point.high) for point in curve.points] + [(point, point.low) for point in reversed(curve.points)]
    path = "L".join(f"{x(point.p):.1f} {y(value):.1f}" for point, value in edge)
    return f'<path class="band f{curve.number % CURVES}" d="M{path}Z"/>'


def _line(curve: Curve, x: Scale, y: Scale) -> str:
    path = "L".join(f"{x(point.p):.1f} {y(point.mean):.1f}" for point in curve.points)
    return f'<path class="curve c{curve.number % CURVES}" d="M{path}"{_dash(curve.number)}/>' + "".join(
        _dot(curve, point, x, y) for point in curve.points
    )


def _dot(curve: Curve, point: Point, x: Scale, y: Scale) -> str:
    label = f"{curve.method}, p {point.p}: {point.mean:.5g} [{point.low:.5g}, {point.high:.5g}]"
    place = f"translate({x(point.p):.1f} {y(point.mean):.1f})"
    return (
        f'<path class="marker f{curve.number % CURVES}" transform="{place}" d="{_marker(curve.number)}">'
        f"<title>{escape(label)}</title></path>"
    )


def _dash(number: int) -> str:
    dash = DASHES[number % len(DASHES)]
    return f' stroke-dasharray="{dash}"' if dash else ""


def _marker(number: int) -> str:
    return MARKERS[number % len(MARKERS)]

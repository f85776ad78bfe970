"""Metric against p: what is plotted of the pixels that a baseline calls most occluded, and of the others."""

from __future__ import annotations

from dataclasses import dataclass

from prioritycut.report.layout import occlusion_curves
from prioritycut.report.merging import Column, Comparison, Row
from prioritycut.results import Summary


@dataclass(frozen=True, slots=True)
class Point:
    """A mean at p percent, and the ends of its interval."""

    p: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One method's points; `number` is its place among all methods, which decides how it is drawn."""

    method: str
    number: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot: all methods, one metric, one side of the mask, one tool."""

    title: str
    unit: str
    tool: str | None
    curves: tuple[Curve, ...]


def panels(comparison: Comparison) -> tuple[Panel, ...]:
    """A panel for each metric, side and tool for which some method has at least two percentages."""
    found = list[Panel]()
    for (metric, side), keys in occlusion_curves(column.key for column in comparison.columns).items():
        tools = dict.fromkeys(column.tool for column in comparison.columns if column.key in keys.values())
        for tool in tools:
            curves = [Curve(row.method, number, _points(row, keys, tool)) for number, row in enumerate(comparison.rows)]
            drawn = tuple(curve for curve in curves if len(curve.points) > 1)
            where = "inside the top p%" if side == "inside" else "outside the top p%"
            if drawn:
                found.append(Panel(f"{metric} {where}", "dB" if metric == "PSNR" else "", tool, drawn))
    return tuple(found)


def _points(row: Row, keys: dict[int, str], tool: str | None) -> tuple[Point, ...]:
    cells = [(p, row.cells.get(Column(key, tool))) for p, key in keys.items()]
    points = [None if cell is None else _point(p, cell.summary) for p, cell in cells]
    return tuple(point for point in points if point is not None)


def _point(p: int, summary: Summary) -> Point | None:
    """With the interval over clips, or over frames where one clip alone was scored."""
    if summary.mean is None:
        return None
    if summary.clip_low is not None and summary.clip_high is not None:
        return Point(p, summary.mean, summary.clip_low, summary.clip_high)
    half = summary.ci95 or 0.0
    return Point(p, summary.mean, summary.mean - half, summary.mean + half)

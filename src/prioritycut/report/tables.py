"""Rows to tables that only have to be drawn: which number is best, which beats the baseline, how it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from prioritycut.report.digits import count, decimals_for, first_place, fixed, half_width, share, span
from prioritycut.report.layout import Heading, Layout, heading
from prioritycut.report.merging import Column, Comparison, Row
from prioritycut.results import Better, Summary

Rank: TypeAlias = Literal["best", "second"]
Against: TypeAlias = Literal["better", "worse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One number as it is written."""

    value: str
    half: str | None = None
    """Half of the interval over frames, such as ±0.0009."""
    ends: str | None = None
    """The interval over clips, such as [0.039, 0.041]."""
    notes: tuple[str, ...] = ()
    rank: Rank | None = None
    against: Against | None = None
    """The baseline."""


@dataclass(frozen=True, slots=True)
class Line:
    """One method."""

    method: str
    detail: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that are judged against each other."""

    title: str | None
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """A column's names."""

    heading: Heading
    tool: str | None
    better: Better


@dataclass(frozen=True, slots=True)
class Table:
    """A table of methods by metrics."""

    name: str
    """Unique within a report, of letters, digits and hyphens."""
    title: str
    caption: str
    heads: tuple[Head, ...]
    blocks: tuple[Block, ...]
    folded: bool = False
    """A page shows only its title until asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What becomes a block: methods and their numbers."""

    title: str | None
    methods: tuple[str, ...]
    details: tuple[str, ...]
    cells: tuple[Mapping[Column, Summary], ...]
    baseline: str | None
    decimals: Mapping[Column, int]
    """Of means."""
    end_decimals: Mapping[Column, int]
    """Of the intervals over clips."""


def measured_group(comparison: Comparison, layout: Layout, baseline: str | None, title: str | None = None) -> Group:
    """Our numbers for one layout; a method that has none of its metrics is left out."""
    rows = [row for row in comparison.rows if any(column.key in layout.keys for column in row.cells)]
    cells = tuple(
        {column: cell.summary for column, cell in row.cells.items() if column.key in layout.keys} for row in rows
    )
    summaries = {column: [row[column] for row in cells if column in row] for row in cells for column in row}
    decimals = {column: _decimals(found) for column, found in summaries.items()}
    return Group(
        title=title,
        methods=tuple(row.method for row in rows),
        details=unless_equal([scored(row) for row in rows]),
        cells=cells,
        baseline=baseline,
        decimals=decimals,
        end_decimals={column: _end_decimals(found, decimals[column]) for column, found in summaries.items()},
    )


def alike_as_one(group: Group) -> Group:
    """Methods whose means all agree as one row, as is due for the areas of masks that methods share."""
    alike = dict[frozenset[tuple[Column, float | None]], list[int]]()
    for place, row in enumerate(group.cells):
        alike.setdefault(frozenset((column, each.mean) for column, each in row.items()), []).append(place)
    names = [", ".join(group.methods[place] for place in places) for places in alike.values()]
    return replace(
        group,
        methods=("all methods",) if len(names) == 1 < len(group.methods) else tuple(names),
        details=("",) * len(names),
        cells=tuple(group.cells[places[0]] for places in alike.values()),
    )


def build_table(name: str, title: str, caption: str, layout: Layout, groups: Sequence[Group]) -> Table:
    """Draw up a table whose columns are those that any of the groups has."""
    columns = ordered_columns((column for group in groups for row in group.cells for column in row), layout.keys)
    better = good_ends((column, row[column]) for group in groups for row in group.cells for column in row)
    blocks = tuple(_block(group, columns, better) for group in groups)
    return Table(name, title, caption, heads(columns, better), blocks)


def ordered_columns(columns: Iterable[Column], keys: Sequence[str]) -> tuple[Column, ...]:
    """By metric group, then by tool, then within the group, so that one heading spans what it names."""
    columns = tuple(dict.fromkeys(columns))
    groups = list(dict.fromkeys(heading(key).group for key in keys))
    tools = [None, *dict.fromkeys(column.tool for column in columns if column.tool)]

    def place(column: Column) -> tuple[int, int, int]:
        return groups.index(heading(column.key).group), tools.index(column.tool), keys.index(column.key)

    return tuple(sorted(columns, key=place))


def good_ends(stated: Iterable[tuple[Column, Summary]]) -> dict[Column, Better]:
    """Which end of each column is the good one, as its results say; `neither` where they contradict each other."""
    ends = dict[Column, Better]()
    for column, summary in stated:
        ends[column] = summary.better if ends.get(column, summary.better) == summary.better else "neither"
    return ends


def heads(columns: Iterable[Column], better: Mapping[Column, Better]) -> tuple[Head, ...]:
    """Names of columns."""
    return tuple(Head(heading(column.key), column.tool, better[column]) for column in columns)


def ranks(values: Sequence[float | None], better: Better) -> list[Rank | None]:
    """Best and second of a column.

    Args:
        values: One a method, `None` where it has none. Equal ones share a rank.
        better: `neither` ranks nobody.

    Returns:
        As long as `values`. Where all are equal nobody is best, and of two methods the other one is not second.
    """
    present = [value for value in values if value is not None]
    if better == "neither" or len(set(present)) < 2:
        return [None] * len(values)
    first, *rest = sorted(set(present), reverse=better == "higher")
    second = rest[0] if rest and len(present) > 2 else None
    return [None if value is None else "best" if value == first else "second" if value == second else None
            for value in values]  # fmt: skip


def against(value: float | None, baseline: float | None, better: Better) -> Against | None:
    """Whether a mean is on the good or the bad side of the baseline's; `None` if neither, or if there is no side."""
    if value is None or baseline is None or value == baseline or better == "neither":
        return None
    return "better" if (value > baseline) == (better == "higher") else "worse"


def scored(row: Row) -> str:
    """How much of the data a method was scored on."""
    return f"{count(len(row.clips), 'clip')}, {count(row.frames, 'frame')}"


def unless_equal(details: Sequence[str]) -> tuple[str, ...]:
    """What is the same for all methods is said once elsewhere, not in every row."""
    return ("",) * len(details) if len(set(details)) == 1 else tuple(details)


def losses(summary: Summary) -> tuple[str, ...]:
    """Frames without a value. What stands on a detector always says how often that failed, even if never."""
    notes = list[str]()
    # A missing keypoint rate has a value, 1, where nothing was found; those frames are among `frames` already.
    looked = summary.frames + (0 if summary.key.startswith("MKR") else summary.failures)
    detector = summary.key.startswith(("AKD", "MKR", "AED"))
    if summary.failures:
        notes.append(f"{share(summary.failures, looked)} failed")
    elif detector and looked:
        notes.append("none failed")
    if summary.skipped:
        notes.append(f"{share(summary.skipped, looked + summary.skipped)} skipped")
    return tuple(notes)


def _decimals(summaries: Sequence[Summary]) -> int:
    return decimals_for((summary.ci95 for summary in summaries), (summary.mean for summary in summaries))


def _end_decimals(summaries: Sequence[Summary], most: int) -> int:
    """The place of the narrowest interval over clips, which is mostly wider than that over frames."""
    ends = [(summary.clip_low, summary.clip_high) for summary in summaries]
    halves = [(high - low) / 2 for low, high in ends if low is not None and high is not None and high > low]
    return min(max(map(first_place, halves), default=most), most)


def _block(group: Group, columns: Sequence[Column], better: Mapping[Column, Better]) -> Block:
    by_column = [_cells(group, column, better[column]) for column in columns]
    lines = (
        Line(method, detail, tuple(cells[number] for cells in by_column))
        for number, (method, detail) in enumerate(zip(group.methods, group.details, strict=True))
    )
    return Block(group.title, tuple(lines))


def _cells(group: Group, column: Column, better: Better) -> list[Cell | None]:
    summaries = [row.get(column) for row in group.cells]
    means = [None if summary is None else summary.mean for summary in summaries]
    reference = means[group.methods.index(group.baseline)] if group.baseline in group.methods else None
    return [
        None if summary is None else _cell(group, column, summary, rank, against(mean, reference, better))
        for summary, mean, rank in zip(summaries, means, ranks(means, better), strict=True)
    ]


def _cell(group: Group, column: Column, summary: Summary, rank: Rank | None, side: Against | None) -> Cell:
    return Cell(
        value="none" if summary.mean is None else fixed(summary.mean, group.decimals[column]),
        half=half_width(summary.ci95),
        ends=span(summary.clip_low, summary.clip_high, group.end_decimals.get(column, 0)),
        notes=losses(summary),
        rank=rank,
        against=side,
    )

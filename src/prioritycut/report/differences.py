"""Is A better than B, or luck? Differences over the clips that both have, with the interval over clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from prioritycut.metrics.intervals import Interval, bootstrap_difference
from prioritycut.report.digits import MOST_DECIMALS, count, first_place, fixed, reading_place, span
from prioritycut.report.layout import Layout
from prioritycut.report.merging import Column, Comparison, Measured, Row
from prioritycut.report.tables import Block, Cell, Line, Table, against, good_ends, heads, ordered_columns, unless_equal
from prioritycut.results import Better, Tally

Verdict: TypeAlias = Literal["beats", "loses", "not told apart", "too few clips"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One method minus the baseline, in one metric, over the clips where both have a value."""

    column: Column
    better: Better
    interval: Interval

    @property
    def verdict(self) -> Verdict:
        """`beats` and `loses` are beyond chance: the 95% interval leaves out 0."""
        if self.interval.observations < 2:
            return "too few clips"
        if not self.interval.beyond_chance:
            return "not told apart"
        side = against(self.interval.mean, 0.0, self.better)
        return "beats" if side == "better" else "loses"


@dataclass(frozen=True, slots=True)
class Contest:
    """One method against the baseline, in every metric that both have and that has a good end."""

    method: str
    baseline: str
    differences: Mapping[Column, Difference]

    def with_verdict(self, verdict: Verdict, columns: Sequence[Column]) -> tuple[Column, ...]:
        """Those of some columns in which it came out so."""
        return tuple(
            column for column in columns if column in self.differences and self.differences[column].verdict == verdict
        )


def contests(comparison: Comparison, baseline: str) -> tuple[Contest, ...]:
    """Every other method against the baseline; none where it is not among them."""
    reference = comparison.row(baseline)
    if reference is None:
        return ()
    return tuple(_contest(row, reference) for row in comparison.rows if row is not reference)


def difference(first: Measured, second: Measured, column: Column) -> Difference | None:
    """First minus second; `None` where they share no clip with values."""
    pairs = [
        (_total(first.clips[name]), _total(second.clips[name]))
        for name in sorted(first.clips.keys() & second.clips.keys())
        if first.clips[name].frames and second.clips[name].frames
    ]
    if not pairs:
        return None
    mine, theirs = zip(*pairs, strict=True)
    (better,) = good_ends((column, each.summary) for each in (first, second)).values()
    return Difference(column, better, bootstrap_difference(_columns(mine), _columns(theirs)))


def difference_table(name: str, layout: Layout, contests: Sequence[Contest]) -> Table | None:
    """Methods minus baseline by metric; `None` where there is nothing to compare."""
    kept = [
        (contest.method, {column: each for column, each in contest.differences.items() if column.key in layout.keys})
        for contest in contests
    ]
    kept = [(method, differences) for method, differences in kept if differences]
    if not kept:
        return None
    columns = ordered_columns((column for _, differences in kept for column in differences), layout.keys)
    decimals = {
        column: _decimals([differences[column].interval for _, differences in kept if column in differences])
        for column in columns
    }
    shared = [_shared(differences.values()) for _, differences in kept]
    details = unless_equal(shared)
    lines = tuple(
        Line(method, detail, tuple(_cell(differences.get(column), decimals[column]) for column in columns))
        for (method, differences), detail in zip(kept, details, strict=True)
    )
    baseline = contests[0].baseline
    over = "the clips that both have" if any(details) else shared[0]
    caption = f"Over {over}, with the 95% bootstrap interval over clips."
    better: dict[Column, Better] = {
        column: each.better for _, differences in kept for column, each in differences.items()
    }
    title = f"{layout.title}, minus {baseline}"
    return Table(
        name, title, caption, heads(columns, better), (Block(None, lines),), folded="by-occlusion" in layout.name
    )


def _contest(row: Row, reference: Row) -> Contest:
    found = [
        difference(measured, reference.cells[column], column)
        for column, measured in row.cells.items()
        if column in reference.cells
    ]
    kept = {each.column: each for each in found if each is not None and each.better != "neither"}
    return Contest(row.method, reference.method, kept)


def _total(tally: Tally) -> tuple[float, int]:
    return tally.frames * (tally.mean or 0.0), tally.frames


def _columns(pairs: Sequence[tuple[float, int]]) -> tuple[list[float], list[int]]:
    return [total for total, _ in pairs], [frames for _, frames in pairs]


def _shared(differences: Iterable[Difference]) -> str:
    numbers = {each.interval.observations for each in differences}
    least, most = min(numbers), max(numbers)
    return count(most, "shared clip") if least == most else f"{least:,} to {most:,} shared clips"


def _decimals(intervals: Sequence[Interval]) -> int:
    """Enough to read the narrowest interval, and that no end that decides a verdict reads as 0."""
    places = [reading_place(each.ci95) for each in intervals if each.ci95 > 0]
    ends = [min(abs(each.low), abs(each.high)) for each in intervals if each.beyond_chance]
    return min(max([*places, *map(first_place, ends)], default=3), MOST_DECIMALS)


def _cell(each: Difference | None, decimals: int) -> Cell | None:
    if each is None:
        return None
    verdict = each.verdict
    return Cell(
        value=fixed(each.interval.mean, decimals, signed=True),
        ends=span(each.interval.low, each.interval.high, decimals),
        notes=(verdict,),
        against="better" if verdict == "beats" else "worse" if verdict == "loses" else None,
    )

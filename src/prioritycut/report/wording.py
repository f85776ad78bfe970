"""The sentences of a report."""

from __future__ import annotations

from collections.abc import Sequence

from prioritycut.report.differences import Contest, Verdict
from prioritycut.report.digits import count
from prioritycut.report.layout import RECONSTRUCTION, metric_name
from prioritycut.report.listings import written
from prioritycut.report.merging import Column, Comparison

MANY = 10
"""Names that a sentence lists before it says how many more there are."""


def legend(with_paper: bool) -> tuple[tuple[str, str], ...]:
    """How to read the tables: term and meaning."""
    terms = [
        ("↓ ↑", "lower or higher is better"),
        ("bold, underlined", "best and second of its block; equal values share it"),
        ("● ○", "better or worse than the baseline by its mean; whether beyond chance, the table of differences says"),
        (
            "±",
            "half of the normal 95% interval over frames, as the paper has it; frames of one clip are alike, so it is "
            "too narrow",
        ),
        ("[low, high]", "95% bootstrap interval over clips; of a difference, with the same clips drawn for both"),
        ("beats, loses", "the difference's interval leaves out 0, as of twenty pairs of equals one does by chance"),
        (
            "failed, skipped",
            "shares of frames without a value: nothing was found in the prediction; the target has nothing to measure",
        ),
    ]
    if with_paper:
        terms.append(("(paper)", "published numbers, which stand on other tools and another copy of the data"))
    return tuple(terms)


def titles(comparisons: Sequence[Comparison]) -> list[str]:
    """The data set of each, and what tells apart those that share it."""
    return [_title(comparison, comparisons) for comparison in comparisons]


def facts(comparison: Comparison, baseline: str) -> str:
    """How much data, at which size, compared with what."""
    clips = len(frozenset[str]().union(*(row.clips for row in comparison.rows)))
    size = comparison.size
    parts = [
        count(len(comparison.rows), "method"),
        count(clips, "clip"),
        count(max(row.frames for row in comparison.rows), "frame"),
        f"{size[0]}x{size[1]} pixels" if size else "frame size not stated",
    ]
    if len(comparison.rows) > 1 and comparison.row(baseline):
        parts.append(f"baseline {baseline}")
    return " · ".join(parts)


def warnings(comparison: Comparison, baseline: str) -> tuple[str, ...]:
    """What makes a comparison less than it seems."""
    found = list[str]()
    if len(comparison.rows) > 1 and comparison.row(baseline) is None:
        found.append(f"The baseline {baseline} was not measured on this data by this protocol, so nothing is compared.")
    for row in comparison.rows:
        if not row.cells:
            found.append(f"{row.method}: nothing was measured.")
    uneven = [column for column in comparison.columns if not _same_clips(comparison, column)]
    if uneven:
        column = uneven[0]
        numbers = ", ".join(f"{row.method} {len(row.cells[column].clips):,}" for row in comparison.rows
                            if column in row.cells)  # fmt: skip
        found.append(
            f"Not all methods were scored on the same clips ({metric_name(column.key)}: {numbers}), so their means are "
            "not of the same data; differences are, because they use shared clips only."
        )
    lost = sum(not problem.scored for row in comparison.rows for problem in row.problems)
    if lost:
        found.append(f"{count(lost, 'clip')} could not be scored: see Problems.")
    return tuple(found)


def finding(contest: Contest) -> tuple[str, str]:
    """A method and how it does against the baseline: in the metrics of the paper's tables, or else in all."""
    columns = tuple(column for column in contest.differences if column.key in RECONSTRUCTION)
    columns = columns or tuple(contest.differences)
    said: dict[Verdict, str] = {
        "beats": f"beats {contest.baseline} on",
        "loses": f"loses to {contest.baseline} on",
        "not told apart": "is not told apart on",
        "too few clips": "shares too few clips for",
    }
    clauses = [
        f"{words} {_listed(_names(found), len(columns))}"
        for verdict, words in said.items()
        if (found := contest.with_verdict(verdict, columns))
    ]
    return contest.method, f"{'; '.join(clauses) or f'shares no metric with {contest.baseline}'}."


def _title(comparison: Comparison, comparisons: Sequence[Comparison]) -> str:
    rivals = [other for other in comparisons if other.dataset == comparison.dataset]
    if len(rivals) == 1:
        return comparison.dataset
    marks = list[str]()
    if len({other.size for other in rivals}) > 1 and comparison.size:
        marks.append(f"{comparison.size[0]}x{comparison.size[1]}")
    mine = comparison.protocol
    marks += [
        f"{key} {written(value)}"
        for key, value in mine.items()
        if any(key in other.protocol and other.protocol[key] != value for other in rivals)
    ]
    return f"{comparison.dataset} ({', '.join(marks)})"


def _same_clips(comparison: Comparison, column: Column) -> bool:
    return len({frozenset(row.cells[column].clips) for row in comparison.rows if column in row.cells}) <= 1


def _names(columns: Sequence[Column]) -> list[str]:
    """Of metrics, with their tool where one metric stands on several."""
    keys = [column.key for column in columns]
    return [metric_name(column.key) + (f" ({column.tool})" if keys.count(column.key) > 1 else "") for column in columns]


def _listed(names: Sequence[str], of: int) -> str:
    if len(names) == of > 1:
        return f"all {of} metrics"
    if len(names) > MANY:
        return f"{', '.join(names[:MANY])} and {len(names) - MANY} more"
    return ", ".join(names)

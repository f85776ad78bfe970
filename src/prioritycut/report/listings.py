"""What stands behind the tables: faults, every number in full, settings, tools, versions, files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prioritycut.report.digits import count
from prioritycut.report.layout import metric_name
from prioritycut.report.merging import Comparison, Source
from prioritycut.results import Setting, Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A plain table of texts, read row by row."""

    name: str
    """Unique within a report, of letters, digits and hyphens."""
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers_from: int | None = None
    """The first of the columns that hold numbers, if any do."""
    folded: bool = False
    """A page shows only its title until asked."""


def problems(name: str, comparison: Comparison) -> Listing | None:
    """Clips that could not be scored, and those that were scored with a reservation."""
    rows = [
        (row.method, problem.clip, problem.fault, "yes" if problem.scored else "no")
        for row in comparison.rows
        for problem in row.problems
    ]
    if not rows:
        return None
    lost = sum(row[3] == "no" for row in rows)
    said = [f"{count(lost, 'clip')} not scored"] if lost else []
    said += [count(len(rows) - lost, "reservation")] if len(rows) > lost else []
    title = f"Problems: {', '.join(said)}"
    return Listing(
        name=name, title=title, header=("method", "clip", "fault", "scored"), rows=tuple(rows), folded=len(rows) > 12
    )


def all_numbers(name: str, comparison: Comparison) -> Listing:
    """Every summary with both intervals and what was counted."""
    rows = tuple(
        (row.method, metric_name(column.key), column.tool or "", *_numbers(cell.summary))
        for row in comparison.rows
        for column, cell in row.cells.items()
    )
    header = (
        *("method", "metric", "tool", "mean", "± frames", "low, clips", "high, clips"),
        *("frames", "clips", "failed", "skipped"),
    )
    return Listing(
        name=name, title="Every number, and what was counted", header=header, rows=rows, numbers_from=3, folded=True
    )


def settings(name: str, title: str, comparison: Comparison) -> Listing:
    """The protocol, and whatever else results say of how they were made."""
    stated = (
        (key, written(value), source) for source in comparison.sources for key, value in _all_settings(source).items()
    )
    return _by_value(name, f"Settings: {title}", "setting", stated)


def tools(name: str, sources: Sequence[Source]) -> Listing | None:
    """Detectors, masks and their versions."""
    listed = dict[tuple[str, ...], list[str]]()
    for source in sources:
        for tool in source.result.tools:
            methods = listed.setdefault((tool.role, tool.name, tool.version, tool.note), [])
            if source.result.method not in methods:
                methods.append(source.result.method)
    if not listed:
        return None
    everyone = len({source.result.method for source in sources})
    rows = tuple((*tool, "all" if len(methods) == everyone else ", ".join(methods)) for tool, methods in listed.items())
    return Listing(name=name, title="Tools", header=("role", "name", "version", "note", "methods"), rows=rows)


def versions(name: str, sources: Iterable[Source]) -> Listing:
    """Which code made the numbers."""
    stated = ((key, value, source) for source in sources for key, value in source.result.versions.items())
    return _by_value(name, "Versions", "what", stated)


def files(name: str, sources: Iterable[Source]) -> Listing:
    """The results that were read."""
    rows = tuple(
        (
            source.name,
            source.result.kind,
            source.result.method,
            source.result.dataset,
            source.result.created,
            f"{len(source.result.clips):,}",
        )
        for source in sources
    )
    header = ("file", "kind", "method", "data set", "created", "clips")
    return Listing(name=name, title="Results", header=header, rows=rows, numbers_from=5)


def written(value: Setting) -> str:
    """A setting for people."""
    return {True: "yes", False: "no", None: "none"}[value] if value is None or isinstance(value, bool) else str(value)


def _all_settings(source: Source) -> dict[str, Setting]:
    size = source.result.size
    frame = {"frame size": f"{size[0]}x{size[1]}"} if size else dict[str, Setting]()
    return {**frame, **source.result.settings}


def _by_value(name: str, title: str, what: str, stated: Iterable[tuple[str, str, Source]]) -> Listing:
    """A row for each value; who states it is said only where not all agree."""
    owners = dict[str, dict[str, list[str]]]()
    everyone = dict[str, None]()
    for key, value, source in stated:
        everyone[source.name] = None
        owners.setdefault(key, {}).setdefault(value, []).append(source.name)
    rows = tuple(
        (key, value, "all" if len(names) == len(everyone) else ", ".join(names))
        for key, values in owners.items()
        for value, names in values.items()
    )
    return Listing(name=name, title=title, header=(what, "value", "stated by"), rows=rows)


def _numbers(summary: Summary) -> tuple[str, ...]:
    values = (summary.mean, summary.ci95, summary.clip_low, summary.clip_high)
    counts = (summary.frames, summary.clips, summary.failures, summary.skipped)
    return (*("" if value is None else f"{value:.6g}" for value in values), *(f"{number:,}" for number in counts))

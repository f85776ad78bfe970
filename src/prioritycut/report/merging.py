"""Results to rows: what may stand in one table, and several results of one method as one row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prioritycut.errors import UserError
from prioritycut.results import Problem, Result, Setting, Summary, Tally

HARMLESS = frozenset({"batch_size", "top_percentages"})
"""Settings in which results of one table may differ: how fast it was computed, and how many columns there are."""


@dataclass(frozen=True, slots=True)
class Source:
    """A result and the name of its file, for people."""

    name: str
    result: Result


@dataclass(frozen=True, slots=True)
class Column:
    """Numbers that may be compared: of one metric, standing on one tool (`None` for metrics that need none)."""

    key: str
    tool: str | None


@dataclass(frozen=True, slots=True)
class Measured:
    """One method's numbers in one column."""

    summary: Summary
    clips: Mapping[str, Tally]
    """By clip name."""
    source: str
    """The file that says so."""


@dataclass(frozen=True, slots=True)
class Row:
    """One method."""

    method: str
    sources: tuple[Source, ...]
    cells: Mapping[Column, Measured]

    @property
    def clips(self) -> frozenset[str]:
        """Names of the clips that were scored."""
        return frozenset(name for source in self.sources for name in clip_names(source.result))

    @property
    def frames(self) -> int:
        """Frames of those clips, each counted once."""
        frames = dict[str, int]()
        for source in self.sources:
            for name, clip in zip(clip_names(source.result), source.result.clips, strict=True):
                frames[name] = max(frames.get(name, 0), clip.frames)
        return sum(frames.values())

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Faults of its clips, each once though several results tell it."""
        return tuple(dict.fromkeys(problem for source in self.sources for problem in source.result.problems))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Methods that were measured on one data set by one protocol, so that they may share tables."""

    dataset: str
    rows: tuple[Row, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        return tuple(source for row in self.rows for source in row.sources)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the frames, where a result says it."""
        return next((source.result.size for source in self.sources if source.result.size), None)

    @property
    def protocol(self) -> dict[str, Setting]:
        """The settings that all of its results that have them agree on, and must."""
        return {key: value for source in self.sources for key, value in protocol(source.result).items()}

    @property
    def columns(self) -> tuple[Column, ...]:
        """Everything that was measured or failed to be, in the order of the results."""
        return tuple(dict.fromkeys(column for row in self.rows for column in row.cells))

    def row(self, method: str) -> Row | None:
        return next((row for row in self.rows if row.method == method), None)


def protocol(result: Result) -> dict[str, Setting]:
    """Settings that change what a number means: results that differ in one never share a table. `None` says nothing."""
    return {key: value for key, value in result.settings.items() if value is not None and key not in HARMLESS}


def clip_names(result: Result) -> list[str]:
    """What a result's clips are matched by: names up to the first dot, as the public evaluation code has it (SPEC 8.1),
    so that a.mp4 meets a.gif and the records of a; whole names where the short ones are not unique."""
    whole = [clip.name for clip in result.clips]
    short = [name.partition(".")[0] for name in whole]
    return short if len(set(short)) == len(short) else whole


def name_sources(results: Sequence[Path | Result], load: Callable[[Path], Result]) -> tuple[Source, ...]:
    """Read what is not read yet. Files are called by the shortest end of their paths that tells them apart."""
    paths = [item.absolute() for item in results if isinstance(item, Path)]
    length = 1
    while len({path.parts[-length:] for path in paths}) < len(set(paths)):
        length += 1
    return tuple(
        Source("/".join(item.absolute().parts[-length:]), load(item))
        if isinstance(item, Path)
        else Source(f"result {number}", item)
        for number, item in enumerate(results, 1)
    )


def gather(sources: Iterable[Source]) -> tuple[Comparison, ...]:
    """Put together what may be compared, in the order of the results.

    Two results share a table if they have the same data set, frame size and settings; a size or setting that only one
    of them states (records of keypoints know of no SSIM window) keeps nobody apart. Results of one method that share a
    table become one row.

    Raises:
        UserError: Two results give one method, metric and tool different numbers.
    """
    groups = list[list[Source]]()
    for source in sources:
        fitting = [group for group in groups if all(_comparable(source.result, other.result) for other in group)]
        method = source.result.method
        home = [group for group in fitting if any(other.result.method == method for other in group)] or fitting
        if home:
            home[0].append(source)
        else:
            groups.append([source])
    return tuple(Comparison(group[0].result.dataset, _rows(group)) for group in groups)


def _comparable(one: Result, other: Result) -> bool:
    mine, theirs = protocol(one), protocol(other)
    return (
        one.dataset == other.dataset
        and (one.size is None or other.size is None or one.size == other.size)
        and all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys())
    )


def _rows(group: Sequence[Source]) -> tuple[Row, ...]:
    methods = dict.fromkeys(source.result.method for source in group)
    return tuple(_row(method, [source for source in group if source.result.method == method]) for method in methods)


def _row(method: str, sources: Sequence[Source]) -> Row:
    cells = dict[Column, Measured]()
    for source in sources:
        for summary in source.result.summaries:
            column = Column(summary.key, summary.tool)
            measured = Measured(summary, _clips_with(summary.key, source.result), source.name)
            known = cells.setdefault(column, measured)
            if known.summary != summary:
                raise UserError(
                    f"{source.name}: has another {summary.key} of {method!r} than {known.source}, with the same tool "
                    "and protocol; give one of them another method name, or leave one out"
                )
    return Row(method, tuple(sources), cells)


def _clips_with(key: str, result: Result) -> dict[str, Tally]:
    named = zip(clip_names(result), result.clips, strict=True)
    return {name: clip.metrics[key] for name, clip in named if key in clip.metrics}

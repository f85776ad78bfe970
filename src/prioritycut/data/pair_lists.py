"""Pairs of clips to animate: the picture from one, the motion from another (SPEC 7.1)."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prioritycut.data.layout import CLIP_SUFFIXES
from prioritycut.errors import UserError

PAIRS_COUNT = 50
"""Pairs of a published list, and pairs that are drawn where there is no list."""


@dataclass(frozen=True, slots=True)
class ClipPair:
    """What is animated by what.

    Attributes:
        source: Name of the clip whose frame `frame` is the picture.
        driving: Name of the clip that tells the motion.
        frame: From 0.
    """

    source: str
    driving: str
    frame: int = 0


@dataclass(frozen=True, slots=True)
class RowFault:
    """Why a row gives no pair.

    Attributes:
        line: Where in the file; 1 is the header.
        fault: What is wrong with it, in a few words.
    """

    line: int
    fault: str


@dataclass(frozen=True, slots=True)
class PairList:
    """What a list says of a data set.

    Attributes:
        pairs: In the list's order, by the names that the data set has.
        missing: Rows that name a clip that is not there.
        malformed: Rows that cannot be understood.
    """

    pairs: tuple[ClipPair, ...]
    missing: tuple[RowFault, ...] = ()
    malformed: tuple[RowFault, ...] = ()


def read_pairs(path: Path, names: Sequence[str]) -> PairList:
    """The pairs of a list whose clips are both there.

    The published lists (`distance,source,driving,frame`) name mp4 files. A clip that is kept otherwise, such as a
    folder of frames, is found by its name without suffix; of several, the first.

    Args:
        path: A CSV file with at least the columns `source` and `driving`. `frame` is the source's frame that is
            animated, 0 where there is no such column; `distance` is not used.
        names: The clips of the data set.

    Raises:
        UserError: The file cannot be read, or lacks one of the two columns.
    """
    known = dict[str, str]()
    for name in names:
        known.setdefault(clip_stem(name), name)
    known |= {name: name for name in names}
    pairs, missing, malformed = list[ClipPair](), list[RowFault](), list[RowFault]()
    for line, columns, cells in _rows(path):
        try:
            wanted = _pair(columns, cells)
        except ValueError as error:
            malformed.append(RowFault(line, str(error)))
            continue
        source, driving = (known.get(name) or known.get(clip_stem(name)) for name in (wanted.source, wanted.driving))
        if source is None or driving is None:
            absent = wanted.source if source is None else wanted.driving
            missing.append(RowFault(line, f"there is no clip {absent}"))
        else:
            pairs.append(ClipPair(source, driving, wanted.frame))
    return PairList(tuple(pairs), tuple(missing), tuple(malformed))


def random_pairs(names: Sequence[str], count: int = PAIRS_COUNT, *, seed: int = 0) -> PairList:
    """Pairs for a data set without a list, by the published rule.

    Of the first m = min(count, n) clips, all m * m ordered pairs are numbered, driving clip first: pair k is driven by
    clip k // m and shows clip k % m. `count` of them, or all if there are fewer, are drawn without replacement by
    numpy's `RandomState(seed).choice`. A clip may meet itself.

    Args:
        names: The clips of the data set, in order.
        count: How many pairs.
        seed: Of the draw.
    """
    first = min(count, len(names))
    drawn = np.random.RandomState(seed).choice(first**2, min(count, first**2), replace=False) if first else []
    return PairList(tuple(ClipPair(names[k % first], names[k // first]) for k in map(int, drawn)))


def clip_stem(name: str) -> str:
    """A clip's name without the suffix of a media file, whose case does not matter."""
    stem, dot, suffix = name.rpartition(".")
    return stem if stem and (dot + suffix).lower() in CLIP_SUFFIXES else name


def _rows(path: Path) -> Iterator[tuple[int, list[str], list[str]]]:
    """The rows that are not empty: their line, the columns' names, the cells."""
    try:
        # Bytes that are no text spoil their own row alone.
        with path.open(encoding="utf-8-sig", errors="backslashreplace") as file:
            columns = _cells(file.readline())
            if absent := [column for column in ("source", "driving") if column not in columns]:
                raise UserError(
                    f"{path}: no column {' and no column '.join(absent)} in its first line; a list of pairs begins "
                    "with the line distance,source,driving,frame"
                )
            for line, text in enumerate(file, start=2):
                if text.strip(", \t\n"):
                    yield line, columns, _cells(text)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name a CSV file of pairs") from error


def _cells(text: str) -> list[str]:
    """One line's, by itself, so that a stray quote does not swallow the lines after it."""
    try:
        return [cell.strip() for cell in next(csv.reader([text]), [])]
    except csv.Error:
        return []


def _pair(columns: list[str], cells: list[str]) -> ClipPair:
    """Raises ValueError in the words of `RowFault`."""
    if len(cells) != len(columns):
        raise ValueError(f"{len(cells)} instead of {len(columns)} cells")
    row = dict(zip(columns, cells, strict=True))
    if not row["source"] or not row["driving"]:
        raise ValueError(f"no {'driving clip' if row['source'] else 'source'} is named")
    frame = row.get("frame", "0")
    if not frame.isdecimal():
        raise ValueError(f"the frame is no whole number from 0: {frame!r}")
    return ClipPair(row["source"], row["driving"], int(frame))

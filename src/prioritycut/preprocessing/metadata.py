"""Published lists of clips: which frames of which videos, and where in them (SPEC 7.2, 7.3)."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

from prioritycut.data.pair_lists import RowFault
from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.jobs import ClipRequest
from prioritycut.preprocessing.records import Partition

ListKind: TypeAlias = Literal["voxceleb", "taichi"]

Row: TypeAlias = Mapping[str, str]
"""Cells by the names of their columns."""

COLUMNS = ("video_id", "start", "end", "bbox", "fps", "width", "height", "partition")
PERSON = "person_id"
"""A column of VoxCeleb's lists alone."""

_LONGEST_ID = 80
"""Characters; a clip's name holds two of them and the frames, and a file's name may have 255 bytes."""


@dataclass(frozen=True, slots=True)
class ListedClips:
    """What a list asks for.

    Attributes:
        videos: Each video's id and its clips, both in the list's order; every clip's name is there once.
        rows: Rows that name a clip, by part, repeated ones included.
        malformed: Rows that cannot be understood.
        repeated: Rows that say again what an earlier one said.
    """

    videos: tuple[tuple[str, tuple[ClipRequest, ...]], ...]
    rows: Mapping[Partition, int]
    malformed: tuple[RowFault, ...] = ()
    repeated: tuple[RowFault, ...] = ()

    @property
    def clips(self) -> Mapping[Partition, int]:
        """How many clips there are to make, by part."""
        return Counter(request.partition for _, requests in self.videos for request in requests)


def read_list(path: Path, kind: ListKind) -> ListedClips:
    """Read a list, row by row: one that is malformed takes no other with it.

    The published VoxCeleb list names 296 clips two or three times. They count once, and one that is named for both
    parts belongs to the test part, so that nobody trains on what is tested.

    Args:
        path: A CSV file with a line of column names; their order is free, and further columns are ignored.
        kind: VoxCeleb's lists name a person, and clips are person#video#start6#end6; elsewhere video#start6#end6.

    Raises:
        UserError: The file cannot be read, lacks a column, or has no row that can be used.
    """
    gathered = _Gathered()
    for line, cells, columns in _rows(path, (*COLUMNS, PERSON) if kind == "voxceleb" else COLUMNS):
        try:
            if len(cells) != len(columns):
                raise ValueError(f"{_fields(len(cells))} instead of {len(columns)}")
            row = dict(zip(columns, cells, strict=True))
            gathered.add(row["video_id"], _request(row, kind, line))
        except ValueError as error:
            gathered.malformed.append(RowFault(line, str(error)))
    if not gathered.requests:
        faults = gathered.malformed
        found = f"{len(faults)} malformed (line {faults[0].line}: {faults[0].fault})" if faults else "none at all"
        raise UserError(f"{path}: 0 clips, expected one in each row; its rows are {found}; check that it is the list")
    return gathered.listed()


def row_faults(path: Path, listed: ListedClips, most: int = 3) -> Iterable[str]:
    """What to say of the rows that ask for nothing, a line for each sort of them."""
    for faults, what in ((listed.malformed, "malformed and left out"), (listed.repeated, "named again and made once")):
        if faults:
            first = ", ".join(f"line {fault.line}: {fault.fault}" for fault in faults[:most])
            more = ", ..." if len(faults) > most else ""
            rows = "1 row is" if len(faults) == 1 else f"{len(faults):,} rows are"
            yield f"{path}: {rows} {what} ({first}{more})"


@dataclass(slots=True)
class _Gathered:
    """What the rows so far come to."""

    requests: dict[str, ClipRequest] = field(default_factory=dict[str, ClipRequest])
    clips_of: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    rows: Counter[Partition] = field(default_factory=Counter[Partition])
    malformed: list[RowFault] = field(default_factory=list[RowFault])
    repeated: list[RowFault] = field(default_factory=list[RowFault])

    def add(self, video: str, request: ClipRequest) -> None:
        """Raises ValueError where the clip's name was given to something else."""
        former = self.requests.get(request.clip)
        if former is None:
            self.requests[request.clip] = request
            self.clips_of.setdefault(video, []).append(request.clip)
        elif replace(request, line=former.line, partition=former.partition) != former:
            raise ValueError(f"other numbers for the clip of line {former.line}")
        elif request.partition == former.partition:
            self.repeated.append(RowFault(request.line, f"the clip of line {former.line}"))
        else:
            self.requests[request.clip] = replace(former, partition="test")
            fault = f"the clip of line {former.line} for {request.partition}; it goes to test"
            self.repeated.append(RowFault(request.line, fault))
        self.rows[request.partition] += 1

    def listed(self) -> ListedClips:
        videos = ((video, tuple(self.requests[clip] for clip in clips)) for video, clips in self.clips_of.items())
        return ListedClips(tuple(videos), self.rows, tuple(self.malformed), tuple(self.repeated))


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, list[str], list[str]]]:
    """Of each row that is not empty its line, its cells, and the names of the columns."""
    try:
        # Bytes that are no text spoil their own row alone.
        with path.open(encoding="utf-8-sig", errors="backslashreplace") as file:
            lines = enumerate(file, start=1)
            columns = _columns(path, next(lines, (1, ""))[1], wanted)
            for line, text in lines:
                if text.strip():
                    yield line, _cells(text), columns
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); check the path") from error


def _cells(text: str) -> list[str]:
    """One line's; by itself, so that a stray quote does not swallow the lines after it."""
    try:
        return [cell.strip() for cell in next(csv.reader([text]))]
    except csv.Error:
        return []


def _columns(path: Path, header: str, wanted: Sequence[str]) -> list[str]:
    columns = _cells(header)
    if missing := [column for column in wanted if column not in columns]:
        raise UserError(
            f"{path}: no column {', '.join(missing)} (it has {', '.join(filter(None, columns)) or 'none'}); "
            "name a published list, or give it these columns"
        )
    if twice := [column for column, count in Counter(columns).items() if count > 1 and column in wanted]:
        raise UserError(f"{path}: column {', '.join(twice)} is there twice; remove one")
    return columns


def _request(row: Row, kind: ListKind, line: int) -> ClipRequest:
    """Raises ValueError with what is wrong with the row."""
    ids = [_id(row, column) for column in ((PERSON, "video_id") if kind == "voxceleb" else ("video_id",))]
    start, end = _whole(row, "start"), _whole(row, "end")
    if start >= end:
        raise ValueError(f"start {start} is not below end {end}")
    width, height = _whole(row, "width"), _whole(row, "height")
    if not width or not height:
        raise ValueError(f"the frame of {width}x{height} has no pixel")
    return ClipRequest(
        clip="#".join([*ids, f"{start:06d}", f"{end:06d}"]),
        partition=_partition(row),
        start=start,
        end=end,
        box=_box(row),
        rate=_rate(row),
        width=width,
        height=height,
        line=line,
    )


def _id(row: Row, column: str) -> str:
    """Part of a file's name: `#` ends it, and a dot would end a clip's name in a shard."""
    text = row[column]
    if not re.fullmatch(r"[\w-]+", text, re.ASCII):
        raise ValueError(f"{column} {_shown(text)} has other characters than letters, digits, - and _")
    if len(text) > _LONGEST_ID:
        raise ValueError(f"{column} has {len(text)} characters, at most {_LONGEST_ID} are allowed")
    return text


def _whole(row: Row, column: str) -> int:
    text = row[column]
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"{column} {_shown(text)} is no whole number from 0 to 999999999")
    return int(text)


def _box(row: Row) -> Box:
    text = row["bbox"]
    found = re.fullmatch("-".join([r"(-?[0-9]{1,9})"] * 4), text)
    if found is None:
        raise ValueError(f"bbox {_shown(text)} is not left-top-right-bottom in whole pixels")
    box = Box(*map(int, found.groups()))
    if box.left >= box.right or box.top >= box.bottom:
        raise ValueError(f"bbox {text} holds no pixel")
    return box


def _rate(row: Row) -> str:
    text = row["fps"]
    if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,9})?", text) or Fraction(text) == 0:
        raise ValueError(f"fps {_shown(text)} is no number above 0")
    return text


def _partition(row: Row) -> Partition:
    text = row["partition"]
    if text == "train" or text == "test":
        return text
    raise ValueError(f"partition {_shown(text)} is neither train nor test")


def _shown(text: str) -> str:
    """A cell for a message: what is long or unprintable is made short and visible."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count} fields"

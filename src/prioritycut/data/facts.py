"""What is known of a clip without reading it again: one line of JSON each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal, TypeAlias

from pydantic import TypeAdapter, ValidationError

from prioritycut.data.video import FrameLayout

ClipKind: TypeAlias = Literal["video", "animation", "strip", "folder"]
"""A video file, an animated picture, one picture of frames side by side, a folder of pictures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFacts:
    """What an index says of one clip.

    Attributes:
        name: File name within the data set.
        kind: How its frames are kept; `None` where that could not be found out.
        bytes: Of its file, or of all pictures of its folder.
        modified: When its file, or the folder itself, was last changed: nanoseconds since 1970.
        hash: Of the content (BLAKE2b, 128 bits, in hexadecimal; a folder's pictures one after another by name).
        frames: How many a reader gives, exactly; 0 where it cannot be read.
        width: Columns of each frame, upright.
        height: Rows of each frame, upright.
        rate: Frames per second, such as "30000/1001"; the average where it varies.
        layout: Of a video: how its frames become upright pictures.
        times: Of a video: when each frame is shown, in units of its time base, as runs (`from_runs`). Empty where the
            file's times are no guide.
        keyframes: Of a video: the frames at which decoding can begin, as runs. Empty where it must begin at the start.
        members: Of a folder: the pictures' names in order, joined by "/".
        fault: Why it cannot be read, in one line; `None` where it can.
    """

    name: str
    kind: ClipKind | None = None
    bytes: int = 0
    modified: int = 0
    hash: str = ""
    frames: int = 0
    width: int = 0
    height: int = 0
    rate: str = ""
    layout: FrameLayout | None = None
    times: tuple[int, ...] = ()
    keyframes: tuple[int, ...] = ()
    members: str = ""
    fault: str | None = None

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second."""
        return Fraction(self.rate)


def to_runs(numbers: Sequence[int]) -> tuple[int, ...]:
    """Code numbers as the first one, then steps and how often each comes: 0, 2, 4, 6, 9 is (0, 2, 3, 3, 1)."""
    if not numbers:
        return ()
    runs = [numbers[0]]
    for before, number in pairwise(numbers):
        if len(runs) > 1 and runs[-2] == number - before:
            runs[-1] += 1
        else:
            runs += [number - before, 1]
    return tuple(runs)


def from_runs(runs: Sequence[int]) -> list[int]:
    """The numbers that `to_runs` coded."""
    numbers = list(runs[:1])
    for step, count in zip(runs[1::2], runs[2::2], strict=True):
        last = numbers[-1]
        numbers += [last + step * times for times in range(1, count + 1)]
    return numbers


_ADAPTER = TypeAdapter(ClipFacts)


def facts_to_json(facts: ClipFacts) -> bytes:
    """One line without its end; what equals its default is left out."""
    return _ADAPTER.dump_json(facts, exclude_defaults=True)


def facts_from_json(line: bytes | str) -> ClipFacts | None:
    """The facts of a line; `None` where it holds none, such as one that was torn while it was written."""
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError:
        return None

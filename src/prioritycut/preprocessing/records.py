"""What became of each clip: one record, one line of the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from prioritycut.preprocessing.boxes import Box

Partition: TypeAlias = Literal["train", "test"]

PARTITIONS: tuple[Partition, ...] = ("train", "test")

Outcome: TypeAlias = Literal[
    "made",
    "private",
    "removed",
    "blocked",
    "network",
    "too small",
    "left the frame",
    "lost subject",
    "corrupt",
]
"""What became of a clip. `blocked`: the site refuses this machine, account or country for now."""

PASSING: frozenset[Outcome] = frozenset({"blocked", "network"})
"""Outcomes that another try may mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRecord:
    """One clip's fate.

    Attributes:
        clip: Its name without suffix, unique in its part of the data set.
        video: What it was cut from: a video's id, or its path below the folder that was given.
        partition: Where it belongs.
        outcome: What became of it.
        reason: Why, in the words of the tool that said so, on one line; empty where it was made.
        file: Where it lies below the output folder, a packed one as PARTITION/SHARD.tar#NAME.mp4; `None` unless it was
            made.
        start, end: Frames of the video, `end` not included; `None` where it was never read.
        box: What was cut out, in pixels of the upright video; `None` where it was never known.
        video_width, video_height: Of the video, upright.
        frames: Length of what was made.
        rate: Frames per second of what was made, as a fraction such as "30000/1001".
        size: Height and width of what was made, in pixels.
        bytes: Of all its files.
        hash: Of their content (BLAKE2b, 128 bits, in hexadecimal; a folder's files one after another by name).
        settings: Digest of the settings that it was made with, as `preprocess.json` states it.
        attempt: Which try at its video this is of, from 1 on; each replaces all records of the tries before it.
        seconds: What the video's clips took together, download included. A time, so no two runs agree on it.
        finished: When, in UTC (ISO 8601). A time likewise.
    """

    clip: str
    video: str
    partition: Partition
    outcome: Outcome
    reason: str = ""
    file: str | None = None
    start: int | None = None
    end: int | None = None
    box: Box | None = None
    video_width: int | None = None
    video_height: int | None = None
    frames: int = 0
    rate: str | None = None
    size: int | None = None
    bytes: int = 0
    hash: str | None = None
    settings: str = ""
    attempt: int = 1
    seconds: float = 0.0
    finished: str = ""


TIMES = ("seconds", "finished")
"""Fields that differ between two runs of the same work."""

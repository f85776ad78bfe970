"""The work, a video at a time: all that a worker on any machine needs to know.

A job is plain data, so that it can be sent to another process or machine. `work.do` does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.records import Partition
from prioritycut.preprocessing.settings import ClipSettings

Subject: TypeAlias = Literal["face", "person", "whole"]

Camera: TypeAlias = Literal["main", "aux1"]
"""Of the two that watch the robot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRequest:
    """One row of a published list (SPEC 7.2, 7.3).

    Attributes:
        clip: The clip's name without suffix: person#video#start6#end6, or video#start6#end6.
        partition: train or test.
        start, end: First frame and the one after the last, counted at `rate`.
        box: What to cut out, in pixels of a frame of `width` by `height`.
        rate: Frames per second that `start` and `end` count in, as the list has it, such as "29.97".
        width, height: Of the frame that `box` is measured in.
        line: Where in the list, for messages; 1 is the header.
    """

    clip: str
    partition: Partition
    start: int
    end: int
    box: Box
    rate: str
    width: int
    height: int
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedVideo:
    """A video to download (or to take from a folder) and cut as a list says.

    Attributes:
        video: Its id in the list.
        requests: The clips to cut from it.
        address: Where it is downloaded from; `None` where `path` is given.
        path: Where it already lies.
        min_size: A box whose longer side has fewer pixels than this, in the video as it is, is too small.
        leaving: What becomes of a box that leaves the list's own frame, as 4% of VoxCeleb's do at the bottom: it is
            dropped, or cut at the frame's edge and stretched, as the list's authors did.
        cookies: A browser's cookies.txt for sites that ask for a login.
        keep: Folder that downloaded videos are kept in; `None` removes them once they are cut.
    """

    video: str
    requests: tuple[ClipRequest, ...]
    address: str | None = None
    path: Path | None = None
    min_size: int
    leaving: Literal["drop", "cut"] = "drop"
    cookies: Path | None = None
    keep: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedVideo:
    """A video in which the subject is found and followed.

    Attributes:
        video: Its path below the folder that was given.
        path: Where it lies.
        partition: Where its clips belong.
        subject: What is followed; whole takes the middle square of every frame.
        min_frames: Shorter clips are dropped; `None` takes the subject's own rule (64, 64, 2 frames).
        max_frames: Longer ones are cut in two.
        min_size: A box whose longer side has fewer pixels than this is too small.
        leaving: What becomes of a square that leaves the frame: drop it, or shift it inside.
    """

    video: str
    path: Path
    partition: Partition
    subject: Subject
    min_frames: int | None = None
    max_frames: int = 1024
    min_size: int
    leaving: Literal["shift", "drop"] = "shift"


@dataclass(frozen=True, slots=True, kw_only=True)
class RobotRecords:
    """One TFRecord file of BAIR robot pushing; its examples become clips.

    Attributes:
        video: The file's path below the folder that was given.
        path: Where it lies.
        partition: Where its clips belong.
        first: Number of its first clip in the partition.
        camera: Which of the two.
    """

    video: str
    path: Path
    partition: Partition
    first: int
    camera: Camera = "main"


Work: TypeAlias = ListedVideo | TrackedVideo | RobotRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do, how, and where to.

    Attributes:
        work: The video.
        clips: What its clips become.
        output: The data set's folder.
        settings: Digest of all settings, for the manifest.
    """

    work: Work
    clips: ClipSettings
    output: Path
    settings: str

"""Clips as a published list says: the video is fetched, and what the list names is cut out (SPEC 7.2, 7.3)."""

from __future__ import annotations

import errno
import math
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box, contains, intersection, longer_side, rescale
from prioritycut.preprocessing.cutting import Cut, VideoFacts, cut_clips, fault_words, video_facts
from prioritycut.preprocessing.downloading import Failed, download
from prioritycut.preprocessing.folder import VIDEO_KINDS
from prioritycut.preprocessing.jobs import ClipRequest, ListedVideo
from prioritycut.preprocessing.manifest import not_written
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.settings import ClipSettings

HUNDREDTH = Fraction(1, 100)
"""Frames per second. The lists give rates in hundredths, most rounded and some cut off."""


def make_listed(work: ListedVideo, clips: ClipSettings, *, output: Path, workdir: Path) -> list[ClipRecord]:
    """Fetch a video and cut its clips.

    Args:
        work: The video and what is wanted of it.
        clips: What the clips become.
        output: The data set's folder.
        workdir: A folder of this video's own on the same disk.

    Returns:
        One record a request, in their order: made; left the frame (the box does, by the list's own numbers); private,
        removed, blocked or network, where there is no video; corrupt, where it cannot be read, breaks off, or ends
        before the clip does; too small, in the video as it is.

    Raises:
        UserError: A package is missing, or the disk is full. Faults of the video go to its records.
    """
    video = _fetch(work, workdir)
    if isinstance(video, Failed):
        return [_unmade(work, request, _outside(work, request) or video) for request in work.requests]
    judged = [_judged(work, request, video.facts) for request in work.requests]
    cuts = [each for each in judged if isinstance(each, Cut)]
    made = iter(cut_clips(video.path, work.video, cuts, clips, workdir=workdir, output=output))
    records = [next(made) if isinstance(each, Cut) else each for each in judged]
    # One that broke off is fetched anew when it is tried again.
    if video.downloaded and work.keep is not None and all(record.outcome != "corrupt" for record in records):
        _keep(video.path, work.keep, work.video)
    return records


def frame_range(request: ClipRequest, rate: Fraction) -> tuple[int, int]:
    """A clip's first frame and the one after its last, in a video of some rate.

    They are the frames i with start * rate <= i * listed < end * rate (SPEC 7.2), in exact fractions. `rate` is in
    hundredths as the lists have it, 29.97 for 30000/1001: else the frames of the very video that a list was made from
    would be off by one.

    Args:
        request: Start and end, and the listed rate that they count at.
        rate: Of the video, in frames per second.
    """
    listed = Fraction(request.rate)
    factor = (listed if abs(rate - listed) < HUNDREDTH else round(rate, 2)) / listed
    return math.ceil(request.start * factor), math.ceil(request.end * factor)


@dataclass(frozen=True, slots=True)
class _Video:
    path: Path
    facts: VideoFacts
    downloaded: bool = False


def _fetch(work: ListedVideo, workdir: Path) -> _Video | Failed:
    if work.path is not None:
        return _read(work.path) if work.path.is_file() else Failed("removed", "its file is gone")
    if (kept := _kept(work)) is not None and isinstance(video := _read(kept), _Video):
        return video
    if work.address is None:
        return Failed("removed", "neither a file nor an address is known")
    shorter_side = max(min(request.width, request.height) for request in work.requests)
    path = download(work.address, workdir, shorter_side=shorter_side, cookies=work.cookies)
    return path if isinstance(path, Failed) else _read(path, downloaded=True)


def _read(path: Path, *, downloaded: bool = False) -> _Video | Failed:
    try:
        return _Video(path, video_facts(path), downloaded)
    except UserError as error:
        return Failed("corrupt", fault_words(error, path))


def _outside(work: ListedVideo, request: ClipRequest) -> Failed | None:
    """Why a clip is not made wherever its video is. A box inside the list's frame is inside the video's too."""
    box, frame = request.box, Box(0, 0, request.width, request.height)
    if contains(frame, box) or (work.leaving == "cut" and intersection(frame, box) is not None):
        return None
    return Failed("left the frame", f"the box leaves the list's frame of {request.width}x{request.height}")


def _judged(work: ListedVideo, request: ClipRequest, facts: VideoFacts) -> Cut | ClipRecord:
    """What to cut, or why not."""
    listed = (request.width, request.height)
    box = request.box if work.leaving == "drop" else intersection(request.box, Box(0, 0, *listed)) or request.box
    box = rescale(box, listed, (facts.width, facts.height))
    cut = Cut(request.clip, request.partition, box, *frame_range(request, facts.rate))
    if (why := _outside(work, request)) is not None:
        return _unmade(work, request, why, cut, facts)
    if longer_side(box) < work.min_size:
        reason = f"the box's longer side has {longer_side(box)} pixels, {work.min_size} are wanted"
        return _unmade(work, request, Failed("too small", reason), cut, facts)
    return cut


def _unmade(
    work: ListedVideo, request: ClipRequest, why: Failed, cut: Cut | None = None, facts: VideoFacts | None = None
) -> ClipRecord:
    return ClipRecord(
        clip=request.clip,
        video=work.video,
        partition=request.partition,
        outcome=why.outcome,
        reason=why.reason,
        start=None if cut is None else cut.start,
        end=None if cut is None else cut.end,
        box=None if cut is None else cut.box,
        video_width=None if facts is None else facts.width,
        video_height=None if facts is None else facts.height,
    )


def _kept(work: ListedVideo) -> Path | None:
    if work.keep is None:
        return None
    places = (work.keep / f"{work.video}.{kind}" for kind in VIDEO_KINDS.split(", "))
    return next((place for place in places if place.is_file()), None)


def _keep(path: Path, folder: Path, video: str) -> None:
    """Move a video to its place in a folder that may be on another disk; no half of it ever has its name."""
    # Readers go by content, so that a suffix that is none does no harm.
    kind = path.suffix.removeprefix(".")
    place = folder / f"{video}.{kind if kind in VIDEO_KINDS.split(', ') else 'mp4'}"
    partial = folder / f".{video}.{secrets.token_hex(4)}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            path.replace(place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copyfile(path, partial)
            partial.replace(place)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise not_written(place, error) from error

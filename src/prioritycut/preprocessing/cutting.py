"""Clips out of a video: one pass over its frames, however many clips it holds and however long they are."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from av.video.frame import VideoFrame
from jaxtyping import UInt8

from prioritycut.data.clips import open_clip, square_fit
from prioritycut.data.frame_parts import PartConverter
from prioritycut.data.media import DEFAULT_RATE, Pixels
from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.records import ClipRecord, Outcome, Partition
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.spans import NumberedFrame, Span, first_frame, read_spans
from prioritycut.preprocessing.stores import StoreWriter


@dataclass(frozen=True, slots=True)
class Cut:
    """One clip to be cut.

    Attributes:
        clip: Its name without suffix.
        partition: Where it belongs.
        box: What to cut out, in pixels of the upright frame; it is stretched where it is not square. `None` takes the
            middle square.
        start, end: Frames of the video, counted from 0 as a reader gives them, `end` not included.
    """

    clip: str
    partition: Partition
    box: Box | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What a video says of itself.

    Attributes:
        width, height: Of its first frame, upright, in pixels; later frames of another size are brought to this.
        rate: Frames per second, above 0; the average where it varies. The denominator is at most 1001.
        frames: How many there are as the header says: an estimate. `None` where it does not say.
    """

    width: int
    height: int
    rate: Fraction
    frames: int | None


def video_facts(path: Path) -> VideoFacts:
    """Read them from the header and the first frame.

    Args:
        path: Anything that `open_clip` reads.

    Raises:
        UserError: It is missing, damaged or no clip.
    """
    with open_clip(path) as reader:
        rate = reader.rate.limit_denominator(1001)
        return VideoFacts(reader.width, reader.height, rate if rate > 0 else DEFAULT_RATE, reader.frame_count)


def cut_clips(
    path: Path, video: str, cuts: Sequence[Cut], clips: ClipSettings, *, workdir: Path, output: Path
) -> list[ClipRecord]:
    """Cut clips out of a video, in one pass that holds a few frames a clip.

    Each frame is turned upright, cropped, resized (`resize_square`) and handed to its clips' encoders; frames that no
    clip wants are not converted, and long stretches of them not even decoded. A clip gets all frames from its start to
    its end at the video's rate: where the rate varies, the frames keep their order and number and play at the average.

    Args:
        path: Anything that `open_clip` reads.
        video: Its name for the records.
        cuts: In any order; they may overlap.
        clips: What they become.
        workdir: A folder of this video's own on the disk of `output`; what is under way lies in its folder `clips`.
        output: The data set's folder; clips are moved to `OUTPUT/train` and `OUTPUT/test`, each by one rename.

    Returns:
        One record a cut, in their order: made; left the frame (the box lies partly outside); too small (the box has no
        pixel); or corrupt (the video cannot be read, breaks off or ends before the clip does; clips that end before
        that are made).

    Raises:
        ValueError: A clip's name is none for a file.
        UserError: The disk is full or refuses. Nothing of unfinished clips is left.
    """
    try:
        facts, first = video_facts(path), first_frame(path)
    except UserError as error:
        return [_unmade(cut, video, None, "corrupt", fault_words(error, path)) for cut in cuts]
    made = dict[Cut, ClipRecord]()
    refused = {cut: record for cut in cuts if (record := _refused(cut, video, facts)) is not None}
    waiting = sorted((cut for cut in set(cuts) if cut not in refused), key=lambda cut: (cut.start, cut.clip))
    under_way = dict[Cut, _ClipUnderWay]()
    faults = list[str]()
    try:
        for number, frame in _readable(path, [(cut.start, cut.end) for cut in waiting], faults):
            while waiting and waiting[0].start == number:
                cut = waiting.pop(0)
                under_way[cut] = _ClipUnderWay(cut, first, facts, clips, workdir=workdir, output=output)
            for cut, clip in list(under_way.items()):
                clip.take(frame)
                if number + 1 == cut.end:
                    made[cut] = clip.finish(video)
                    del under_way[cut]
    finally:
        for clip in under_way.values():
            clip.abandon()
    fault = ", ".join(faults)
    return [made.get(cut) or refused.get(cut) or _too_long(cut, video, facts, fault) for cut in cuts]


def resize_square(pixels: Pixels, size: int) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Resize to `size` by `size` pixels with an anti-aliased bilinear filter, whatever the shape before.

    On bytes, which is several times faster than on floats; the result is within one level of `fit_square`'s.
    """
    if pixels.shape[:2] == (size, size):
        return pixels
    # As a batch of one with the channels last, which is how the pixels lie already.
    frames = torch.from_numpy(np.require(pixels, requirements=("C", "W"))).permute(2, 0, 1)[None]
    resized = F.interpolate(frames, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return resized[0].permute(1, 2, 0).contiguous().numpy()


class _ClipUnderWay:
    """One clip between its first frame and its last."""

    def __init__(
        self, cut: Cut, first: VideoFrame, facts: VideoFacts, clips: ClipSettings, *, workdir: Path, output: Path
    ) -> None:
        self._cut, self._facts, self._clips = cut, facts, clips
        self._box = _box(cut, facts)
        self._part = PartConverter(first, (self._box.left, self._box.top, self._box.right, self._box.bottom))
        self._writer = StoreWriter(cut.clip, cut.partition, facts.rate, clips, workdir=workdir, output=output)

    def take(self, frame: VideoFrame) -> None:
        self._writer.write(resize_square(self._part(frame), self._clips.size))

    def finish(self, video: str) -> ClipRecord:
        stored = self._writer.finish()
        return ClipRecord(
            clip=self._cut.clip,
            video=video,
            partition=self._cut.partition,
            outcome="made",
            file=stored.file,
            start=self._cut.start,
            end=self._cut.end,
            box=self._box,
            video_width=self._facts.width,
            video_height=self._facts.height,
            frames=self._writer.frame_count,
            rate=str(self._facts.rate),
            size=self._clips.size,
            bytes=stored.bytes,
            hash=stored.hash,
        )

    def abandon(self) -> None:
        self._writer.abandon()


def _readable(path: Path, spans: Sequence[Span], faults: list[str]) -> Generator[NumberedFrame]:
    """The frames up to the video's fault, which goes to `faults` lest a fault of the disk be taken for it."""
    try:
        yield from read_spans(path, spans)
    except UserError as error:
        faults.append(fault_words(error, path))


def fault_words(error: UserError, path: Path) -> str:
    """What a reader said, without the way out and without the place, which differs from machine to machine."""
    return str(error).removeprefix(f"{path}: ").replace(f"{path}/", "").rsplit("; ", 1)[0]


def _box(cut: Cut, facts: VideoFacts) -> Box:
    if cut.box is not None:
        return cut.box
    fit = square_fit(facts.width, facts.height, 1)
    return Box(fit.left, fit.top, fit.left + fit.side, fit.top + fit.side)


def _refused(cut: Cut, video: str, facts: VideoFacts) -> ClipRecord | None:
    """The record of a clip that no frame need be read for."""
    box = _box(cut, facts)
    where = f"the box {box.left}-{box.top}-{box.right}-{box.bottom}"
    if box.left >= box.right or box.top >= box.bottom:
        return _unmade(cut, video, facts, "too small", f"{where} holds no pixel")
    if box.left < 0 or box.top < 0 or box.right > facts.width or box.bottom > facts.height:
        return _unmade(cut, video, facts, "left the frame", f"{where} leaves the frame of {facts.width}x{facts.height}")
    if not 0 <= cut.start < cut.end:
        return _unmade(cut, video, facts, "corrupt", f"there is no frame from {cut.start} up to {cut.end}")
    return None


def _too_long(cut: Cut, video: str, facts: VideoFacts, fault: str) -> ClipRecord:
    wanted = f"the clip wants frames {cut.start} to {cut.end - 1}"
    return _unmade(cut, video, facts, "corrupt", f"{fault}, {wanted}")


def _unmade(cut: Cut, video: str, facts: VideoFacts | None, outcome: Outcome, reason: str) -> ClipRecord:
    return ClipRecord(
        clip=cut.clip,
        video=video,
        partition=cut.partition,
        outcome=outcome,
        reason=reason,
        start=cut.start,
        end=cut.end,
        box=cut.box if facts is None else _box(cut, facts),
        video_width=None if facts is None else facts.width,
        video_height=None if facts is None else facts.height,
    )

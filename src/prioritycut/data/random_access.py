"""Single frames of a clip by number, each exactly the one that reading from the start gives."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import dropwhile
from pathlib import Path
from typing import TypeAlias

import av.error
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from prioritycut.data.facts import ClipFacts, from_runs
from prioritycut.data.media import Pixels, file_fault
from prioritycut.data.pictures import decoding_picture, flatten_picture, identify_picture, read_still
from prioritycut.data.video import BinaryFile, FrameLayout, decode_video, open_media, rgb_pixels, video_stream
from prioritycut.errors import UserError

NEAR = 4
"""Decoding this many frames more costs less than a seek."""


def read_frames(path: Path, facts: ClipFacts, numbers: Sequence[int]) -> list[Pixels]:
    """Frames of a clip that lies in a file or a folder.

    Args:
        path: The clip.
        facts: What its index says; the clip must not have changed since.
        numbers: From 0, in any order, also repeated.

    Returns:
        One picture for each number.

    Raises:
        ValueError: A number lies outside the clip.
        UserError: The clip is damaged, or is no longer what the index says.
    """
    wanted = _checked(facts, numbers)
    match facts.kind:
        case "folder":
            found = _of_folder(path, facts, wanted)
        case "strip":
            found = _of_strip(path, facts, wanted)
        case "animation":
            found = _of_animation(path, facts, wanted)
        case _:
            found = _of_video(path, None, facts, wanted)
    return [found[number] for number in numbers]


def read_video_frames(path: Path, file: BinaryFile, facts: ClipFacts, numbers: Sequence[int]) -> list[Pixels]:
    """Frames of a video that lies in no file of its own, such as in a tar.

    Args:
        path: Names it in messages.
        file: Its content, seekable.
        facts: As for `read_frames`, which tells the rest.
        numbers: Likewise.
    """
    found = _of_video(path, file, facts, _checked(facts, numbers))
    return [found[number] for number in numbers]


_Found: TypeAlias = dict[int, Pixels]


def _checked(facts: ClipFacts, numbers: Iterable[int]) -> list[int]:
    wanted = sorted(set(numbers))
    if wanted and not 0 <= wanted[0] <= wanted[-1] < facts.frames:
        raise ValueError(f"frame numbers must lie in 0 to {facts.frames - 1}, got {wanted[0]} to {wanted[-1]}")
    return wanted


def changed_clip(path: Path) -> UserError:
    """The fault of a clip that is not what its index says."""
    return file_fault(path, "it changed since it was indexed", "begin again once nothing writes to it any more")


def _of_video(path: Path, file: BinaryFile | None, facts: ClipFacts, wanted: list[int]) -> _Found:
    if facts.layout is None:
        raise changed_clip(path)
    found = _by_seeking(path, file, facts, wanted, facts.layout) if facts.keyframes else {}
    if len(found) < len(wanted):
        found |= _from_start(path, file, [number for number in wanted if number not in found], facts.layout)
    return found


def _by_seeking(
    path: Path, file: BinaryFile | None, facts: ClipFacts, wanted: list[int], layout: FrameLayout
) -> _Found:
    """The frames that were met where they should be. A frame is known by its time; what is in doubt is left out."""
    times, keyframes = from_runs(facts.times), from_runs(facts.keyframes)
    found = _Found()
    if file is not None:
        file.seek(0)
    with open_media(path, file) as container:
        stream = video_stream(container, path)
        stream.codec_context.thread_count = 1
        frames: Iterable[VideoFrame] = container.decode(stream)
        reached = -1
        try:
            for number in wanted:
                place = bisect_right(keyframes, number) - 1
                keyframe = keyframes[place] if place >= 0 else 0
                if keyframe > reached + NEAR:
                    container.seek(times[keyframe], stream=stream)
                    # What comes before a key frame, the decoder would have to guess.
                    frames = dropwhile(lambda frame: not frame.key_frame, container.decode(stream))
                frame = _met(frames, times[number])
                if frame is None:
                    break
                found[number], reached = _converted(frame, layout), number
        except (av.error.FFmpegError, OSError):
            pass  # reading from the start says how far the file is whole
    return found


def _from_start(path: Path, file: BinaryFile | None, wanted: list[int], layout: FrameLayout) -> _Found:
    found = _Found()
    if file is not None:
        file.seek(0)
    for number, frame in enumerate(decode_video(path, threaded=False, file=file)):
        if number == wanted[len(found)]:
            found[number] = _converted(frame, layout)
            if len(found) == len(wanted):
                return found
    raise changed_clip(path)


def _met(frames: Iterable[VideoFrame], time: int) -> VideoFrame | None:
    for frame in frames:
        if frame.pts is None or frame.pts > time or frame.is_corrupt:
            return None
        if frame.pts == time:
            return frame
    return None


class _Reformatters(threading.local):
    """One a thread and kind of frame, since swscale's tables cost several times a conversion."""

    LIMIT = 32

    def __init__(self) -> None:
        self.by_kind = dict[tuple[object, ...], VideoReformatter]()

    def of(self, frame: VideoFrame, layout: FrameLayout) -> VideoReformatter:
        kind = (
            *(frame.format.name, frame.width, frame.height, frame.colorspace, frame.color_range),
            *(layout.width, layout.height),
        )
        if kind not in self.by_kind:
            if len(self.by_kind) == self.LIMIT:
                self.by_kind.clear()
            self.by_kind[kind] = VideoReformatter()
        return self.by_kind[kind]


_reformatters = _Reformatters()


def _converted(frame: VideoFrame, layout: FrameLayout) -> Pixels:
    return rgb_pixels(frame, layout, _reformatters.of(frame, layout))


def _of_folder(path: Path, facts: ClipFacts, wanted: list[int]) -> _Found:
    members = facts.members.split("/")
    found = {number: read_still(path / members[number]) for number in wanted}
    for number, pixels in found.items():
        _require_size(path / members[number], pixels, facts)
    return found


def _of_strip(path: Path, facts: ClipFacts, wanted: list[int]) -> _Found:
    pixels, side = read_still(path), facts.height
    found = {number: pixels[:, number * side : (number + 1) * side] for number in wanted}
    for part in found.values():
        _require_size(path, part, facts)
    return found


def _of_animation(path: Path, facts: ClipFacts, wanted: list[int]) -> _Found:
    image = identify_picture(path)
    if image is None:
        raise changed_clip(path)
    found = _Found()
    with image, decoding_picture(path):
        for number in wanted:
            image.seek(number)
            found[number] = flatten_picture(image)
    for pixels in found.values():
        _require_size(path, pixels, facts)
    return found


def _require_size(path: Path, pixels: Pixels, facts: ClipFacts) -> None:
    if pixels.shape[:2] != (facts.height, facts.width):
        raise changed_clip(path)

"""The frames of some stretches of a video, in one pass; what lies long between them is jumped over."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import av.error
from av.video.frame import VideoFrame

from prioritycut.data.clips import open_clip
from prioritycut.data.media import file_fault, to_bytes
from prioritycut.data.pictures import identify_picture
from prioritycut.data.video import broken_video, decode_video, open_media, video_stream
from prioritycut.data.video_index import VideoIndex, index_by_packets
from prioritycut.errors import UserError

Span: TypeAlias = tuple[int, int]
"""First frame and the one after the last, counted from 0 in the order in which frames are shown."""

NumberedFrame: TypeAlias = tuple[int, VideoFrame]

WORTH_A_JUMP = 60
"""Frames that must be saved before a jump pays for the look at all packets that it needs."""

REORDERED = 8
"""Where a video breaks off, frames that depend on others are stored after some that are shown later: as many of the
last ones as this may have gaps between them that nothing tells. Encoders reorder 2, or 4 in the deepest pyramids."""


def first_frame(path: Path) -> VideoFrame:
    """Frame 0 of anything that `open_clip` reads. Raises UserError where it cannot be read."""
    with closing(_decoded(path)) as frames:
        return next(frames)


def read_spans(path: Path, spans: Sequence[Span]) -> Generator[NumberedFrame]:
    """Every frame that lies in any of the spans, once and in order, with its number.

    Numbers are those of `open_clip`'s frames, wherever decoding begins.

    Args:
        path: Anything that `open_clip` reads.
        spans: In any order; they may overlap, and none is empty.

    Raises:
        UserError: The video breaks off, or has too few frames; all frames before that were yielded.
    """
    wanted = _merged(spans)
    last = -1
    if _may_save_by_jumping(path, wanted) and (index := _index(path)) is not None:
        try:
            for last, frame in _among(wanted, _jumping(path, index, wanted)):
                yield last, frame
        except (_OutOfStepError, av.error.FFmpegError, OSError):
            # Reading from the start is slow and always right, and knows in words what is wrong with the file.
            wanted = [(max(start, last + 1), end) for start, end in wanted if end > last + 1]
        else:
            return
    if wanted:
        yield from _among(wanted, _from_the_start(path))


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those joined that overlap or touch."""
    joined = list[Span]()
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _among(wanted: Sequence[Span], frames: Generator[NumberedFrame]) -> Generator[NumberedFrame]:
    """Those of the frames that lie in a span, up to the last span's end."""
    with closing(frames):
        for start, end in wanted:
            for number, frame in frames:
                if number >= start:
                    yield number, frame
                if number + 1 >= end:
                    break


def every_frame(path: Path) -> Generator[VideoFrame]:
    """All frames of anything that `open_clip` reads, in order.

    Raises:
        UserError: It cannot be read or breaks off; all frames that are beyond doubt were yielded.
    """
    held = deque[VideoFrame]()
    with closing(_decoded(path)) as frames:
        try:
            for frame in frames:
                held.append(frame)
                if len(held) > REORDERED:
                    yield held.popleft()
        except UserError as error:
            if not held:
                raise
            fault, _, way_out = str(error).rpartition("; ")
            raise UserError(f"{fault}, the last {len(held)} of them in doubt; {way_out}") from None
    yield from held


def _from_the_start(path: Path) -> Generator[NumberedFrame]:
    """All frames in order. Raises UserError where they break off and after the last: who goes on asking misses some."""
    count = 0
    with closing(every_frame(path)) as frames:
        for count, frame in enumerate(frames, start=1):
            yield count - 1, frame
    raise file_fault(path, f"it has {count} frames", "ask for no more")


def _decoded(path: Path) -> Generator[VideoFrame]:
    """All frames in order, up to the first that is damaged."""
    if _is_picture(path):
        with open_clip(path) as reader:
            for frame in reader:
                yield VideoFrame.from_ndarray(to_bytes(frame), format="rgb24")
        return
    # One thread: many videos at a time keep all cores busier than many threads at one.
    with closing(decode_video(path, threaded=False)) as frames:
        for number, decoded in enumerate(frames):
            if decoded.is_corrupt:
                raise broken_video(path, number, "the next one is damaged")
            yield decoded


def _is_picture(path: Path) -> bool:
    """Whether it is a folder of pictures, an animated picture or a strip rather than a video."""
    if path.is_dir():
        return True
    if (picture := identify_picture(path)) is None:
        return False
    picture.close()
    return True


class _OutOfStepError(Exception):
    """The frames that came are not those that the packets promised."""


def _may_save_by_jumping(path: Path, wanted: Sequence[Span]) -> bool:
    ends = [0, *(end for _, end in wanted)]
    longest = max((start - end for (start, _), end in zip(wanted, ends, strict=False)), default=0)
    return longest >= WORTH_A_JUMP and not _is_picture(path)


def _index(path: Path) -> VideoIndex | None:
    """What the packets say; `None` where that is no guide to the frames."""
    try:
        index = index_by_packets(path)
    except UserError:
        return None  # what stands before the fault may be all that is wanted
    return index if index is not None and index.keyframes else None


def _jumping(path: Path, index: VideoIndex, wanted: Sequence[Span]) -> Generator[NumberedFrame]:
    """The frames of all spans and some before and between them, each stretch begun at a key frame.

    Raises:
        _OutOfStepError: A frame is missing, damaged, or not where its packet was.
    """
    number_at = {time: number for number, time in enumerate(index.times)}
    with open_media(path) as container:
        stream = video_stream(container, path)
        stream.codec_context.thread_count = 1
        for start, end in _joined_by_keys(index, wanted):
            expected = _key_before(index, start)
            container.seek(index.times[expected], stream=stream)
            for frame in container.decode(stream):
                number = -1 if frame.pts is None else number_at.get(frame.pts, -1)
                if number != -1 and number < expected:
                    continue  # shown before the key frame, and perhaps in need of others before it
                if number != expected or frame.is_corrupt:
                    raise _OutOfStepError
                yield number, frame
                expected += 1
                if expected == end:
                    break
            if expected < end:
                raise _OutOfStepError


def _joined_by_keys(index: VideoIndex, wanted: Sequence[Span]) -> list[Span]:
    """Spans between which a jump would save too little are read as one."""
    joined = [wanted[0]]
    for start, end in wanted[1:]:
        if _key_before(index, start) < joined[-1][1] + WORTH_A_JUMP:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _key_before(index: VideoIndex, number: int) -> int:
    """The last frame up to this one at which decoding can begin."""
    return index.keyframes[max(0, bisect_right(index.keyframes, number) - 1)]

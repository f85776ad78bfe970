"""What random access needs to know of a video: when each of its frames is shown, and where decoding can begin."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import TypeAlias, cast

import av.error
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from prioritycut.data.media import DEFAULT_RATE, file_fault
from prioritycut.data.video import (
    BinaryFile,
    EndCheck,
    FrameLayout,
    broken_video,
    decode_video,
    frame_layout,
    open_media,
    rgb_pixels,
    video_stream,
)

# Where each packet states the time of the one frame that it gives, packets alone tell what decoding would: containers
# that write times down, and codecs that neither hide frames nor skip them.
_TIMED_CONTAINERS = ("mov", "matroska")
_PLAIN_CODECS = frozenset({"h264", "hevc", "vp9", "av1"})


@dataclass(frozen=True, slots=True)
class VideoIndex:
    """Facts of one video.

    Attributes:
        frames: How many decoding gives.
        layout: How they become upright pictures.
        rate: Frames per second; the average where it varies.
        times: When each is shown, in units of the stream's time base, strictly growing; empty where that is not known.
        keyframes: Numbers of the frames at which decoding can begin after a seek to their time; empty where seeking
            cannot be relied on.
    """

    frames: int
    layout: FrameLayout
    rate: Fraction
    times: list[int]
    keyframes: list[int]


@dataclass(frozen=True, slots=True)
class _Packets:
    """A video's packets, in the order of the file, and its first frame."""

    layout: FrameLayout
    rate: Fraction
    first_time: int | None
    times: list[int | None]
    keys: list[bool]
    timed: bool


_Seen: TypeAlias = tuple[int | None, int]
"""When a frame is shown, and a checksum of its pixels."""


def index_video(path: Path, file: BinaryFile | None = None) -> VideoIndex:
    """Index a video without decoding more than its first frame, or all of it where packets do not tell enough.

    Args:
        path: Where it lies.
        file: Its content, seekable, where it lies in no file of its own; `path` then only names it in messages.

    Raises:
        UserError: It is missing, cut off, no video, or damaged where it was decoded.
    """
    packets = _read_packets(path, file)
    return _index_of(packets) or _index_by_decoding(path, file, packets)


def index_by_packets(path: Path) -> VideoIndex | None:
    """Index a video without decoding more than its first frame; `None` where packets do not tell enough.

    Raises:
        UserError: It is missing, cut off or no video.
    """
    return _index_of(_read_packets(path, None))


def _index_of(packets: _Packets) -> VideoIndex | None:
    times = sorted(time for time in packets.times if time is not None)
    first_shown = bool(times) and packets.first_time == times[0] == packets.times[0]
    if not (packets.timed and first_shown and len(times) == len(packets.times) and _growing(times)):
        return None
    keys = {time for time, key in zip(packets.times, packets.keys, strict=True) if key}
    return VideoIndex(
        len(times), packets.layout, packets.rate, times, [n for n, time in enumerate(times) if time in keys]
    )


def _growing(times: Sequence[int | None]) -> bool:
    return all(a is not None and b is not None and a < b for a, b in pairwise(times)) and None not in times


def _rewound(file: BinaryFile | None) -> BinaryFile | None:
    if file is not None:
        file.seek(0)
    return file


def _read_packets(path: Path, file: BinaryFile | None) -> _Packets:
    times, keys = list[int | None](), list[bool]()
    first: VideoFrame | None = None
    with open_media(path, _rewound(file)) as container:
        stream = video_stream(container, path)
        stream.codec_context.thread_count = 1
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        timed = container.format.name.startswith(_TIMED_CONTAINERS)
        plain = stream.codec_context.codec.canonical_name in _PLAIN_CODECS
        check = EndCheck(container, stream)
        intact = True
        try:
            for packet in container.demux():
                check.see(packet)
                if packet.stream.index != stream.index:
                    continue
                if first is None:
                    first = cast(VideoFrame | None, next(iter(packet.decode()), None))
                # An edit list may hide packets that others need.
                if packet.size and not packet.is_discard:
                    times.append(packet.pts)
                    keys.append(packet.is_keyframe)
                    intact = intact and not packet.is_corrupt
        except (av.error.FFmpegError, OSError) as error:
            raise broken_video(path, len(times) if first else 0, error.strerror or str(error)) from None
        if check.cut_off:
            raise broken_video(path, len(times), "the file was cut off")
        if first is None:
            raise file_fault(path, "the video holds no frame", "give a clip with at least one")
        layout = frame_layout(first)
        return _Packets(layout, rate, first.pts, times, keys, timed and plain and intact)


def _index_by_decoding(path: Path, file: BinaryFile | None, packets: _Packets) -> VideoIndex:
    """The exact and slow way; a key frame counts only where a seek to it gave all frames up to the next that counts."""
    seen, keyframes = list[_Seen](), list[int]()
    reformatter = VideoReformatter()
    for number, frame in enumerate(decode_video(path, threaded=False, file=_rewound(file))):
        seen.append(_see(frame, packets.layout, reformatter))
        if frame.key_frame:
            keyframes.append(number)
    times = [time for time, _ in seen if time is not None]
    if not _growing([time for time, _ in seen]):
        return VideoIndex(len(seen), packets.layout, packets.rate, [], [])
    with open_media(path, _rewound(file)) as container:
        stream = video_stream(container, path)
        stream.codec_context.thread_count = 1
        exact, end = list[int](), len(seen)
        for keyframe in reversed(keyframes):
            if _same_after_seek(container, stream, seen[keyframe:end], packets.layout, reformatter):
                exact.append(keyframe)
                end = keyframe
    return VideoIndex(len(seen), packets.layout, packets.rate, times, exact[::-1])


def _see(frame: VideoFrame, layout: FrameLayout, reformatter: VideoReformatter) -> _Seen:
    return frame.pts, zlib.crc32(rgb_pixels(frame, layout, reformatter).tobytes())


def _same_after_seek(
    container: InputContainer,
    stream: VideoStream,
    wanted: Sequence[_Seen],
    layout: FrameLayout,
    reformatter: VideoReformatter,
) -> bool:
    """Whether a seek to the first of these frames leads to exactly them, one after the other."""
    start = cast(int, wanted[0][0])
    try:
        container.seek(start, stream=stream)
        frames = dropwhile(lambda frame: frame.pts is not None and frame.pts < start, container.decode(stream))
        return all(
            (frame := next(frames, None)) is not None and _see(frame, layout, reformatter) == truth for truth in wanted
        )
    except (av.error.FFmpegError, OSError):
        return False

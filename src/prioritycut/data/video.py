"""Video files: opening and decoding them, and their pixels."""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, TypeAlias, cast, runtime_checkable

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8
from PIL import Image

from prioritycut.data.media import DEFAULT_RATE, MAX_PIXELS, SCALING, Pixels, file_fault, too_large
from prioritycut.data.pictures import flatten_picture
from prioritycut.errors import UserError

# Playlists stay out: a file that a stranger uploads must not make us open other files or addresses.
_MEDIA_FORMATS = "mov,matroska,avi,flv,mpeg,mpegts,mpegvideo,asf,ogg,ivf,h264,hevc,m4v,mp3,wav,flac,aac"
# FFmpeg would return one tile of such a photograph for the whole.
_HEIC_BRANDS = frozenset({"heic", "heix", "heim", "heis", "mif1", "msf1"})
MICROSECOND = Fraction(1, 1_000_000)
"""In seconds: the unit in which FFmpeg states when a file begins and how long it lasts."""

Turning: TypeAlias = tuple[int, int, int, int]
"""How stored frames are shown; see `display_matrix`."""


@runtime_checkable
class BinaryFile(Protocol):
    """Something that holds a video's bytes: an opened file, `BytesIO`, a remote file of fsspec."""

    def read(self, size: int = -1, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...


def open_media(path: Path, file: BinaryFile | None = None) -> InputContainer:
    """Open a video or sound file, and nothing that it refers to.

    Args:
        path: Where it lies.
        file: Its content, seekable, where it lies in no file of its own; `path` then only names it in messages.
    """
    options = {"format_whitelist": _MEDIA_FORMATS, "protocol_whitelist": "file"}
    try:
        # Absolute, so that no name is taken for an address; metadata in an odd encoding is no fault.
        source = str(path.absolute()) if file is None else file
        return av.open(source, "r", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        if isinstance(error, PermissionError):
            raise file_fault(path, "cannot be read (permission denied)", "check its permissions") from None
        raise file_fault(
            path,
            "this is no video that can be read, or it was cut off and lost its index",
            "give an intact mp4, webm, mov, mkv, avi or gif file",
        ) from None


def video_stream(container: InputContainer, path: Path) -> VideoStream:
    """The stream that holds the pictures, not a cover; refused where it cannot be decoded."""
    brands = container.metadata.get("major_brand", "")
    if brands in _HEIC_BRANDS:
        raise file_fault(path, "HEIC pictures cannot be read", "convert it to JPEG or PNG")
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if cast(object, stream.codec_context) is None:
            raise file_fault(path, "no decoder is known for this video", "convert it to mp4 (H.264)")
        if stream.width * stream.height > MAX_PIXELS:
            raise too_large(path)
        return stream
    fault = "it holds sound but no video" if container.streams.audio else "it holds no video"
    raise file_fault(path, fault, "give a clip with pictures")


class EndCheck:
    """Whether a video reached its end: cut-off files end like whole ones, but their header promised more."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._stream_index = stream.index
        self._slack = max(Fraction(1, 2), 2 / (stream.average_rate or DEFAULT_RATE))
        # Matroska's index holds key frames only, so there the stated duration must do. It counts from zero, also where
        # the first frame comes later.
        self._promised_packets = len(stream.index_entries)
        self._promised_end: Fraction | None = None
        if "matroska" in container.format.name and container.duration is not None:
            self._promised_end = container.duration * MICROSECOND
        self._packets = 0
        self._end = Fraction(0)
        self._broken = False

    def see(self, packet: Packet[Stream]) -> None:
        """Take note of a packet of any stream, in the order of the file."""
        if packet.pts is not None:
            self._end = max(self._end, (packet.pts + (packet.duration or 0)) * packet.time_base)
        if packet.stream.index == self._stream_index and packet.size:
            self._packets += 1
            self._broken = packet.is_corrupt

    @property
    def cut_off(self) -> bool:
        """Asked after the last packet."""
        late_end = self._promised_end is not None and self._end + self._slack < self._promised_end
        return self._broken or self._packets < self._promised_packets or late_end


def decode_video(path: Path, *, threaded: bool = True, file: BinaryFile | None = None) -> Generator[VideoFrame]:
    """The decoded frames of a video, or a UserError that says after how many of them it broke.

    Threads speed long reading up, but delay the first frame. `path` and `file` are as for `open_media`.
    """
    with open_media(path, file) as container:
        stream = video_stream(container, path)
        if threaded:
            stream.thread_type = "AUTO"
        else:
            stream.codec_context.thread_count = 1
        check = EndCheck(container, stream)
        frames = 0
        try:
            for packet in container.demux():
                check.see(packet)
                if packet.stream.index != stream.index:
                    continue
                for frame in packet.decode():
                    yield cast(VideoFrame, frame)
                    frames += 1
        except (av.error.FFmpegError, OSError) as error:
            raise broken_video(path, frames, error.strerror or str(error)) from None
        if check.cut_off:
            raise broken_video(path, frames, "the file was cut off")
    if frames == 0:
        raise file_fault(path, "the video holds no frame", "give a clip with at least one")


def broken_video(path: Path, frames: int, reason: str) -> UserError:
    """The fault of a video that cannot be read to its end."""
    way_out = "copy or download it again, or cut it before that point"
    return file_fault(path, f"the video breaks off after {frames} frames ({reason})", way_out)


@dataclass(frozen=True, slots=True)
class FrameLayout:
    """How the decoded frames of one video become pictures of one size, upright.

    Attributes:
        width: Columns of its first frame as it is stored.
        height: Rows of it.
        turning: How it is to be turned and mirrored.
    """

    width: int
    height: int
    turning: Turning

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height as shown."""
        return (self.height, self.width) if _is_sideways(self.turning) else (self.width, self.height)


def frame_layout(first: VideoFrame) -> FrameLayout:
    """From a video's first frame."""
    return FrameLayout(first.width, first.height, display_matrix(first))


def display_matrix(frame: VideoFrame) -> Turning:
    """(a, b, c, d): column x and row y are shown at column ax + cy and row bx + dy, but for a shift.

    To be asked once a video, since PyAV ties a frame that is asked for it into a reference cycle.
    """
    matrix = cast(bytes | None, frame.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    return a, b, c, d


def rgb_pixels(frame: VideoFrame, layout: FrameLayout, reformatter: VideoReformatter) -> Pixels:
    """A decoded frame as RGB, upright, on white where it is transparent.

    A stream may change its size on the way (a browser's recording does); all frames get the first one's.
    """
    transparent = any(component.is_alpha for component in frame.format.components)
    target = "rgba" if transparent else "rgb24"
    converted = reformatter.reformat(
        frame, layout.width, layout.height, target, interpolation=SCALING, threads=1
    ).to_ndarray()
    pixels = flatten_picture(Image.fromarray(converted)) if transparent else cast(Pixels, converted)
    return _upright(pixels, layout.turning)


class FrameConverter:
    """RGB of the decoded frames of one video, upright and all of the first one's size.

    What is the same for all frames is found once: their layout, and swscale's tables, which cost several times the
    conversion.
    """

    def __init__(self, first: VideoFrame) -> None:
        self._layout, self._reformatter = frame_layout(first), VideoReformatter()

    def __call__(self, frame: VideoFrame) -> Pixels:
        return rgb_pixels(frame, self._layout, self._reformatter)


def _is_sideways(turning: Turning) -> bool:
    a, b, c, d = turning
    return abs(b) + abs(c) > abs(a) + abs(d)


def _upright(pixels: Pixels, turning: Turning) -> UInt8[np.ndarray, "rows columns 3"]:
    """Turn and mirror as a display matrix says (multiples of 90 degrees)."""
    a, b, c, d = turning
    if _is_sideways(turning):
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]

"""Video files: opening and decoding them, and their pixels."""

from __future__ import annotations

import struct
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from jaxtyping import UInt8

from prioritycut.data.media import DEFAULT_RATE, MAX_PIXELS, SCALING, Pixels, file_fault, too_large
from prioritycut.errors import UserError

# Playlists stay out: a file that a stranger uploads must not make us open other files or addresses.
_MEDIA_FORMATS = "mov,matroska,avi,flv,mpeg,mpegts,mpegvideo,asf,ogg,ivf,h264,hevc,m4v,mp3,wav,flac,aac"
# FFmpeg would return one tile of such a photograph for the whole.
_HEIC_BRANDS = frozenset({"heic", "heix", "heim", "heis", "mif1", "msf1"})
MICROSECOND = Fraction(1, 1_000_000)
"""In seconds: the unit in which FFmpeg states when a file begins and how long it lasts."""


def open_media(path: Path) -> InputContainer:
    """Open a video or sound file, and nothing that it refers to."""
    options = {"format_whitelist": _MEDIA_FORMATS, "protocol_whitelist": "file"}
    try:
        # Absolute, so that no name is taken for an address; metadata in an odd encoding is no fault.
        return av.open(str(path.absolute()), "r", options=options, metadata_errors="replace")
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


def decode_video(path: Path, *, threaded: bool = True) -> Generator[VideoFrame]:
    """The decoded frames of a video, or a UserError that says after how many of them it broke.

    Threads speed long reading up, but delay the first frame.
    """
    with open_media(path) as container:
        stream = video_stream(container, path)
        if threaded:
            stream.thread_type = "AUTO"
        else:
            stream.codec_context.thread_count = 1
        # Cut-off files end like whole ones; only what the header promised tells them apart. Matroska's index
        # holds key frames only, so there the stated duration must do.
        promised_packets = len(stream.index_entries)
        promised_end = None
        if "matroska" in container.format.name and container.duration is not None:
            promised_end = ((container.start_time or 0) + container.duration) * MICROSECOND
        frames = packets = 0
        end = Fraction(0)
        cut_off = False
        try:
            for packet in container.demux():
                if packet.pts is not None:
                    end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream.index != stream.index:
                    continue
                if packet.size:
                    packets += 1
                    cut_off = packet.is_corrupt
                for frame in packet.decode():
                    yield cast(VideoFrame, frame)
                    frames += 1
        except (av.error.FFmpegError, OSError) as error:
            raise _broken_video(path, frames, error.strerror or str(error)) from None
        slack = max(Fraction(1, 2), 2 / (stream.average_rate or DEFAULT_RATE))
        late_end = promised_end is not None and end + slack < promised_end
        if cut_off or packets < promised_packets or late_end:
            raise _broken_video(path, frames, "the file was cut off")
    if frames == 0:
        raise file_fault(path, "the video holds no frame", "give a clip with at least one")


def _broken_video(path: Path, frames: int, reason: str) -> UserError:
    way_out = "copy or download it again, or cut it before that point"
    return file_fault(path, f"the video breaks off after {frames} frames ({reason})", way_out)


class FrameConverter:
    """RGB of the decoded frames of one video, upright and all of the first one's size.

    What is the same for all frames is found once: swscale's tables, which cost several times the conversion,
    and the display matrix, since PyAV ties a frame that is asked for it into a reference cycle.
    """

    def __init__(self, first: VideoFrame) -> None:
        self._reformatter = VideoReformatter()
        # A stream may change its size on the way (a browser's recording does).
        self._width, self._height = first.width, first.height
        self._turning = _display_matrix(first)

    def __call__(self, frame: VideoFrame) -> Pixels:
        converted = self._reformatter.reformat(
            frame, self._width, self._height, "rgb24", interpolation=SCALING, threads=1
        )
        return _upright(cast(Pixels, converted.to_ndarray()), self._turning)


def _display_matrix(frame: VideoFrame) -> tuple[int, int, int, int]:
    """(a, b, c, d): column x and row y are shown at column ax + cy and row bx + dy."""
    matrix = cast(bytes | None, frame.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    return a, b, c, d


def _upright(pixels: Pixels, turning: tuple[int, int, int, int]) -> UInt8[np.ndarray, "rows columns 3"]:
    """Turn and mirror as a display matrix says (multiples of 90 degrees)."""
    a, b, c, d = turning
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels = pixels.transpose(1, 0, 2)
        a, d = c, b
    return pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]

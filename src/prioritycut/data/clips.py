"""Media files: the only place where frames are bytes.

Reading gives RGB float frames in [0, 1], one by one (`open_clip`) or all at once (`read_clip`, `read_image`);
writing takes them (`ClipWriter`, `write_clip`). Both hold a few frames at a time, however long the clip.

Colours: video is written as limited-range BT.709 and tagged so; an untagged video is read as BT.601, as
FFmpeg does. A transparent pixel shows white. Rotation (phone video, EXIF) is applied; pixels that are not
square stay as they are stored.
"""

# av's stubs leave the stream of a packet open, and pyright then knows no method that touches packets.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, TypeAlias, cast, runtime_checkable
from weakref import WeakSet

import av
import av.error
import av.filter
import numpy as np
import torch
import torch.nn.functional as F
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    ColorRange,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)
from av.video.stream import VideoStream
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from prioritycut.errors import UserError
from prioritycut.outputs import Clip

Frame: TypeAlias = Float[Tensor, "3 height width"]
"""One RGB frame in [0, 1]."""

Pixels: TypeAlias = UInt8[np.ndarray, "height width 3"]
"""One RGB frame as files hold it."""

Rate: TypeAlias = Fraction | float | int
"""Frames per second."""

DEFAULT_RATE = Fraction(25)
"""Frames per second of what states no rate: a folder of images, a strip."""

MAX_PIXELS = 100_000_000
"""A picture or frame with more pixels is refused: it is a mistake or an attack, never a face."""

_STILL_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"})
_PICTURE_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
# An MPO (a phone's JPEG with a preview behind it) and a paged TIFF hold several pictures, but no motion.
_ANIMATED_FORMATS = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
# What Pillow's decoders raise on damaged bytes.
_PICTURE_FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    TypeError,
    struct.error,
    zlib.error,
)
# Playlists stay out: a file that a stranger uploads must not make us open other files or addresses.
_MEDIA_FORMATS = "mov,matroska,avi,flv,mpeg,mpegts,mpegvideo,asf,ogg,ivf,h264,hevc,m4v,mp3,wav,flac,aac"
# FFmpeg would return one tile of such a photograph for the whole.
_HEIC_BRANDS = frozenset({"heic", "heix", "heim", "heis", "mif1", "msf1"})
# Without these flags swscale halves the chroma resolution once more, and flat colours come back 4/255 off.
_SCALING = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_MICROSECOND = Fraction(1, 1_000_000)
_NUMBERED = re.compile(r"\d{6,}\.png")

# --------------------------------------------------------------------------------------------------
# Faults


def _fault(path: Path, fault: str, way_out: str) -> UserError:
    return UserError(f"{path}: {fault}; {way_out}".replace("\n", " "))


def _require_file(path: Path, wanted: str) -> None:
    """Refuse what cannot be a media file before a decoder sees it."""
    try:
        if not path.exists():
            raise _fault(path, "there is no such file", "check the path")
        if path.is_dir():
            raise _fault(path, "this is a folder", f"name {wanted}")
        if not path.is_file():
            raise _fault(path, "this is not a regular file", f"name {wanted}")
        if path.stat().st_size == 0:
            raise _fault(path, "the file is empty (0 bytes)", "copy or download it again")
    except OSError as error:
        raise _fault(path, f"cannot be read ({error.strerror})", "check the path and its permissions") from None


@contextmanager
def _writing(path: Path) -> Generator[None]:
    """Turn what a disk or an encoder says into one line about `path`."""
    try:
        yield
    except (OSError, av.error.FFmpegError) as error:
        number, reason = error.errno, error.strerror or str(error)
    else:
        return
    if number in (errno.ENOSPC, errno.EDQUOT):
        raise UserError(f"disk full while writing {path}; free space and repeat, nothing was left behind")
    if number == errno.EFBIG:
        raise _fault(path, "the file grew larger than this disk or account allows", "write elsewhere")
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise _fault(path, f"cannot be written ({reason})", "choose a folder that you may write to")
    if number in (errno.ENOTDIR, errno.EEXIST, errno.EISDIR):
        raise _fault(path, f"cannot be written ({reason})", "a part of the path is a file; choose another")
    raise _fault(path, f"cannot be written ({reason})", "choose another path or file type")


# --------------------------------------------------------------------------------------------------
# Pictures

_warnings_lock = threading.Lock()


def _identify(path: Path) -> Image.Image | None:
    """The opened picture, not yet decoded; `None` where the file is no picture."""
    Image.init()  # asked for formats by name, Pillow would know only the five that it always loads
    # Pillow only warns of sizes somewhat above its limit, and would warn on the terminal: make it raise.
    try:
        with _warnings_lock, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_PICTURE_FORMATS)
    except UnidentifiedImageError:
        return None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(path) from None
    except _PICTURE_FAULTS as error:
        raise _damaged_picture(path, error) from None
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise _too_large(path)
    return image


def _too_large(path: Path) -> UserError:
    return _fault(path, "the picture has too many pixels to open safely", "scale it down first")


def _damaged_picture(path: Path, error: Exception) -> UserError:
    return _fault(path, f"the picture is damaged ({error})", "copy or download it again")


@contextmanager
def _decoding(path: Path) -> Generator[None]:
    try:
        yield
    except _PICTURE_FAULTS as error:
        raise _damaged_picture(path, error) from None


def _is_animated(image: Image.Image) -> bool:
    return image.format in _ANIMATED_FORMATS and getattr(image, "n_frames", 1) > 1


def _flatten(image: Image.Image) -> Pixels:
    """RGB of any picture mode, on white where it is transparent."""
    if image.mode.startswith("I;16"):
        # Pillow would clip 16 bits to 8 rather than scale them.
        gray = (np.asarray(image).astype(np.float64) / 257.0).round().astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return np.asarray(Image.alpha_composite(white, layer).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _turned_size(image: Image.Image) -> tuple[int, int]:
    """Width and height after EXIF rotation, from the header alone."""
    # Asking a PNG for EXIF that its header does not hold decodes all of it.
    if image.format == "PNG" and "exif" not in image.info:
        return image.size
    turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (image.height, image.width) if turned else image.size


def _read_still(path: Path) -> Pixels:
    image = _identify(path)
    if image is None:
        raise _fault(path, "this is no picture that can be read", "give a JPEG, PNG or WebP file")
    with image, _decoding(path):
        return _flatten(ImageOps.exif_transpose(image))


def _to_float(pixels: Pixels) -> Frame:
    planes = np.array(pixels.transpose(2, 0, 1), order="C")
    return torch.as_tensor(planes, dtype=torch.float32).div_(255.0)


def _to_bytes(frame: Frame) -> Pixels:
    levels = frame.detach().float().clamp(0.0, 1.0).mul(255.0).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().cpu().numpy()


# --------------------------------------------------------------------------------------------------
# Video


def _open_media(path: Path) -> InputContainer:
    options = {"format_whitelist": _MEDIA_FORMATS, "protocol_whitelist": "file"}
    try:
        # Absolute, so that no name is taken for an address; metadata in an odd encoding is no fault.
        return av.open(str(path.absolute()), "r", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        if isinstance(error, PermissionError):
            raise _fault(path, "cannot be read (permission denied)", "check its permissions") from None
        raise _fault(
            path,
            "this is no video that can be read, or it was cut off and lost its index",
            "give an intact mp4, webm, mov, mkv, avi or gif file",
        ) from None


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    brands = container.metadata.get("major_brand", "")
    if brands in _HEIC_BRANDS:
        raise _fault(path, "HEIC pictures cannot be read", "convert it to JPEG or PNG")
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        if cast(object, stream.codec_context) is None:
            raise _fault(path, "no decoder is known for this video", "convert it to mp4 (H.264)")
        if stream.width * stream.height > MAX_PIXELS:
            raise _too_large(path)
        return stream
    fault = "it holds sound but no video" if container.streams.audio else "it holds no video"
    raise _fault(path, fault, "give a clip with pictures")


def _decode(path: Path, *, threaded: bool = True) -> Generator[VideoFrame]:
    """The decoded frames of a video, or a UserError that says after how many of them it broke.

    Threads speed long reading up, but delay the first frame.
    """
    with _open_media(path) as container:
        stream = _video_stream(container, path)
        if threaded:
            stream.thread_type = "AUTO"
        else:
            stream.codec_context.thread_count = 1
        # Cut-off files end like whole ones; only what the header promised tells them apart. Matroska's index
        # holds key frames only, so there the stated duration must do.
        promised_packets = len(stream.index_entries)
        promised_end = None
        if "matroska" in container.format.name and container.duration is not None:
            promised_end = ((container.start_time or 0) + container.duration) * _MICROSECOND
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
        raise _fault(path, "the video holds no frame", "give a clip with at least one")


def _broken_video(path: Path, frames: int, reason: str) -> UserError:
    way_out = "copy or download it again, or cut it before that point"
    return _fault(path, f"the video breaks off after {frames} frames ({reason})", way_out)


class _Converter:
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
            frame, self._width, self._height, "rgb24", interpolation=_SCALING, threads=1
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


def _video_frames(path: Path) -> Generator[Frame]:
    convert: _Converter | None = None
    for decoded in _decode(path):
        convert = convert or _Converter(decoded)
        yield _to_float(convert(decoded))


# --------------------------------------------------------------------------------------------------
# Reading


class ClipReader:
    """A clip on disk: its facts, and its frames as often as one iterates.

    Each iteration opens the file anew and holds a few frames at a time. Leaving the context (or `close`) ends
    iterations that were left half way; without it they end when they are forgotten.

    Attributes:
        path: What was opened.
        width: Columns of each frame, after rotation.
        height: Rows of each frame, after rotation.
        rate: Frames per second; the average where the rate varies.
        frame_count: Number of frames. For video it is what the header says: an estimate, or `None`.
        has_audio: Whether there is sound beside the pictures.
    """

    def __init__(
        self,
        path: Path,
        width: int,
        height: int,
        rate: Fraction,
        frame_count: int | None,
        has_audio: bool,
        frames: Callable[[], Generator[Frame]],
    ) -> None:
        self.path = path
        self.width = width
        self.height = height
        self.rate = rate
        self.frame_count = frame_count
        self.has_audio = has_audio
        self._frames = frames
        self._running: WeakSet[Generator[Frame]] = WeakSet()

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order, RGB in [0, 1]. Raises UserError where the file turns out damaged."""
        frames = self._frames()
        self._running.add(frames)
        return frames

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every iteration that is under way."""
        for frames in list(self._running):
            frames.close()


def open_clip(path: str | Path) -> ClipReader:
    """Open a clip for reading frame by frame.

    Args:
        path: A video (mp4, webm, mov, mkv, avi, ...), an animated picture (gif, webp, png), a folder of
            equally large images in natural order (2.png before 10.png), or a strip: one picture whose width
            is at least twice its height and a multiple of it, which holds square frames side by side.
            Folders and strips play at 25 frames per second.

    Raises:
        UserError: Nothing is there, or it is empty, damaged, too large or no clip. A fault further on in the
            file shows while iterating.
    """
    path = Path(path)
    if path.is_dir():
        return _open_folder(path)
    _require_file(path, "a video, a gif, a strip or a folder of images")
    image = _identify(path)
    if image is None:
        return _open_video(path)
    with image:
        with _decoding(path):
            animated = _is_animated(image)
        if animated:
            return _open_animation(path, image)
        if image.width >= 2 * image.height and image.width % image.height == 0:
            return _open_strip(path, image)
    fault = f"this is a single picture of {image.width}x{image.height}, not a clip"
    raise _fault(path, fault, "give a video, a gif, a folder of images or a strip of square frames")


def _open_video(path: Path) -> ClipReader:
    # The display matrix comes with the frames, so the size is known only from the first one.
    frames = _decode(path, threaded=False)
    first = next(frames)
    frames.close()
    height, width, _ = _Converter(first)(first).shape
    with _open_media(path) as container:
        stream = _video_stream(container, path)
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        count: int | None = stream.frames or None
        if count is None and container.duration is not None:
            count = max(1, round(container.duration * _MICROSECOND * rate))
        has_audio = len(container.streams.audio) > 0
    return ClipReader(path, width, height, rate, count, has_audio, lambda: _video_frames(path))


def _open_animation(path: Path, image: Image.Image) -> ClipReader:
    milliseconds = 0
    count = cast(int, getattr(image, "n_frames", 1))
    with _decoding(path):
        for index in range(count):
            image.seek(index)
            image.load()
            duration = round(image.info.get("duration", 0))
            # As every browser: a delay under two hundredths means "not stated", and shows for a tenth.
            milliseconds += duration if duration >= 20 else 100
    rate = Fraction(1000 * count, milliseconds)
    return ClipReader(path, image.width, image.height, rate, count, False, lambda: _animation_frames(path))


def _animation_frames(path: Path) -> Generator[Frame]:
    image = _identify(path)
    if image is None:
        raise _fault(path, "the file changed while it was read", "repeat")
    with image:
        for index in range(cast(int, getattr(image, "n_frames", 1))):
            with _decoding(path):
                image.seek(index)
                pixels = _flatten(image)
            yield _to_float(pixels)


def _open_strip(path: Path, image: Image.Image) -> ClipReader:
    side, count = image.height, image.width // image.height

    def frames() -> Generator[Frame]:
        pixels = _read_still(path)
        for index in range(count):
            yield _to_float(pixels[:, index * side : (index + 1) * side])

    return ClipReader(path, side, side, DEFAULT_RATE, count, False, frames)


def _natural_key(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if part]


def _open_folder(path: Path) -> ClipReader:
    try:
        members = [member for member in path.iterdir() if not member.name.startswith(".")]
    except OSError as error:
        raise _fault(path, f"cannot be read ({error.strerror})", "check its permissions") from None
    pictures = sorted((m for m in members if m.suffix.lower() in _STILL_SUFFIXES), key=_natural_key)
    if not pictures:
        raise _fault(path, "the folder holds no image", "give a folder of png or jpg frames")
    size: tuple[int, int] | None = None
    for picture in pictures:
        _require_file(picture, "a picture")
        image = _identify(picture)
        if image is None:
            raise _fault(picture, "this is no picture that can be read", "remove it from the folder")
        with image, _decoding(picture):
            turned = _turned_size(image)
        size = size or turned
        if turned != size:
            raise _mixed_size(picture, turned, size)
    width, height = cast(tuple[int, int], size)

    def frames() -> Generator[Frame]:
        for picture in pictures:
            _require_file(picture, "a picture")
            pixels = _read_still(picture)
            if pixels.shape[:2] != (height, width):
                raise _mixed_size(picture, (pixels.shape[1], pixels.shape[0]), (width, height))
            yield _to_float(pixels)

    return ClipReader(path, width, height, DEFAULT_RATE, len(pictures), False, frames)


def _mixed_size(picture: Path, size: tuple[int, int], first: tuple[int, int]) -> UserError:
    fault = f"the image is {size[0]}x{size[1]}, the first of its folder {first[0]}x{first[1]}"
    return _fault(picture, fault, "frames of one clip must have one size: resize or remove it")


def read_clip(path: str | Path, *, size: int | None = None) -> Clip:
    """Read all frames of a clip into memory.

    Args:
        path: As for `open_clip`, which also tells the rate and reads without holding the clip in memory.
        size: Side in pixels to which each frame is centre-cropped and resized; `None` keeps each as it is.

    Raises:
        UserError: As `open_clip`, and where the file breaks off before its end.
    """
    with open_clip(path) as reader:
        height, width = (reader.height, reader.width) if size is None else (size, size)
        # Filled in place: stacking a list would hold the clip twice.
        # A header may promise anything, so no more than a start is taken on its word.
        clip = torch.empty(min(reader.frame_count or 16, 2000), 3, height, width)
        count = 0
        for frame in reader:
            if count == len(clip):
                clip = torch.cat([clip, torch.empty(max(16, count // 2), 3, height, width)])
            clip[count] = frame if size is None else fit_square(frame, size)
            count += 1
    return clip[:count]


def read_image(path: str | Path, *, frame: int = 0) -> Frame:
    """Read one picture, RGB in [0, 1], turned upright as its EXIF or rotation says; transparency shows white.

    Args:
        path: A picture (jpg, png, webp, ...), or a video or animated picture to take one frame of. A strip is
            read as the one wide picture that it is.
        frame: Which frame of a video or an animated picture, from 0; a still picture has frame 0 only.
            Frames before it are decoded too, so use `open_clip` to walk through a clip.

    Raises:
        ValueError: `frame` is negative.
        UserError: Nothing is there, or it is a folder, empty, damaged, too large, no picture, or has too few
            frames.
    """
    if frame < 0:
        raise ValueError(f"frame must be at least 0, got {frame}")
    path = Path(path)
    _require_file(path, "a picture")
    image = _identify(path)
    if image is None:
        return _to_float(_video_frame(path, frame))
    with image, _decoding(path):
        animated = _is_animated(image)
        count = cast(int, getattr(image, "n_frames", 1)) if animated else 1
        if frame >= count:
            raise _too_few_frames(path, count, frame)
        if animated:
            image.seek(frame)
            return _to_float(_flatten(image))
        return _to_float(_flatten(ImageOps.exif_transpose(image)))


def _video_frame(path: Path, wanted: int) -> Pixels:
    count = 0
    for count, decoded in enumerate(_decode(path, threaded=wanted > 0), start=1):
        if count > wanted:
            return _Converter(decoded)(decoded)
    raise _too_few_frames(path, count, wanted)


def _too_few_frames(path: Path, count: int, wanted: int) -> UserError:
    return _fault(path, f"there is no frame {wanted}, it has {count}", f"ask for 0 to {count - 1}")


# --------------------------------------------------------------------------------------------------
# Writing


@runtime_checkable
class _Encoder(Protocol):
    """Takes frames of one size and makes the temporary file or folder whole."""

    audio_kept: bool

    def write(self, pixels: Pixels) -> None: ...

    def finish(self) -> None: ...

    def abandon(self) -> None: ...


class ClipWriter:
    """Write a clip frame by frame, whole or not at all; the kind of file follows the name.

    `.mp4` is H.264 (4:2:0, so an odd side gains one column or row, repeated from the edge), `.webm` VP9,
    `.gif` 256 colours a frame, and a name without suffix, with "/" at its end or of an existing folder
    becomes a folder of 000000.png, 000001.png, ...

    Used as a context. Until it ends well everything goes to a hidden temporary neighbour; any exception
    removes that, and what stood under the name before stays as it was.

    A gif counts time in hundredths of a second and players refuse steps of less than two, so above 50 frames
    per second frames are left out of it; the clip lasts as long as it should.

    Attributes:
        path: Where the clip goes.
        rate: Frames per second.
        frame_count: Frames taken so far.
        audio_kept: Whether the clip has sound, known from the first frame on. False for gif, for a folder,
            and where `audio_from` has none.
    """

    def __init__(self, path: str | Path, *, rate: Rate = DEFAULT_RATE, audio_from: str | Path | None = None) -> None:
        """Check the name; nothing is written before the context is entered.

        Args:
            path: The output. Missing parent folders are made.
            rate: Frames per second, above 0; a float is taken for the nearest fraction with a denominator up
                to 1001, so that 29.97 becomes 30000/1001.
            audio_from: The clip whose sound is copied (or encoded anew where the file type needs it), cut to
                the length of the pictures. Sound keeps its own speed, so give that clip's `rate`.

        Raises:
            ValueError: `rate` is not above 0.
            UserError: The suffix is unknown, the folder to be replaced holds other things than our frames, or
                `audio_from` does not exist.
        """
        self.rate = Fraction(rate).limit_denominator(1001)
        if self.rate <= 0:
            raise ValueError(f"rate must be above 0, got {rate}")
        self.path = Path(path)
        self.frame_count = 0
        self._suffix = _output_kind(path)
        self._audio_from = None if audio_from is None else Path(audio_from)
        if self._audio_from is not None and not self._audio_from.exists():
            raise _fault(self._audio_from, "there is no such file to take the sound from", "check the path")
        if self._suffix == "":
            _require_replaceable(self.path)
        # Resolved, so that "." has a name and a link's target is replaced rather than the link.
        target = self.path.resolve()
        self._target = target
        self._temporary = target.with_name(f".{target.stem}.{secrets.token_hex(4)}.partial{self._suffix}")
        self._encoder: _Encoder | None = None
        self._entered = False

    @property
    def audio_kept(self) -> bool:
        return self._encoder is not None and self._encoder.audio_kept

    def __enter__(self) -> ClipWriter:
        """Claim the place. Raises UserError where it cannot be written to."""
        with _writing(self.path):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            if self._suffix == "":
                self._temporary.mkdir()
            else:
                self._temporary.touch()
        self._entered = True
        return self

    def write(self, frame: Frame) -> None:
        """Append one frame.

        Args:
            frame: RGB in [0, 1], any float type and device; values outside are clamped.

        Raises:
            ValueError: The frame has not three planes, or another size than the first.
            UserError: The disk is full or refuses, or the clip whose sound is copied is damaged.
        """
        if not self._entered:
            raise RuntimeError("ClipWriter takes frames inside its with block only")
        if frame.ndim != 3 or frame.shape[0] != 3 or 0 in frame.shape:
            raise ValueError(f"a frame has shape (3, height, width), got {tuple(frame.shape)}")
        pixels = _to_bytes(frame)
        if self._encoder is None:
            self._shape = pixels.shape
            with _writing(self.path):
                self._encoder = self._start(width=pixels.shape[1], height=pixels.shape[0])
        if pixels.shape != self._shape:
            raise ValueError(f"the first frame has shape {self._shape}, frame {self.frame_count} {pixels.shape}")
        with _writing(self.path):
            self._encoder.write(pixels)
        self.frame_count += 1

    def _start(self, *, width: int, height: int) -> _Encoder:
        if self._suffix == "":
            return _FolderEncoder(self._temporary)
        if self._suffix == ".gif":
            return _GifEncoder(self._temporary, self.rate, width, height)
        return _VideoEncoder(self._temporary, self.rate, width, height, self._audio_from)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the whole clip in its place, or remove every trace of it.

        Raises:
            UserError: The disk is full or refuses, or no frame was written.
        """
        try:
            if kind is None:
                if self._encoder is None:
                    raise _fault(self.path, "there is no frame to write", "give a clip with at least one")
                with _writing(self.path):
                    self._encoder.finish()
                    self._publish()
        finally:
            self._entered = False
            self._remove_temporary()

    def _publish(self) -> None:
        if self._suffix != "" or not self._target.is_dir() or not any(self._target.iterdir()):
            # A file is replaced in one step, and so is an empty folder.
            self._temporary.replace(self._target)
            return
        _require_replaceable(self.path)
        former = self._temporary.with_suffix(".former")
        self._target.rename(former)
        try:
            self._temporary.rename(self._target)
        except BaseException:
            former.rename(self._target)
            raise
        shutil.rmtree(former, ignore_errors=True)

    def _remove_temporary(self) -> None:
        # A disk that is full says so once more while its file is closed.
        if self._encoder is not None:
            with suppress(OSError, av.error.FFmpegError):
                self._encoder.abandon()
        if self._suffix == "":
            shutil.rmtree(self._temporary, ignore_errors=True)
        else:
            with suppress(OSError):
                self._temporary.unlink(missing_ok=True)


def write_clip(
    path: str | Path,
    frames: Clip | Iterable[Frame],
    *,
    rate: Rate = DEFAULT_RATE,
    audio_from: str | Path | None = None,
) -> None:
    """Write a clip, whole or not at all.

    Args:
        path: `.mp4`, `.webm`, `.gif`, or a folder of png; `ClipWriter` tells which name gives which.
        frames: A clip, or any iterable of frames of one size, which is taken one by one.
        rate: Frames per second, above 0.
        audio_from: A clip whose sound is kept, cut to the length of this one; gif and folders have none.

    Raises:
        ValueError: `rate` is not above 0, or a frame has another shape than the first.
        UserError: The name is of no known kind, the place cannot be written to, the disk is full, there is no
            frame, or `audio_from` cannot be read. Nothing half-written is left under the name.
    """
    with ClipWriter(path, rate=rate, audio_from=audio_from) as writer:
        for frame in frames:
            writer.write(frame)


def _output_kind(path: str | Path) -> str:
    """The suffix that decides the encoder; empty for a folder of png."""
    text = os.fspath(path)
    suffix = Path(path).suffix.lower()
    if text.endswith(("/", os.sep)) or suffix == "" or Path(path).is_dir():
        return ""
    if suffix not in (".mp4", ".webm", ".gif"):
        way_out = "use .mp4, .webm, .gif, or a name without suffix for a folder of png"
        raise _fault(Path(path), f"clips are not written as {suffix}", way_out)
    return suffix


def _require_replaceable(path: Path) -> None:
    """Refuse to replace a folder that holds anything else than numbered png of ours."""
    with _writing(path):
        if not path.exists():
            return
        if not path.is_dir():
            raise _fault(path, "a file of this name is in the way of a folder of png", "remove or rename it")
        for member in path.iterdir():
            if not _NUMBERED.fullmatch(member.name) or not member.is_file():
                fault = f"the folder holds other things than numbered png, such as {member.name}"
                raise _fault(path, fault, "choose an empty or a new folder")


class _FolderEncoder:
    """000000.png, 000001.png, ..."""

    audio_kept = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def write(self, pixels: Pixels) -> None:
        Image.fromarray(pixels).save(self._folder / f"{self._count:06d}.png", compress_level=3)
        self._count += 1

    def finish(self) -> None:
        pass

    def abandon(self) -> None:
        pass


class _GifEncoder:
    """A palette for every frame, chosen as it comes: the whole clip is never held."""

    audio_kept = False

    def __init__(self, path: Path, rate: Fraction, width: int, height: int) -> None:
        self._rate = rate
        self._taken = 0
        self._last_tick = -2
        self._pending: Packet[VideoStream] | None = None
        self._container = av.open(str(path), "w", format="gif")
        self._stream = self._container.add_stream("gif", rate=Fraction(100))
        self._stream.width = width
        self._stream.height = height
        self._stream.pix_fmt = "pal8"
        self._stream.codec_context.time_base = Fraction(1, 100)
        self._graph = av.filter.Graph()
        source = self._graph.add_buffer(width=width, height=height, format=_RGB, time_base=Fraction(1, 100))
        both = self._graph.add("split")
        palette = self._graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
        # Ordered dither stays in place where the picture does; diffusion would flicker there.
        use = self._graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=4")
        sink = self._graph.add("buffersink")
        source.link_to(both)
        both.link_to(palette, 0, 0)
        both.link_to(use, 1, 0)
        palette.link_to(use, 0, 1)
        use.link_to(sink)
        self._graph.configure()

    def write(self, pixels: Pixels) -> None:
        tick = round(100 * self._taken / self._rate)
        self._taken += 1
        if tick - self._last_tick < 2:
            return
        self._last_tick = tick
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = tick, Fraction(1, 100)
        self._graph.vpush(frame)
        reduced = self._graph.vpull()
        reduced.pts, reduced.time_base = tick, Fraction(1, 100)
        for packet in self._stream.encode(reduced):
            self._mux_pending()
            self._pending = packet

    def _mux_pending(self) -> None:
        if self._pending is not None:
            self._container.mux(self._pending)
        self._pending = None

    def finish(self) -> None:
        # The muxer times each frame by the next; only the last one must be told how long it shows.
        if self._pending is not None:
            self._pending.duration = max(2, round(100 * self._taken / self._rate) - self._last_tick)
        self._mux_pending()
        self._container.close()

    def abandon(self) -> None:
        self._container.close()


_RGB = av.VideoFormat("rgb24")

_VIDEO_CODECS: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    ".mp4": ("libx264", {"crf": "17", "preset": "medium"}, {"movflags": "+faststart"}),
    ".webm": ("libvpx-vp9", {"crf": "24", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}, {}),
}
_AUDIO_COPIED = {".mp4": ("aac", "mp3"), ".webm": ("opus", "vorbis")}
_AUDIO_ENCODERS: dict[str, Literal["aac", "libopus"]] = {".mp4": "aac", ".webm": "libopus"}


class _VideoEncoder:
    """mp4 or webm, pictures and sound interleaved as they come."""

    def __init__(self, path: Path, rate: Fraction, width: int, height: int, audio_from: Path | None) -> None:
        codec, options, container_options = _VIDEO_CODECS[path.suffix]
        self._rate = rate
        self._count = 0
        # VP9 takes odd sides; 4:4:4 H.264, which would too, does not play in most browsers and phones.
        self._padding = (height % 2, width % 2) if path.suffix == ".mp4" else (0, 0)
        self._reformatter = VideoReformatter()
        self._resources = ExitStack()
        self._container: OutputContainer = av.open(str(path), "w", options=container_options)
        stream = self._container.add_stream(codec, rate=rate, options=dict(options))
        self._stream = cast(VideoStream, stream)
        self._stream.height = height + self._padding[0]
        self._stream.width = width + self._padding[1]
        self._stream.pix_fmt = "yuv420p"
        self._stream.thread_type = "AUTO"
        context = self._stream.codec_context
        context.time_base = 1 / rate
        if codec == "libvpx-vp9":
            context.bit_rate = 0  # constant quality
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        self._audio: Iterator[Packet[AudioStream]] | None = None
        self._next_audio: Packet[AudioStream] | None = None
        self.audio_kept = False
        if audio_from is not None and audio_from.is_file():
            try:
                self._take_audio(audio_from, path.suffix)
            except BaseException:
                self.abandon()
                raise

    def _take_audio(self, path: Path, suffix: str) -> None:
        if (picture := _identify(path)) is not None:
            picture.close()
            return
        source = self._resources.enter_context(_open_media(path))
        sound = next((s for s in source.streams.audio if cast(object, s.codec_context) is not None), None)
        if sound is None:
            return
        if sound.codec_context.codec.canonical_name in _AUDIO_COPIED[suffix]:
            copy = self._container.add_stream_from_template(sound)
            self._audio = _copied_audio(path, source, sound, copy)
        else:
            # Opus knows only this rate of the usual two.
            encoded = self._container.add_stream(_AUDIO_ENCODERS[suffix], rate=48000)
            encoded.codec_context.bit_rate = 128_000
            encoded.codec_context.layout = "mono" if sound.codec_context.layout.nb_channels == 1 else "stereo"
            self._audio = _encoded_audio(path, source, sound, encoded)
        self._next_audio = next(self._audio, None)
        self.audio_kept = True

    def write(self, pixels: Pixels) -> None:
        if any(self._padding):
            rows, columns = self._padding
            pixels = np.pad(pixels, ((0, rows), (0, columns), (0, 0)), mode="edge")
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(pixels, format="rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=_SCALING,
            threads=1,
        )
        frame.colorspace = Colorspace.ITU709
        frame.color_range = ColorRange.MPEG
        frame.color_primaries = ColorPrimaries.BT709
        frame.color_trc = ColorTrc.BT709
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._container.mux(self._stream.encode(frame))
        self._count += 1
        self._mux_audio(until=self._count / self._rate)

    def _mux_audio(self, until: Fraction) -> None:
        """Hand on what sounds before `until` seconds; the rest waits for more pictures, or is left out."""
        while self._audio is not None and self._next_audio is not None:
            packet = self._next_audio
            if ((packet.pts or 0) + (packet.duration or 0)) * packet.time_base > until:
                return
            self._container.mux(packet)
            self._next_audio = next(self._audio, None)

    def finish(self) -> None:
        self._container.mux(self._stream.encode())
        self._container.close()

    def abandon(self) -> None:
        self._resources.close()
        self._container.close()


def _sound_delay(source: InputContainer, sound: AudioStream) -> int:
    """What to take off the sound's time stamps so that the pictures begin at 0."""
    pictures = next(iter(source.streams.video), None)
    if pictures is None or pictures.start_time is None or pictures.time_base is None or sound.time_base is None:
        return 0
    return round(pictures.start_time * pictures.time_base / sound.time_base)


@contextmanager
def _reading_sound(path: Path) -> Generator[None]:
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        reason = error.strerror or str(error)
        raise _fault(path, f"its sound is damaged ({reason})", "repair it or write without sound") from None


def _demux_sound(path: Path, source: InputContainer, sound: AudioStream) -> Iterator[Packet[AudioStream]]:
    packets = source.demux(sound)
    while True:
        with _reading_sound(path):
            packet = next(packets, None)
        if packet is None:
            return
        yield packet


def _copied_audio(
    path: Path, source: InputContainer, sound: AudioStream, copy: Stream
) -> Iterator[Packet[AudioStream]]:
    delay = _sound_delay(source, sound)
    for packet in _demux_sound(path, source, sound):
        if packet.size == 0 or packet.pts is None or packet.dts is None:
            continue
        packet.pts -= delay
        packet.dts -= delay
        # A packet that ends at 0 primes the decoder; what ends before sounds before the first picture.
        if packet.pts + (packet.duration or 0) < 0:
            continue
        packet.stream = cast(AudioStream, copy)
        yield packet


def _encoded_audio(
    path: Path, source: InputContainer, sound: AudioStream, encoded: AudioStream
) -> Iterator[Packet[AudioStream]]:
    delay = _sound_delay(source, sound)
    for packet in _demux_sound(path, source, sound):
        with _reading_sound(path):
            heard = packet.decode()
        for frame in heard:
            if frame.pts is not None:
                frame.pts -= delay
                if frame.pts < 0:
                    continue
            yield from encoded.encode(frame)
    yield from encoded.encode(None)


# --------------------------------------------------------------------------------------------------
# Square frames


@dataclass(frozen=True, slots=True)
class Fit:
    """How frames become square.

    Attributes:
        width: Columns before.
        height: Rows before.
        left: First column of the square, in pixels of the frame; negative where padding comes before it.
        top: First row of the square, likewise.
        side: Side of the square before resizing, in pixels.
        size: Side after resizing, in pixels.
    """

    width: int
    height: int
    left: int
    top: int
    side: int
    size: int

    def describe(self) -> str:
        """One phrase for a person, such as "centre-cropped 1280x720 to 720x720, resized to 64x64"."""
        square, goal = f"{self.side}x{self.side}", f"{self.size}x{self.size}"
        steps: list[str] = []
        if self.width != self.height:
            verb = "padded" if self.side > min(self.width, self.height) else "centre-cropped"
            steps.append(f"{verb} {self.width}x{self.height} to {square}")
        if self.side != self.size:
            steps.append(f"resized to {goal}" if steps else f"resized {square} to {goal}")
        return ", ".join(steps) or f"kept {goal}"


def square_fit(width: int, height: int, size: int, mode: Literal["crop", "pad"] = "crop") -> Fit:
    """Plan how frames of `width` by `height` pixels become squares of `size`.

    Args:
        mode: "crop" keeps the centre and loses the ends of the longer side; "pad" keeps all and repeats the
            edges of the shorter. An odd pixel goes to the right or the bottom.

    Raises:
        ValueError: A number is below 1, or `mode` is neither of both.
    """
    if min(width, height, size) < 1:
        raise ValueError(f"width, height and size must be at least 1, got {width}, {height}, {size}")
    if mode not in ("crop", "pad"):
        raise ValueError(f"mode must be 'crop' or 'pad', got {mode!r}")
    side = min(width, height) if mode == "crop" else max(width, height)
    # Truncated towards zero both ways, so that cropping and padding give the odd pixel to the same end.
    return Fit(width, height, int((width - side) / 2), int((height - side) / 2), side, size)


def fit_square(
    frames: Float[Tensor, "*batch 3 height width"], size: int, mode: Literal["crop", "pad"] = "crop"
) -> Float[Tensor, "*batch 3 {size} {size}"]:
    """Make frames square and resize them with an anti-aliased bilinear filter.

    Args:
        frames: One frame, a batch or a clip; RGB in [0, 1].
        size: Side of the result in pixels.
        mode: As in `square_fit`, whose `Fit` tells in words what is done here.

    Raises:
        ValueError: As `square_fit`.
    """
    *batch, channels, height, width = frames.shape
    fit = square_fit(width, height, size, mode)
    flat = frames.reshape(-1, channels, height, width)
    if fit.side > min(height, width):
        right, bottom = fit.side - width + fit.left, fit.side - height + fit.top
        flat = F.pad(flat, (-fit.left, right, -fit.top, bottom), mode="replicate")
    else:
        flat = flat[..., fit.top : fit.top + fit.side, fit.left : fit.left + fit.side]
    if fit.side != size:
        flat = F.interpolate(flat, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    return flat.reshape(*batch, channels, size, size)

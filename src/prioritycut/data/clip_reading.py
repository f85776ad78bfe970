"""Clips of every kind, frame by frame or whole: videos, animated pictures, strips and folders of images."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import cast
from weakref import WeakSet

import torch
from PIL import Image, ImageOps

from prioritycut.data.framing import fit_square
from prioritycut.data.media import DEFAULT_RATE, Frame, Pixels, file_fault, require_file, to_float
from prioritycut.data.pictures import (
    decoding_picture,
    flatten_picture,
    identify_picture,
    is_animated,
    read_still,
    turned_size,
)
from prioritycut.data.video import MICROSECOND, FrameConverter, decode_video, open_media, video_stream
from prioritycut.errors import UserError
from prioritycut.outputs import Clip

_STILL_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".avif"})


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
    require_file(path, "a video, a gif, a strip or a folder of images")
    image = identify_picture(path)
    if image is None:
        return _open_video(path)
    with image:
        with decoding_picture(path):
            animated = is_animated(image)
        if animated:
            return _open_animation(path, image)
        if image.width >= 2 * image.height and image.width % image.height == 0:
            return _open_strip(path, image)
    fault = f"this is a single picture of {image.width}x{image.height}, not a clip"
    raise file_fault(path, fault, "give a video, a gif, a folder of images or a strip of square frames")


def _open_video(path: Path) -> ClipReader:
    # The display matrix comes with the frames, so the size is known only from the first one.
    frames = decode_video(path, threaded=False)
    first = next(frames)
    frames.close()
    height, width, _ = FrameConverter(first)(first).shape
    with open_media(path) as container:
        stream = video_stream(container, path)
        rate = stream.average_rate or stream.guessed_rate or DEFAULT_RATE
        count: int | None = stream.frames or None
        if count is None and container.duration is not None:
            count = max(1, round(container.duration * MICROSECOND * rate))
        has_audio = len(container.streams.audio) > 0
    return ClipReader(path, width, height, rate, count, has_audio, lambda: _video_frames(path))


def _video_frames(path: Path) -> Generator[Frame]:
    convert: FrameConverter | None = None
    for decoded in decode_video(path):
        convert = convert or FrameConverter(decoded)
        yield to_float(convert(decoded))


def _open_animation(path: Path, image: Image.Image) -> ClipReader:
    milliseconds = 0
    count = cast(int, getattr(image, "n_frames", 1))
    with decoding_picture(path):
        for index in range(count):
            image.seek(index)
            image.load()
            duration = round(image.info.get("duration", 0))
            # As every browser: a delay under two hundredths means "not stated", and shows for a tenth.
            milliseconds += duration if duration >= 20 else 100
    rate = Fraction(1000 * count, milliseconds)
    return ClipReader(path, image.width, image.height, rate, count, False, lambda: _animation_frames(path))


def _animation_frames(path: Path) -> Generator[Frame]:
    image = identify_picture(path)
    if image is None:
        raise file_fault(path, "the file changed while it was read", "repeat")
    with image:
        for index in range(cast(int, getattr(image, "n_frames", 1))):
            with decoding_picture(path):
                image.seek(index)
                pixels = flatten_picture(image)
            yield to_float(pixels)


def _open_strip(path: Path, image: Image.Image) -> ClipReader:
    side, count = image.height, image.width // image.height

    def frames() -> Generator[Frame]:
        pixels = read_still(path)
        for index in range(count):
            yield to_float(pixels[:, index * side : (index + 1) * side])

    return ClipReader(path, side, side, DEFAULT_RATE, count, False, frames)


def _natural_key(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"(\d+)", path.name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts if part]


def folder_pictures(path: Path) -> list[Path]:
    """The frames of a folder, in natural order: 2.png before 10.png.

    Raises:
        UserError: It cannot be read, or holds no picture.
    """
    try:
        members = [member for member in path.iterdir() if not member.name.startswith(".")]
    except OSError as error:
        raise file_fault(path, f"cannot be read ({error.strerror})", "check its permissions") from None
    pictures = sorted(m for m in members if m.suffix.lower() in _STILL_SUFFIXES)
    pictures.sort(key=_natural_key)  # of 1.png and 01.png, which it ranks alike, the order stays that of names
    if not pictures:
        raise file_fault(path, "the folder holds no image", "give a folder of png or jpg frames")
    return pictures


def _open_folder(path: Path) -> ClipReader:
    pictures = folder_pictures(path)
    size: tuple[int, int] | None = None
    for picture in pictures:
        require_file(picture, "a picture")
        image = identify_picture(picture)
        if image is None:
            raise file_fault(picture, "this is no picture that can be read", "remove it from the folder")
        with image, decoding_picture(picture):
            turned = turned_size(image)
        size = size or turned
        if turned != size:
            raise _mixed_size(picture, turned, size)
    width, height = cast(tuple[int, int], size)

    def frames() -> Generator[Frame]:
        for picture in pictures:
            require_file(picture, "a picture")
            pixels = read_still(picture)
            if pixels.shape[:2] != (height, width):
                raise _mixed_size(picture, (pixels.shape[1], pixels.shape[0]), (width, height))
            yield to_float(pixels)

    return ClipReader(path, width, height, DEFAULT_RATE, len(pictures), False, frames)


def _mixed_size(picture: Path, size: tuple[int, int], first: tuple[int, int]) -> UserError:
    fault = f"the image is {size[0]}x{size[1]}, the first of its folder {first[0]}x{first[1]}"
    return file_fault(picture, fault, "frames of one clip must have one size: resize or remove it")


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
    require_file(path, "a picture")
    image = identify_picture(path)
    if image is None:
        return to_float(_video_frame(path, frame))
    with image, decoding_picture(path):
        animated = is_animated(image)
        count = cast(int, getattr(image, "n_frames", 1)) if animated else 1
        if frame >= count:
            raise _too_few_frames(path, count, frame)
        if animated:
            image.seek(frame)
            return to_float(flatten_picture(image))
        return to_float(flatten_picture(ImageOps.exif_transpose(image)))


def _video_frame(path: Path, wanted: int) -> Pixels:
    count = 0
    for count, decoded in enumerate(decode_video(path, threaded=wanted > 0), start=1):
        if count > wanted:
            return FrameConverter(decoded)(decoded)
    raise _too_few_frames(path, count, wanted)


def _too_few_frames(path: Path, count: int, wanted: int) -> UserError:
    return file_fault(path, f"there is no frame {wanted}, it has {count}", f"ask for 0 to {count - 1}")

"""What the benchmarks of data read: the real clips beside the project, or a photograph that moves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

from prioritycut.data.clips import write_clip
from prioritycut.data.media import Pixels, to_float
from prioritycut.data.video import decode_video, frame_layout, rgb_pixels
from prioritycut.preprocessing.cutting import resize_square

FACES = Path(__file__).parents[1].parent / "shared" / "data" / "faces"
"""Real clips of people, where they lie beside the project."""


def real_clips() -> list[Path]:
    return sorted(FACES.glob("*.mp4"))


def decoded(path: Path) -> Iterator[Pixels]:
    """Every frame of a video, by one thread."""
    layout, reformatter = None, VideoReformatter()
    for frame in decode_video(path, threaded=False):
        layout = layout or frame_layout(frame)
        yield rgb_pixels(frame, layout, reformatter)


def photograph(width: int, height: int, count: int) -> Iterator[Pixels]:
    """NASA's portrait of Eileen Collins behind a window that wanders around it."""
    from skimage import data

    side = max(width, height) * 9 // 8
    picture = np.asarray(Image.fromarray(data.astronaut()).resize((side, side), Image.Resampling.LANCZOS))
    for number in range(count):
        angle = 2 * math.pi * number / 97
        left = round((side - width) / 2 * (1 + math.cos(angle)))
        top = round((side - height) / 8 * (1 + math.sin(angle)))
        yield picture[top : top + height, left : left + width]


def square_frames(clip: Path | None, size: int, count: int) -> list[Pixels]:
    """The first frames of a clip, or of the photograph: their middle square at `size` pixels."""
    if clip is None:
        return list(photograph(size, size, count))
    frames = list[Pixels]()
    for pixels in islice(decoded(clip), count):
        height, width = pixels.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        frames.append(resize_square(pixels[top : top + side, left : left + side], size))
    return frames


def large_video(folder: Path, count: int = 250) -> Path:
    """A 1280x720 video of the photograph, such as a site delivers it."""
    path = folder / "photograph.mp4"
    write_clip(path, map(to_float, photograph(1280, 720, count)))
    return path

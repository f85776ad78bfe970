"""Clips whose every frame shows its own number, so that any reader can be asked which frame it gave."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

DARK, BRIGHT = 40, 220
BITS = 9


def numbered_frame(number: int, width: int = 64, height: int = 64) -> np.ndarray:
    """The number's bits as squares of 16 pixels, three a row, on a ground that differs from frame to frame."""
    pixels = np.full((height, width, 3), 60 + number * 7 % 120, np.uint8)
    for bit in range(BITS):
        top, left = bit // 3 * 16 + 8, bit % 3 * 16 + 8
        pixels[top : top + 16, left : left + 16] = BRIGHT if number >> bit & 1 else DARK
    return pixels


def number_shown(pixels: np.ndarray) -> int:
    """The number that a frame shows, whatever lossy compression did to it."""
    centres = (pixels[bit // 3 * 16 + 16, bit % 3 * 16 + 16] for bit in range(BITS))
    return sum(1 << bit for bit, colour in enumerate(centres) if colour.mean() > (DARK + BRIGHT) / 2)


def write_numbered_video(
    path: Path,
    count: int = 60,
    *,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    pixel_format: str = "yuv420p",
    width: int = 64,
    height: int = 64,
    rate: int = 25,
    times: Sequence[int] | None = None,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
    rotation: int | None = None,
) -> Path:
    """A video made by av alone.

    Args:
        times: When each frame is shown, in milliseconds; `None` shows `rate` of them a second.
        container: Its format, if not the one that the suffix names.
        rotation: Degrees that a player must turn it by, counterclockwise.
    """
    with av.open(str(path), "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.codec_context.thread_count = 1
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered_frame(number, width, height), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def shift_video(source: Path, target: Path, frames: int) -> Path:
    """A copy without the first frames, packets as they are: the rest begins amid a group of pictures.

    What those frames gave to later ones stays in the file, and an edit list says not to show it.
    """
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    with av.open(str(source)) as whole, av.open(str(target), "w", options=options) as output:
        stream = whole.streams.video[0]
        copied = output.add_stream_from_template(stream)
        offset = frames * round(1 / (stream.average_rate * stream.time_base))
        for packet in whole.demux(stream):
            if packet.size:
                packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
                packet.stream = copied
                output.mux(packet)
    return target

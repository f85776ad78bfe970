"""A rectangle out of each decoded frame of a video, at the cost of the rectangle rather than of the frame."""

from __future__ import annotations

from fractions import Fraction
from typing import TypeAlias

import numpy as np
from av.filter import Graph
from av.video.frame import VideoFrame
from jaxtyping import UInt8

from prioritycut.data.media import Pixels
from prioritycut.data.video import FrameConverter, FrameLayout, frame_layout

Rectangle: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom edge in pixels."""

# Colour is stored for two pixels together, and spread over their neighbours by a bicubic filter.
_ALIGNED, _MARGIN = 8, 16


class PartConverter:
    """RGB of one rectangle of each frame: the very pixels that `FrameConverter` gives there.

    The rectangle is cut out of the stored frame, without copying, before it is converted: of a small part of a large
    frame the conversion costs a tenth.
    """

    def __init__(self, first: VideoFrame, part: Rectangle) -> None:
        """Plan for the frames of a video.

        Args:
            first: The video's first frame, which decides the size and the rotation of all.
            part: Within the upright frame.
        """
        self._whole = FrameConverter(first)
        self._part = part
        layout = frame_layout(first)
        left, top, right, bottom = _stored(part, layout)
        around = (
            max(0, left - _MARGIN) // _ALIGNED * _ALIGNED,
            max(0, top - _MARGIN) // _ALIGNED * _ALIGNED,
            min(first.width, right + _MARGIN + -right % _ALIGNED),
            min(first.height, bottom + _MARGIN + -bottom % _ALIGNED),
        )
        self._within = _moved(part, _shown(around, layout))
        self._form = _form(first)
        self._graph = _cropping(first, around) if _has_plain_colour(first) else None
        self._converter: FrameConverter | None = None

    def __call__(self, frame: VideoFrame) -> Pixels:
        if self._graph is None or _form(frame) != self._form:
            return _sliced(self._whole(frame), self._part)
        self._graph.vpush(frame)
        around = self._graph.vpull()
        self._converter = self._converter or FrameConverter(around)
        return _sliced(self._converter(around), self._within)


def _form(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _has_plain_colour(frame: VideoFrame) -> bool:
    """Whether colour is stored for one pixel or two, and for none beyond the edge.

    Otherwise swscale spreads it by steps that depend on the size, so that a part would not come out as in the whole.
    """
    across, down = 8 // frame.format.chroma_width(8), 8 // frame.format.chroma_height(8)
    return max(across, down) <= 2 and frame.width % across == 0 and frame.height % down == 0


def _cropping(frame: VideoFrame, part: Rectangle) -> Graph:
    left, top, right, bottom = part
    graph = Graph()
    graph.threads = 1  # by default every graph starts one a core, for a step that moves two pointers
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 25)
    )
    crop = graph.add("crop", f"{right - left}:{bottom - top}:{left}:{top}:exact=1")
    sink = graph.add("buffersink")
    source.link_to(crop)
    crop.link_to(sink)
    graph.configure()
    return graph


def _sliced(pixels: Pixels, part: Rectangle) -> UInt8[np.ndarray, "rows columns 3"]:
    left, top, right, bottom = part
    return pixels[top:bottom, left:right]


def _moved(part: Rectangle, origin: Rectangle) -> Rectangle:
    """The same rectangle, counted from the upper left corner of another."""
    left, top = origin[:2]
    return part[0] - left, part[1] - top, part[2] - left, part[3] - top


def _shown(part: Rectangle, layout: FrameLayout) -> Rectangle:
    """Where a rectangle of stored frames lies in upright ones."""
    return _mirrored(_transposed(part) if _lies_sideways(layout) else part, layout)


def _stored(part: Rectangle, layout: FrameLayout) -> Rectangle:
    """Where a rectangle of upright frames lies in stored ones."""
    unmirrored = _mirrored(part, layout)
    return _transposed(unmirrored) if _lies_sideways(layout) else unmirrored


def _lies_sideways(layout: FrameLayout) -> bool:
    a, b, c, d = layout.turning
    return abs(b) + abs(c) > abs(a) + abs(d)


def _transposed(part: Rectangle) -> Rectangle:
    left, top, right, bottom = part
    return top, left, bottom, right


def _mirrored(part: Rectangle, layout: FrameLayout) -> Rectangle:
    """Undo or repeat the mirroring that follows the transposition, in pixels of the upright frame."""
    left, top, right, bottom = part
    width, height = layout.upright_size
    a, b, c, d = layout.turning
    columns, rows = (c, b) if _lies_sideways(layout) else (a, d)
    if columns < 0:
        left, right = width - right, width - left
    if rows < 0:
        top, bottom = height - bottom, height - top
    return left, top, right, bottom

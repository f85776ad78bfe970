"""Boxes around subjects, in whole pixels of an upright frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

WhyNot: TypeAlias = Literal["lost subject", "too small", "left the frame"]
"""Outcomes of a subject that no clip is made of."""


@dataclass(frozen=True, slots=True)
class Box:
    """Edges in pixels from the frame's left and top; all four may lie outside it."""

    left: int
    top: int
    right: int
    bottom: int


def iou(a: Box, b: Box) -> float:
    """Area of the overlap over that of the union, with the right and bottom edge counted in, in [0, 1] (SPEC 7.2)."""
    columns = min(a.right, b.right) - max(a.left, b.left) + 1
    rows = min(a.bottom, b.bottom) - max(a.top, b.top) + 1
    overlap = max(columns, 0) * max(rows, 0)
    return overlap / (_area(a) + _area(b) - overlap)


def _area(box: Box) -> int:
    return (box.right - box.left + 1) * (box.bottom - box.top + 1)


def join(a: Box, b: Box) -> Box:
    """The smallest box that holds both."""
    return Box(min(a.left, b.left), min(a.top, b.top), max(a.right, b.right), max(a.bottom, b.bottom))


def intersection(a: Box, b: Box) -> Box | None:
    """What lies in both; `None` where they do not overlap by a pixel's width and height, edges not counted in."""
    both = Box(max(a.left, b.left), max(a.top, b.top), min(a.right, b.right), min(a.bottom, b.bottom))
    return both if both.left < both.right and both.top < both.bottom else None


def contains(outer: Box, inner: Box) -> bool:
    """Whether `inner` lies in `outer`; edges may touch."""
    return join(outer, inner) == outer


def expand_to_square(box: Box, increase: float) -> Box:
    """A square around the same middle, its side the longer one and `increase` of it more at each end (SPEC 7.2).

    Coordinates are truncated to whole pixels, towards 0, so that it is a square but for one pixel.
    """
    width, height = box.right - box.left, box.bottom - box.top
    side = (1 + 2 * increase) * max(width, height)
    across, down = (side - width) / 2, (side - height) / 2
    return Box(int(box.left - across), int(box.top - down), int(box.right + across), int(box.bottom + down))


def rescale(box: Box, from_size: tuple[int, int], to_size: tuple[int, int]) -> Box:
    """The box in a frame of another size, each coordinate rounded down to a whole pixel (SPEC 7.2).

    A box inside its frame stays inside.

    Args:
        from_size: Width and height of the frame that `box` is measured in, in pixels.
        to_size: Width and height of the other.
    """
    (from_width, from_height), (width, height) = from_size, to_size
    return Box(
        box.left * width // from_width,
        box.top * height // from_height,
        box.right * width // from_width,
        box.bottom * height // from_height,
    )


def inside_frame(box: Box, width: int, height: int) -> bool:
    """Whether no side of a box leaves a frame; it may touch its edges."""
    return contains(Box(0, 0, width, height), box)


def longer_side(box: Box) -> int:
    """The longer of width and height, in pixels."""
    return max(box.right - box.left, box.bottom - box.top)


def crop_decision(
    tube: Box,
    frames: int,
    *,
    frame_size: tuple[int, int],
    increase: float = 0.1,
    min_frames: int = 64,
    min_size: int = 256,
) -> Box | WhyNot:
    """The square to cut out for a subject that was followed for some time, or why there is none (SPEC 7.2).

    Args:
        tube: Union of the subject's boxes.
        frames: How many frames it was followed for.
        frame_size: Width and height of the frame, in pixels.
        increase: As `expand_to_square` has it.
        min_frames: Fewer are too few.
        min_size: Of the tube's longer side before it is expanded, in pixels.
    """
    if frames < min_frames:
        return "lost subject"
    if longer_side(tube) < min_size:
        return "too small"
    square = expand_to_square(tube, increase)
    return square if inside_frame(square, *frame_size) else "left the frame"

"""Sheets, and the easel on which they are painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prioritycut.data.puppets.arrays import Field, Picture
from prioritycut.data.puppets.colours import Colour
from prioritycut.data.puppets.motion import HEAD_UNIT, Mount


@dataclass(frozen=True, slots=True)
class Sheet:
    """A painted part: premultiplied RGBA, transparent at its border.

    Attributes:
        name: What it is.
        picture: Its texels.
        left: x of the centre of the first column, in head units.
        top: y of the centre of the first row.
        density: Texels in a head unit.
        mount: How it hangs.
        landmarks: The keypoints that it carries, with their xy on the sheet.
    """

    name: str
    picture: Picture
    left: float
    top: float
    density: float
    mount: Mount
    landmarks: tuple[tuple[str, float, float], ...] = ()


class Easel:
    """A sheet being painted: coordinates of its texels and strokes laid over one another."""

    def __init__(self, left: float, top: float, right: float, bottom: float, size: int, detail: float = 1.5) -> None:
        """Stretch a canvas.

        Args:
            left, top, right, bottom: What it spans, in head units; a margin is added.
            size: Of the frame, in pixels.
            detail: Texels in a pixel.
        """
        self.detail = detail
        self.density = detail * HEAD_UNIT * (size - 1) / 2.0
        margin = 3.0 / self.density
        self.left, self.top = left - margin, top - margin
        cols = int((right - left) * self.density) + 7
        rows = int((bottom - top) * self.density) + 7
        self.x: Field = (self.left + np.arange(cols, dtype=np.float32) / np.float32(self.density))[None, :]
        self.y: Field = (self.top + np.arange(rows, dtype=np.float32) / np.float32(self.density))[:, None]
        self.picture: Picture = np.zeros((rows, cols, 4), np.float32)

    def paint(self, shape: Field, colour: Colour, opacity: float = 1.0) -> None:
        """Lay a colour over all texels where `shape` is below 0; its edge is about one pixel wide."""
        self.lay(self.cover(shape) * np.float32(opacity), colour)

    def lay(self, cover: Field, colour: Colour) -> None:
        """Lay a colour with the given coverage in [0, 1]."""
        self.picture *= 1.0 - cover[..., None]
        self.picture += cover[..., None] * np.array([*colour, 1.0], np.float32)

    def tint(self, amount: Field, colour: Colour) -> None:
        """Mix a colour into what is already painted, and nowhere else; amount in [0, 1]."""
        self.picture[..., :3] *= 1.0 - amount[..., None]
        self.picture[..., :3] += (amount * self.picture[..., 3])[..., None] * np.array(colour, np.float32)

    def cover(self, shape: Field) -> Field:
        """Coverage of the texels by the region where a function is below 0."""
        shape = np.broadcast_to(shape, self.picture.shape[:2])
        down, across = np.gradient(shape)
        steepness = np.sqrt(down * down + across * across) + np.float32(1e-6)
        return np.clip(0.5 - shape / (steepness * np.float32(self.detail)), 0.0, 1.0)

    def finish(self, name: str, mount: Mount, *landmarks: tuple[str, float, float]) -> Sheet:
        """Take the sheet off, its border made transparent so that reading past the end reads nothing."""
        picture = self.picture
        picture[:2], picture[-2:], picture[:, :2], picture[:, -2:] = 0.0, 0.0, 0.0, 0.0
        return Sheet(name, picture, self.left, self.top, self.density, mount, landmarks)

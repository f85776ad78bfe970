"""What stands still behind the puppet."""

from __future__ import annotations

import numpy as np

from prioritycut.data.puppets.arrays import Field, Numbers
from prioritycut.data.puppets.colours import WHITE, mix
from prioritycut.data.puppets.looks import Looks
from prioritycut.data.puppets.shapes import ellipse, ramp, smooth_noise, wave, zigzag


def paint_background(looks: Looks, size: int) -> Numbers:
    """Channels-first RGB in [0, 1] of what stands still behind the puppet, 3 size size."""
    line = np.arange(size, dtype=np.float32) * np.float32(2.0 / (size - 1)) - 1.0
    x, y = line[None, :], line[:, None]
    sharp = np.float32(size / 2.0)

    def edge(shape: Field) -> Field:
        return np.clip(0.5 - shape * sharp, 0.0, 1.0)

    along = x + looks.turn * y
    upright = y - looks.turn * x
    amount = ramp(upright, -1.4, 1.4)
    if looks.scenery == "stripes":
        pattern = edge((0.5 - zigzag(along * 1.6)) * 0.3)
    elif looks.scenery == "dots":
        column, row = along * 2.2, upright * 2.2
        pattern = edge((ellipse(column - np.floor(column) - 0.5, row - np.floor(row) - 0.5, 0.3, 0.3)) * 0.07)
    elif looks.scenery == "checks":
        pattern = 0.5 * edge((0.5 - zigzag(along * 1.3)) * 0.35) + 0.5 * edge((0.5 - zigzag(upright * 1.3)) * 0.35)
    elif looks.scenery == "clouds":
        cloud = smooth_noise(looks.noise, 2.6 * x + 6.0, 3.6 * y + 6.0) + 0.5 * smooth_noise(
            looks.noise, 6.0 * x + 6.3, 7.0 * y + 6.3
        )
        pattern = ramp(cloud, -0.5, 0.7)
    elif looks.scenery == "hills":
        far = edge((0.15 + 0.2 * wave(0.6 * x + looks.turn)) - y)
        near = edge((0.45 + 0.15 * wave(0.45 * x - looks.turn)) - y)
        pattern = np.maximum(0.55 * far, near)
    elif looks.scenery == "rings":
        distance = np.sqrt((x - 0.5 * looks.turn) ** 2 + (y + 0.4) ** 2)
        pattern = edge((0.5 - zigzag(distance * 1.8)) * 0.28)
    elif looks.scenery == "rays":
        distance = np.abs(x - 0.3 * looks.turn) + np.abs(y - 1.2) + np.float32(1e-3)
        pattern = edge((0.5 - zigzag(5.0 * (x - 0.3 * looks.turn) / distance)) * 0.2 * distance)
    else:
        pattern = np.zeros_like(amount)
    grain = 0.025 * smooth_noise(looks.noise, 1.7 * x + 6.0, 1.7 * y + 6.0)
    accent = mix(mix(looks.sky, looks.ground, 0.75), WHITE, 0.08)
    planes = [
        np.clip(
            (sky + (ground - sky) * 0.6 * amount) * (1.0 - 0.55 * pattern) + 0.55 * pattern * third + grain,
            0.0,
            1.0,
        )
        for sky, ground, third in zip(looks.sky, looks.ground, accent, strict=True)
    ]
    return np.stack(planes).astype(np.float32)

"""Glasses and hats."""

from __future__ import annotations

import numpy as np

from prioritycut.data.puppets.colours import mix, shade
from prioritycut.data.puppets.looks import Looks
from prioritycut.data.puppets.motion import Mount
from prioritycut.data.puppets.painting import Easel, Sheet
from prioritycut.data.puppets.shapes import box, ellipse, ramp, smooth_noise, zigzag


def paint_glasses(looks: Looks, size: int) -> list[Sheet]:
    """Rims and bridge, then the two temples."""
    easel = Easel(-0.85, -0.4, 0.85, 0.4, size, 2.0)
    x, y = easel.x, easel.y
    frame = shade(looks.accessory, -0.35)
    apart = np.abs(x) - looks.eye_gap
    if looks.glasses == "round":
        reach = np.sqrt(apart * apart + y * y + np.float32(1e-8)) - 0.3
        rims = np.abs(reach) - 0.035
    else:
        rims = np.abs(box(apart, y, 0.31, 0.25, 0.1)) - 0.038
    bridge = np.maximum(np.abs(y + 0.08 - 0.6 * x * x) - 0.03, np.abs(x) - (looks.eye_gap - 0.29))
    easel.paint(np.minimum(rims, bridge), frame)
    sheets = [easel.finish("glasses", Mount((0.0, looks.eye_height + 0.02, 0.86), facing=0.0))]
    for side in (-1.0, 1.0):
        easel = Easel(-0.5, -0.1, 0.5, 0.1, size)
        easel.paint(box(easel.x, easel.y, 0.44, 0.03, 0.02), frame)
        mount = Mount((side * 0.9, looks.eye_height - 0.06, 0.38), facing=side * 80.0)
        sheets.append(easel.finish("left_temple" if side < 0 else "right_temple", mount))
    return sheets


def paint_brim(looks: Looks, size: int) -> Sheet:
    """The far half of a sun hat's brim."""
    easel = Easel(-1.7, -0.9, 1.7, 0.1, size, 1.3)
    easel.paint(ellipse(easel.x, easel.y + 0.42, 1.6, 0.42), shade(looks.accessory, -0.35))
    return easel.finish("brim_back", Mount((0.0, -0.28, -0.1)))


def paint_hat(looks: Looks, size: int) -> list[Sheet]:
    """What is worn on the head, save the far half of a brim."""
    colour, trim = looks.accessory, looks.trim
    if looks.hat in ("beanie", "cap", "brim"):
        return _paint_dome(looks, size)
    if looks.hat == "band":
        easel = Easel(-1.25, -1.3, 1.25, 0.0, size)
        x, y = easel.x, easel.y
        outline = ellipse(x, y + 0.08, looks.width + 0.11, looks.height + 0.11)
        easel.paint(np.maximum(outline, np.abs(y + 0.72 - 0.32 * x * x) - 0.11), colour)
        easel.tint(0.3 * ramp(np.abs(x), 0.4, 1.1), shade(colour, -0.7))
        return [easel.finish("band", Mount((0.0, 0.0, -0.01)))]
    easel = Easel(-0.5, -0.4, 0.5, 0.4, size, 1.8)
    x, y = easel.x, easel.y
    at = (looks.side * 0.56, -0.82, 0.42)
    if looks.hat == "bow":
        apart = np.abs(x)
        easel.paint(np.maximum(np.abs(y) - 0.08 - 0.5 * apart, apart - 0.42), colour)
        easel.tint(0.4 * (1.0 - ramp(apart, 0.1, 0.3)), shade(colour, -0.8))
        easel.paint(ellipse(x, y, 0.11, 0.12), shade(colour, 0.15))
    else:
        for turn in range(5):
            angle = 2.0 * np.pi * (turn / 5.0 + 0.05)
            petal_x, petal_y = round(0.19 * float(np.cos(angle)), 4), round(0.19 * float(np.sin(angle)), 4)
            easel.paint(ellipse(x - petal_x, y - petal_y, 0.15, 0.15), shade(colour, 0.25 + 0.05 * (turn % 2)))
        easel.paint(ellipse(x, y, 0.11, 0.11), mix(trim, (1.0, 0.85, 0.3), 0.7))
    return [easel.finish(looks.hat, Mount(at, facing=looks.side * 25.0))]


def _paint_dome(looks: Looks, size: int) -> list[Sheet]:
    """The hats that cover the crown: a woollen one, one with a visor, one with a wide brim."""
    colour, trim = looks.accessory, looks.trim
    easel = Easel(-1.35, -1.75, 1.35, -0.1, size, 1.3)
    x, y = easel.x, easel.y
    dome = np.maximum(ellipse(x, y + 0.25, looks.width + 0.14, looks.height + 0.07), y + 0.5 - 0.16 * x * x)
    if looks.hat == "beanie":
        easel.paint(
            ellipse(x, y + 1.42, 0.27, 0.25) + 0.15 * smooth_noise(looks.noise, 8.0 * x + 6.0, 8.0 * y + 16.0),
            trim,
        )
    easel.paint(dome, colour)
    if looks.hat == "beanie":
        easel.tint(0.3 * easel.cover(0.45 - zigzag((x / (1.35 + 0.5 * y)) * 4.0)), shade(colour, -0.6))
    elif looks.hat == "cap":
        easel.tint(easel.cover(np.abs(np.abs(x) - 0.5 * (y + 1.3)) - 0.018), shade(colour, -0.5))
        easel.paint(ellipse(x, y + 1.3, 0.09, 0.05), shade(colour, -0.3))
    easel.tint(0.4 * ramp(ellipse(x - 0.15, y + 0.15, 1.25, 1.25), -0.6, 0.2), shade(colour, -0.7))
    easel.tint(0.3 * (1.0 - ramp(ellipse(x + 0.4, y + 0.9, 0.5, 0.35), -0.9, 0.3)), shade(colour, 0.6))
    if looks.hat == "beanie":
        band = box(x, y + 0.55 - 0.16 * x * x, looks.width + 0.2, 0.19, 0.12)
        easel.paint(band, shade(colour, 0.18))
        easel.tint(0.35 * easel.cover(np.maximum(band, 0.6 - zigzag(5.0 * x))), shade(colour, -0.6))
    elif looks.hat == "brim":
        easel.tint(easel.cover(np.abs(y + 0.66 - 0.16 * x * x) - 0.11), trim)
    sheets = [easel.finish(looks.hat, Mount((0.0, 0.0, -0.02)), ("crown", 0.0, -1.1))]
    if looks.hat == "cap":
        easel = Easel(-0.95, -0.35, 0.95, 0.35, size)
        x, y = easel.x, easel.y
        easel.paint(np.maximum(ellipse(x, y + 0.2, 0.84, 0.44), 0.3 * x * x - 0.16 - y), shade(colour, -0.3))
        easel.tint(0.4 * ramp(y, 0.0, 0.25), shade(colour, -0.8))
        sheets.append(easel.finish("visor", Mount((0.0, -0.5, 0.62), facing=0.0)))
    elif looks.hat == "brim":
        easel = Easel(-1.7, -0.5, 1.7, 0.5, size, 1.3)
        x, y = easel.x, easel.y
        easel.paint(np.maximum(ellipse(x, y, 1.6, 0.36), -ellipse(x, y + 0.34, 1.25, 0.36)), shade(colour, 0.08))
        easel.tint(0.35 * ramp(np.abs(x), 0.6, 1.6), shade(colour, -0.7))
        sheets.append(easel.finish("brim_front", Mount((0.0, -0.52, 0.1))))
    return sheets

"""The neck, and the body in its clothes."""

from __future__ import annotations

import numpy as np

from prioritycut.data.puppets.colours import shade
from prioritycut.data.puppets.looks import Looks
from prioritycut.data.puppets.motion import Mount
from prioritycut.data.puppets.painting import Easel, Sheet
from prioritycut.data.puppets.shapes import box, ellipse, ramp, zigzag


def paint_neck(looks: Looks, size: int) -> Sheet:
    """The neck, shaded under the chin."""
    easel = Easel(-0.5, -0.75, 0.5, 0.45, size, 1.3)
    x, y = easel.x, easel.y
    easel.paint(box(x, y + 0.15, 0.3 + 0.12 * np.maximum(y, 0.0), 0.6, 0.2), shade(looks.skin, -0.18))
    easel.tint(0.5 * (1.0 - ramp(y - 0.25 * x * x, -0.35, 0.15)), shade(looks.skin, -0.6))
    return easel.finish("neck", Mount((0.0, 0.0, 0.0), holder="neck"))


def paint_body(looks: Looks, size: int) -> Sheet:
    """Shoulders and trunk in their clothes."""
    easel = Easel(-2.1, -0.15, 2.1, 2.6, size, 1.2)
    x, y = easel.x, easel.y
    shoulders = np.maximum(ellipse(x, y - 1.35, 1.5, 1.3), -ellipse(x, y + 0.05, 0.42, 0.3))
    trunk = np.minimum(shoulders, box(x, y - 2.6, 1.48, 1.4, 0.3))
    easel.paint(trunk, looks.cloth)
    if looks.clothing == "stripes":
        easel.tint(easel.cover(0.5 - zigzag((y - 0.1 * x * x) / 0.42)), looks.trim)
    elif looks.clothing == "dots":
        step = 0.42
        row = np.floor(y / step)
        shifted = x / step + 0.5 * (row % 2.0)
        dot = ellipse(shifted - np.floor(shifted) - 0.5, y / step - row - 0.5, 0.27, 0.27)
        easel.tint(easel.cover(dot), looks.trim)
    elif looks.clothing == "straps":
        easel.tint(easel.cover(np.abs(np.abs(x) - 0.72) - 0.14), looks.trim)
        easel.tint(easel.cover(box(x, y - 2.1, 0.86, 1.1, 0.1)), looks.trim)
        for side in (-0.72, 0.72):
            easel.tint(easel.cover(ellipse(x - side, y - 1.12, 0.08, 0.08)), shade(looks.trim, -0.5))
    elif looks.clothing == "collar":
        for side in (-1.0, 1.0):
            flap = np.maximum(box(x - side * 0.34, y - 0.3, 0.3, 0.3, 0.06), (y - 0.25) * 0.9 - side * x * 0.6 + 0.02)
            easel.tint(easel.cover(flap), looks.trim)
        for height in (0.75, 1.15):
            easel.tint(easel.cover(ellipse(x, y - height, 0.06, 0.06)), looks.trim)
    easel.tint(0.45 * ramp(np.abs(x), 0.7, 1.5), shade(looks.cloth, -0.7))
    easel.tint(0.25 * (1.0 - ramp(ellipse(x + 0.5, y - 0.7, 0.8, 0.6), -0.8, 0.3)), shade(looks.cloth, 0.5))
    if looks.clothing == "hood":
        ring = np.maximum(ellipse(x, y - 0.12, 0.82, 0.38), -ellipse(x, y + 0.1, 0.42, 0.3))
        easel.paint(ring, shade(looks.cloth, -0.25))
        for side in (-0.3, 0.3):
            easel.paint(box(x - side, y - 0.75, 0.035, 0.35, 0.03), looks.trim)
    elif looks.clothing == "scarf":
        easel.paint(box(x + looks.side * 0.35, y - 0.75, 0.19, 0.55, 0.08), shade(looks.trim, -0.2))
        wrap = np.maximum(ellipse(x, y - 0.12, 0.72, 0.34), -ellipse(x, y + 0.22, 0.4, 0.24))
        easel.paint(wrap, looks.trim)
    else:
        hem = np.maximum(ellipse(x, y + 0.03, 0.54, 0.42), -ellipse(x, y + 0.05, 0.42, 0.3))
        easel.tint(easel.cover(hem), shade(looks.cloth, -0.3))
    landmarks = (("left_shoulder", -1.1, 0.62), ("right_shoulder", 1.1, 0.62))
    return easel.finish("body", Mount((0.0, 0.0, 0.0), holder="body", facing=0.0), *landmarks)

"""The head and what is on it: ears, cheeks, nose, mouth, eyes and brows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from prioritycut.data.puppets.arrays import Field
from prioritycut.data.puppets.colours import WHITE, Colour, mix, shade
from prioritycut.data.puppets.looks import Looks
from prioritycut.data.puppets.motion import Mount
from prioritycut.data.puppets.painting import Easel, Sheet
from prioritycut.data.puppets.parts.sides import Side, sign_of
from prioritycut.data.puppets.shapes import ellipse, ramp

_INK: Colour = (0.17, 0.11, 0.13)


def face_outline(looks: Looks, x: Field, y: Field, larger: float = 0.0) -> Field:
    """Below 0 inside the outline of the head."""
    narrowing = 1.0 - looks.jaw * np.maximum(y, 0.0) ** 2
    return (x / ((looks.width + larger) * narrowing)) ** 2 + (y / (looks.height + larger)) ** 2 - 1.0


def paint_head(looks: Looks, size: int) -> Sheet:
    """The skull with its shading; it carries the chin, and the crown where nothing covers it."""
    easel = Easel(-1.15, -1.2, 1.15, 1.2, size, 1.3)
    x, y = easel.x, easel.y
    easel.paint(face_outline(looks, x, y), looks.skin)
    rim = ramp(face_outline(looks, x - 0.12, y + 0.12, 0.16), -0.55, 0.15)
    easel.tint(0.4 * rim, shade(looks.skin, -0.6))
    easel.tint(0.35 * (1.0 - ramp(ellipse(x + 0.3, y + 0.3, 0.9, 0.8), -0.9, 0.2)), shade(looks.skin, 0.45))
    crown = (("crown", 0.0, -0.9 * looks.height),) if looks.bald and looks.hat not in ("beanie", "cap", "brim") else ()
    return easel.finish("head", Mount((0.0, 0.0, 0.08), role="skull"), ("chin", 0.0, 0.9 * looks.height), *crown)


def paint_ear(looks: Looks, size: int, side: Side) -> Sheet:
    """One ear, which goes behind the head or before the hair as the head turns."""
    sign, reach = sign_of(side), 0.24 * looks.ear_size
    easel = Easel(-0.34, -0.36, 0.34, 0.48, size)
    x, y = easel.x * sign, easel.y
    easel.paint(ellipse(x, y, reach, 1.12 * reach), shade(looks.skin, -0.08))
    easel.paint(
        ellipse(x - 0.02, y, 0.55 * reach, 0.66 * reach),
        shade(mix(looks.skin, (0.9, 0.4, 0.4), 0.2), -0.25),
    )
    if looks.earrings:
        easel.paint(ellipse(x, y - 1.25 * reach, 0.075, 0.09), looks.accessory)
    mount = Mount((sign * 1.02 * looks.width, 0.12, -0.02), facing=sign * 42.0, turns_over=True)
    return easel.finish(f"{side}_ear", mount, (f"{side}_ear", 0.0, 0.0))


def paint_cheek(looks: Looks, size: int, side: Side) -> Sheet:
    """Blush and freckles of one cheek."""
    sign = sign_of(side)
    easel = Easel(-0.22, -0.18, 0.22, 0.18, size)
    x, y = easel.x, easel.y
    pink = mix(looks.skin, (0.95, 0.36, 0.36), 0.14 + 0.3 * looks.blush)
    easel.paint(ellipse(x, y, 0.19, 0.125), pink)
    if looks.freckles:
        for dot_x, dot_y in ((-0.09, -0.03), (0.02, 0.04), (0.09, -0.04)):
            easel.paint(ellipse(x - dot_x, y - dot_y, 0.022, 0.022), shade(looks.skin, -0.4))
    mount = Mount((sign * 0.6, 0.42, 0.62), facing=sign * 34.0)
    return easel.finish(f"{side}_cheek", mount, (f"{side}_cheek", 0.0, 0.0))


def paint_nose(looks: Looks, size: int) -> Sheet:
    """The nose and its glint."""
    easel = Easel(-0.2, -0.2, 0.2, 0.2, size, 2.0)
    x, y = easel.x, easel.y
    warm = mix(looks.skin, (0.9, 0.38, 0.34), 0.25)
    easel.paint(ellipse(x / (1.0 + 1.2 * y), y, looks.nose_width, looks.nose_height), shade(warm, -0.22))
    glint = ellipse(x + 0.35 * looks.nose_width, y + 0.4 * looks.nose_height, 0.035, 0.028)
    easel.paint(glint, shade(looks.skin, 0.5))
    return easel.finish("nose", Mount((0.0, 0.32, 0.94), facing=0.0), ("nose_tip", 0.0, 0.0))


def paint_mouth(looks: Looks, size: int) -> list[Sheet]:
    """Lips and what is behind them, which shows when they part."""
    width, height = looks.mouth_width, looks.mouth_height
    easel = Easel(-0.45, -0.1, 0.45, 0.6, size, 2.0)
    x, y = easel.x, easel.y
    bow = np.maximum(1.0 - (x / width) ** 2, -0.6)

    def crescent(upper: float, lower: float) -> Field:
        return np.maximum(upper * bow - y, y - lower * bow)

    mount = Mount((0.0, 0.54, 0.84), facing=0.0, role="mouth")
    lip = mix(shade(looks.skin, -0.55), (0.74, 0.2, 0.25), 0.25 + 0.6 * looks.lips)
    easel.paint(crescent(0.3 * height - 0.05, height + 0.05), lip)
    easel.paint(crescent(0.3 * height, height), (0.4, 0.08, 0.12))
    lips = easel.finish(
        "mouth",
        mount,
        ("mouth_left", -0.88 * width, 0.14 * height),
        ("mouth_right", 0.88 * width, 0.14 * height),
        ("mouth_top", 0.0, 0.3 * height - 0.02),
        ("mouth_bottom", 0.0, height + 0.02),
    )
    easel = Easel(-0.45, -0.1, 0.45, 0.6, size, 2.0)
    inside = crescent(0.3 * height + 0.01, height - 0.01)
    easel.paint(np.maximum(inside, ellipse(x, y - height, 0.6 * width, 0.36 * height)), (0.92, 0.45, 0.48))
    easel.paint(np.maximum(inside, y - 0.3 * height * bow - 0.2 * height), (0.99, 0.98, 0.95))
    return [lips, easel.finish("teeth", replace(mount, role="teeth"))]


def paint_eye(looks: Looks, size: int, side: Side) -> list[Sheet]:
    """White, iris and upper lid of one eye."""
    sign, scale = sign_of(side), looks.eye_size
    at = (sign * looks.eye_gap, looks.eye_height, 0.74)
    facing = sign * 16.0
    sheets: list[Sheet] = []
    tall = 0.24 * scale if not looks.dot_eyes else 0.22 * scale
    if not looks.dot_eyes:
        easel = Easel(-0.3, -0.32, 0.3, 0.32, size, 2.0)
        x, y = easel.x, easel.y
        easel.paint(ellipse(x, y, 0.21 * scale, tall), (1.0, 0.995, 0.98))
        easel.tint(0.35 * (1.0 - ramp(y, -0.22 * scale, -0.02)), (0.62, 0.62, 0.76))
        sheets.append(easel.finish(f"{side}_eye_white", Mount(at, facing, role="lids")))
    easel = Easel(-0.26, -0.3, 0.26, 0.3, size, 2.4)
    x, y = easel.x, easel.y
    if looks.dot_eyes:
        wide, high = 0.15 * scale, 0.21 * scale
        easel.paint(ellipse(x, y, wide, high), mix(_INK, looks.iris, 0.25))
        easel.tint(0.75 * ramp(y, -0.02, high), shade(looks.iris, 0.15))
    else:
        wide, high = 0.145 * scale, 0.17 * scale
        easel.paint(ellipse(x, y, wide, high), shade(looks.iris, -0.55))
        easel.paint(ellipse(x, y, 0.85 * wide, 0.87 * high), looks.iris)
        easel.tint(0.5 * ramp(y, 0.0, high), shade(looks.iris, 0.5))
        easel.paint(ellipse(x, y, 0.5 * wide, 0.52 * high), _INK)
    easel.paint(ellipse(x + 0.36 * wide, y + 0.42 * high, 0.36 * wide, 0.32 * high), WHITE)
    easel.paint(ellipse(x - 0.4 * wide, y - 0.45 * high, 0.18 * wide, 0.15 * high), WHITE, 0.85)
    sheets.append(easel.finish(f"{side}_iris", Mount(at, facing, role="iris"), (f"{side}_eye", 0.0, 0.0)))
    easel = Easel(-0.36, -0.36, 0.36, 0.1, size, 2.0)
    x, y = easel.x, easel.y
    reach = (0.21 if not looks.dot_eyes else 0.17) * scale
    arch = -tall * (1.0 - 0.75 * (x / reach) ** 2)
    outwards = np.clip(sign * x / reach, -1.0, 1.2)
    lid = np.maximum(np.abs(y - arch) - (0.026 + 0.014 * outwards), np.abs(x) - reach)
    if looks.lashes:
        flick = np.maximum(np.abs(y + 0.45 * tall + 0.7 * (sign * x - reach)) - 0.028, np.abs(sign * x - reach) - 0.07)
        lid = np.minimum(lid, flick)
    easel.paint(lid, _INK)
    sheets.append(easel.finish(f"{side}_lash", Mount(at, facing, role="lash")))
    return sheets


def paint_brow(looks: Looks, size: int, side: Side) -> Sheet:
    """One eyebrow."""
    sign = sign_of(side)
    easel = Easel(-0.32, -0.2, 0.32, 0.2, size, 2.0)
    x, y = easel.x * sign, easel.y
    arch = 0.9 * x * x - 0.04 + looks.brow_slope * x
    weight = looks.brow_weight * (1.1 - 1.2 * np.clip(x, -0.2, 0.25))
    easel.paint(
        np.maximum(np.abs(y - arch) - weight, np.abs(x) - 0.24),
        shade(mix(looks.hair, looks.skin, 0.12), -0.25),
    )
    mount = Mount(
        (sign * (looks.eye_gap + 0.01), looks.eye_height - 0.37 * looks.eye_size, 0.74),
        sign * 16.0,
        role="brow",
    )
    inner = (f"{side}_brow_inner", -0.2 * sign, 0.9 * 0.04 - 0.04 - 0.2 * looks.brow_slope)
    outer = (f"{side}_brow_outer", 0.2 * sign, 0.9 * 0.04 - 0.04 + 0.2 * looks.brow_slope)
    return easel.finish(f"{side}_brow", mount, inner, outer)

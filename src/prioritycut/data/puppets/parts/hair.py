"""Hair of the head and of the face."""

from __future__ import annotations

import numpy as np

from prioritycut.data.puppets.colours import shade
from prioritycut.data.puppets.looks import Looks
from prioritycut.data.puppets.motion import Mount
from prioritycut.data.puppets.painting import Easel, Sheet
from prioritycut.data.puppets.parts.face import face_outline
from prioritycut.data.puppets.parts.sides import Side, sign_of
from prioritycut.data.puppets.shapes import box, ellipse, ramp, smooth_noise, wave, zigzag


def _comb(easel: Easel, looks: Looks, strength: float = 1.0) -> None:
    """Strands and a soft gloss on hair that is already painted."""
    x, y = easel.x, easel.y
    strands = wave(x * (2.2 - 0.25 * y) + 0.35 * looks.turn) * 0.6 + 0.4 * wave(x * 4.7 + 0.4 * y + looks.turn)
    easel.tint(strength * np.maximum(strands, 0.0) * 0.22, shade(looks.hair, -0.7))
    easel.tint(strength * np.maximum(-strands, 0.0) * 0.2, shade(looks.hair, 0.3))


def _gloss(easel: Easel, looks: Looks, height: float, curve: float = 0.35) -> None:
    """A band of light across the crown."""
    x, y = easel.x, easel.y
    across = np.abs(y - height - curve * (x + 0.25) ** 2)
    easel.tint(
        0.42 * (1.0 - ramp(across + 0.05 * zigzag(x * 3.1), 0.03, 0.16)) * (1.0 - ramp(np.abs(x + 0.2), 0.3, 0.75)),
        shade(looks.hair, 0.65),
    )


def paint_hair_back(looks: Looks, size: int) -> Sheet:
    """What is seen behind the head; its own colour is darker, for depth."""
    easel = Easel(-1.75, -1.95, 1.75, 2.1, size, 1.2)
    x, y = easel.x, easel.y
    skull = ellipse(x, y + 0.1, looks.width + 0.08, looks.height + 0.06)
    if looks.back == "bob":
        skull = np.minimum(skull, box(x, y - 0.1, 1.22 + 0.06 * y, 0.85, 0.5))
    elif looks.back == "long":
        skull = np.minimum(skull, box(x + 0.04 * wave(0.9 * y), y - 0.6, 1.2 + 0.05 * y, 1.35, 0.5))
    elif looks.back == "afro":
        skull = ellipse(x, y + 0.28, 1.5, 1.42) + 0.14 * smooth_noise(looks.noise, 3.2 * x + 6.0, 3.2 * y + 6.0)
    elif looks.back == "curls":
        for turn in range(11):
            angle = np.pi * (0.82 + 1.36 * turn / 10.0)
            spot_x, spot_y = round(1.06 * float(np.cos(angle)), 4), round(1.05 * float(np.sin(angle)), 4)
            skull = np.minimum(skull, ellipse(x - spot_x, y - spot_y, 0.36, 0.36))
    easel.paint(skull, shade(looks.hair, -0.25))
    _comb(easel, looks, 0.8)
    easel.tint(0.35 * ramp(y, 0.0, 1.6), shade(looks.hair, -0.8))
    return easel.finish("hair_back", Mount((0.0, 0.0, -0.2)))


def paint_tails(looks: Looks, size: int, hat_covers: bool) -> list[Sheet]:
    """Buns, knots and tails, which turn with the head."""
    sheets: list[Sheet] = []

    def ball(name: str, at: tuple[float, float, float], radius: float) -> None:
        easel = Easel(-radius - 0.1, -radius - 0.1, radius + 0.1, radius + 0.1, size)
        x, y = easel.x, easel.y
        easel.paint(ellipse(x, y, radius, radius), looks.hair)
        rings = wave((x * x + y * y) * 5.0 + 0.4 * x)
        easel.tint(0.2 * np.maximum(rings, 0.0), shade(looks.hair, -0.7))
        easel.tint(0.4 * (1.0 - ramp(ellipse(x + 0.12, y + 0.14, 0.22, 0.18), -0.8, 0.4)), shade(looks.hair, 0.6))
        sheets.append(easel.finish(name, Mount(at, turns_over=True)))

    def tail(name: str, at: tuple[float, float, float], width: float, length: float, lean: float) -> None:
        easel = Easel(-width - 0.3, -0.2, width + 0.3, length + 0.15, size)
        x, y = easel.x - lean * easel.y * easel.y, easel.y
        easel.paint(ellipse(x, y - 0.5 * length, width * (0.75 + 0.3 * y / length), 0.53 * length), looks.hair)
        easel.tint(0.25 * np.maximum(wave(3.3 * x / (0.4 + 0.5 * y + 0.3)), 0.0), shade(looks.hair, -0.7))
        easel.tint(0.3 * (1.0 - ramp(np.abs(y - 0.4), 0.05, 0.25)), shade(looks.hair, 0.4))
        easel.paint(box(easel.x, y - 0.02, 0.15, 0.09, 0.07), looks.accessory)
        sheets.append(easel.finish(name, Mount(at, role="hanging", turns_over=True)))

    if looks.back == "buns" and not hat_covers:
        ball("left_bun", (-0.78, -0.98, -0.02), 0.42)
        ball("right_bun", (0.78, -0.98, -0.02), 0.42)
    elif looks.back == "knot" and not hat_covers:
        ball("knot", (0.0, -1.32, -0.25), 0.4)
    elif looks.back == "ponytail":
        tail("ponytail", (looks.side * 0.55, -0.55, -1.05), 0.36, 1.9, 0.08 * looks.side)
    elif looks.back == "pigtails":
        tail("left_tail", (-1.08, -0.2, -0.12), 0.33, 1.5, -0.1)
        tail("right_tail", (1.08, -0.2, -0.12), 0.33, 1.5, 0.1)
    return sheets


def paint_hair_side(looks: Looks, size: int, side: Side) -> Sheet:
    """Hair on the temple, seen as the head turns away from it."""
    sign = sign_of(side)
    lowest = {"bob": 0.72, "long": 1.35, "afro": 0.25, "curls": 0.3}.get(looks.back, -0.02)
    easel = Easel(-0.7, -1.0, 0.7, lowest + 0.15, size)
    forwards, y = -easel.x * sign, easel.y
    middle = 0.5 * (lowest - 0.85)
    panel = box(forwards + 0.06, y - middle, 0.56, lowest - middle, 0.22)
    if lowest < 0.1:  # a sideburn before the ear
        panel = np.minimum(panel, box(forwards - 0.14, y - 0.02, 0.09, 0.2, 0.08))
    easel.paint(panel, looks.hair)
    _comb(easel, looks)
    easel.tint(0.3 * ramp(y, -0.2, 1.2), shade(looks.hair, -0.7))
    return easel.finish(f"{side}_hair", Mount((sign * 0.82 * looks.width, 0.0, -0.02), facing=sign * 90.0))


def paint_hair_cap(looks: Looks, size: int) -> Sheet:
    """Hair on the crown, from outline to outline."""
    easel = Easel(-1.3, -1.45, 1.3, 0.2, size, 1.3)
    x, y = easel.x, easel.y
    outline = ellipse(x, y + 0.08, looks.width + 0.07, looks.height + 0.07)
    if looks.back == "afro":
        outline = ellipse(x, y + 0.2, looks.width + 0.2, looks.height + 0.12) + 0.08 * smooth_noise(
            looks.noise, 4.0 * x + 6.0, 4.0 * y + 6.0
        )
    hairline = -0.66 + 0.5 * x * x if looks.front != "none" else -0.55 + 0.42 * x * x
    easel.paint(np.maximum(outline, y - hairline - 0.02 * zigzag(4.0 * x)), looks.hair)
    _comb(easel, looks)
    _gloss(easel, looks, -0.98)
    hat_covers = looks.hat in ("beanie", "cap", "brim")
    crown = () if hat_covers else (("crown", 0.0, -1.08 * looks.height),)
    return easel.finish("hair_cap", Mount((0.0, 0.0, -0.03)), *crown)


def paint_fringe(looks: Looks, size: int) -> Sheet:
    """Hair on the forehead; it moves across it as the head turns."""
    easel = Easel(-0.98, -1.1, 0.98, 0.35, size)
    x, y = easel.x, easel.y
    parted = x * looks.side
    sides = np.maximum(ellipse(x, y, 0.9 * looks.width, 1.12), -(y + 1.02 - 0.3 * x * x))
    if looks.front == "bangs":
        shape = np.maximum(sides, y + 0.42 - 0.2 * x * x - 0.07 * zigzag(2.6 * x))
    elif looks.front == "swept":
        shape = np.maximum(sides, y + 0.56 - 0.36 * parted - 0.12 * parted * parted - 0.04 * zigzag(3.0 * x))
    elif looks.front == "curtain":
        shape = np.maximum(sides, y + 0.82 - 1.0 * np.abs(x + 0.12 * looks.side) + 0.25 * x * x)
    elif looks.front == "spikes":
        shape = np.maximum(sides, y + 0.68 - 0.32 * zigzag(2.1 * x + 0.3 * looks.turn + 0.2 * y) - 0.1 * x * x)
    else:
        shape = np.maximum(sides, y + 0.72 - 0.3 * x * x)
        for spot in range(6):
            spot_x = -0.78 + 0.312 * spot
            lift = 0.06 * float(looks.noise[0, spot])
            shape = np.minimum(shape, ellipse(x - spot_x, y + 0.66 - 0.35 * spot_x * spot_x + lift, 0.24, 0.24))
    easel.paint(shape, looks.hair)
    _comb(easel, looks)
    _gloss(easel, looks, -0.8, 0.2)
    return easel.finish("fringe", Mount((0.0, 0.0, 0.5), facing=0.0))


def paint_beard(looks: Looks, size: int) -> Sheet:
    """A beard along the jaw, open at the mouth."""
    easel = Easel(-0.95, -0.1, 0.95, 1.25, size)
    x, y = easel.x, easel.y
    outline = face_outline(looks, x * 1.12, y - 0.06, 0.04)
    edge = 0.02 * wave(x * 4.0)
    upper = 0.62 - 0.9 * np.maximum(np.abs(x) - 0.35, 0.0) + edge - y
    mouth = -ellipse(x, y - 0.66, 0.34, 0.17)
    easel.paint(np.maximum(np.maximum(outline, upper), mouth), looks.hair)
    _comb(easel, looks, 0.5)
    return easel.finish("beard", Mount((0.0, 0.0, 0.45), facing=0.0))


def paint_moustache(looks: Looks, size: int) -> Sheet:
    """A moustache between nose and mouth."""
    easel = Easel(-0.4, -0.15, 0.4, 0.2, size, 2.0)
    x, y = easel.x, easel.y
    apart = np.abs(x)
    easel.paint(
        np.maximum(np.abs(y - 0.5 * apart * apart) - 0.1 * (1.0 - (apart - 0.12) ** 2 * 14.0), apart - 0.36),
        looks.hair,
    )
    return easel.finish("moustache", Mount((0.0, 0.47, 0.9), facing=0.0))

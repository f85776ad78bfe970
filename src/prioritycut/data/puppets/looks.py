"""Who a puppet is: everything that stays the same through all its clips."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from prioritycut.data.puppets.arrays import Numbers
from prioritycut.data.puppets.colours import Colour

_SKINS: tuple[Colour, ...] = (
    (1.00, 0.87, 0.77),
    (0.98, 0.81, 0.68),
    (0.95, 0.76, 0.60),
    (0.88, 0.67, 0.50),
    (0.78, 0.56, 0.40),
    (0.66, 0.45, 0.31),
    (0.53, 0.35, 0.24),
    (0.42, 0.27, 0.19),
)
_HAIRS: tuple[Colour, ...] = (
    (0.13, 0.11, 0.14),
    (0.24, 0.16, 0.13),
    (0.39, 0.24, 0.15),
    (0.55, 0.33, 0.17),
    (0.72, 0.36, 0.16),
    (0.88, 0.70, 0.38),
    (0.95, 0.84, 0.58),
    (0.74, 0.73, 0.76),
    (0.90, 0.52, 0.62),
    (0.35, 0.45, 0.72),
    (0.30, 0.58, 0.55),
    (0.52, 0.36, 0.62),
)
_IRISES: tuple[Colour, ...] = (
    (0.30, 0.18, 0.10),
    (0.42, 0.27, 0.14),
    (0.20, 0.42, 0.66),
    (0.22, 0.50, 0.36),
    (0.36, 0.40, 0.48),
    (0.45, 0.35, 0.62),
)
_Back: TypeAlias = Literal["short", "bob", "long", "afro", "curls", "buns", "knot", "ponytail", "pigtails"]
_Front: TypeAlias = Literal["bangs", "swept", "curtain", "spikes", "curls", "none"]
_Hat: TypeAlias = Literal["none", "beanie", "cap", "band", "bow", "flower", "brim"]
_Cloth: TypeAlias = Literal["plain", "stripes", "dots", "collar", "hood", "straps", "scarf"]
_Scenery: TypeAlias = Literal["gradient", "stripes", "dots", "checks", "clouds", "hills", "rings", "rays"]


@dataclass(frozen=True, slots=True)
class Looks:
    """Everything that makes a person; lengths in head units."""

    skin: Colour
    hair: Colour
    iris: Colour
    cloth: Colour
    trim: Colour
    accessory: Colour
    sky: Colour
    ground: Colour
    back: _Back
    front: _Front
    hat: _Hat
    clothing: _Cloth
    scenery: _Scenery
    bald: bool
    dot_eyes: bool
    lashes: bool
    glasses: Literal["none", "round", "square"]
    beard: Literal["none", "beard", "moustache"]
    freckles: bool
    earrings: bool
    side: float  # -1 or 1: where the parting, the bow and the like sit
    width: float
    jaw: float  # how much the face narrows downwards
    height: float
    eye_size: float
    eye_gap: float
    eye_height: float
    brow_weight: float
    brow_slope: float
    nose_width: float
    nose_height: float
    mouth_width: float
    mouth_height: float
    lips: float  # how much the lips differ from the skin
    blush: float
    ear_size: float
    turn: float  # of the background's pattern, as a slope
    noise: Numbers  # 12 12: values in [-1, 1] for anything irregular


def draw_looks(random: np.random.Generator) -> Looks:
    """Cast a person; how many numbers are drawn does not depend on the size of the frames."""

    def between(low: float, high: float) -> float:
        return float(random.uniform(low, high))

    def chance(share: float) -> bool:
        return float(random.random()) < share

    hue = between(0.0, 1.0)
    back: tuple[_Back, ...] = (
        "short",
        "short",
        "bob",
        "long",
        "afro",
        "curls",
        "buns",
        "knot",
        "ponytail",
        "pigtails",
    )
    front: tuple[_Front, ...] = ("bangs", "swept", "curtain", "spikes", "curls", "none")
    hat: tuple[_Hat, ...] = ("beanie", "cap", "band", "bow", "flower", "brim")
    clothing: tuple[_Cloth, ...] = ("plain", "stripes", "dots", "collar", "hood", "straps", "scarf")
    scenery: tuple[_Scenery, ...] = (
        "gradient",
        "stripes",
        "dots",
        "checks",
        "clouds",
        "hills",
        "rings",
        "rays",
    )
    skin = _jitter(_SKINS[int(random.integers(len(_SKINS)))], random, 0.02)
    chosen_back = back[int(random.integers(len(back)))]
    bald = chosen_back == "short" and chance(0.18)
    glasses: tuple[Literal["none", "round", "square"], ...] = ("round", "square")
    beard: tuple[Literal["none", "beard", "moustache"], ...] = ("beard", "moustache")
    cloth_hue = hue + between(0.3, 0.7)
    return Looks(
        skin=skin,
        hair=_jitter(_HAIRS[int(random.integers(8 if chance(0.7) else len(_HAIRS)))], random, 0.03),
        iris=_IRISES[int(random.integers(len(_IRISES)))],
        cloth=_from_hue(cloth_hue, between(0.35, 0.75), between(0.55, 0.95)),
        trim=_from_hue(cloth_hue + between(-0.12, 0.5), between(0.1, 0.6), between(0.75, 1.0)),
        accessory=_from_hue(hue + between(0.2, 0.8), between(0.5, 0.8), between(0.6, 0.95)),
        sky=_from_hue(hue, between(0.12, 0.5), between(0.8, 0.98)),
        ground=_from_hue(hue + between(-0.12, 0.12), between(0.25, 0.6), between(0.6, 0.95)),
        back=chosen_back,
        front=front[int(random.integers(len(front)))],
        hat=hat[int(random.integers(len(hat)))] if chance(0.45) else "none",
        clothing=clothing[int(random.integers(len(clothing)))],
        scenery=scenery[int(random.integers(len(scenery)))],
        bald=bald,
        dot_eyes=chance(0.4),
        lashes=chance(0.5),
        glasses=glasses[int(random.integers(2))] if chance(0.28) else "none",
        beard=beard[int(random.integers(2))] if chance(0.35) and chosen_back in ("short", "knot", "curls") else "none",
        freckles=chance(0.22),
        earrings=chance(0.3),
        side=-1.0 if chance(0.5) else 1.0,
        width=between(0.93, 1.06),
        jaw=between(0.08, 0.3),
        height=between(1.0, 1.14),
        eye_size=between(0.85, 1.2),
        eye_gap=between(0.36, 0.44),
        eye_height=between(0.05, 0.15),
        brow_weight=between(0.035, 0.07),
        brow_slope=between(-0.2, 0.2),
        nose_width=between(0.07, 0.13),
        nose_height=between(0.05, 0.12),
        mouth_width=between(0.27, 0.4),
        mouth_height=between(0.3, 0.42),
        lips=between(0.0, 0.7),
        blush=between(0.2, 0.6),
        ear_size=between(0.9, 1.25),
        turn=between(-1.0, 1.0),
        noise=random.uniform(-1.0, 1.0, (12, 12)).astype(np.float32),
    )


def _from_hue(hue: float, saturation: float, value: float) -> Colour:
    return colorsys.hsv_to_rgb(hue % 1.0, saturation, value)


def _jitter(colour: Colour, random: np.random.Generator, amount: float) -> Colour:
    red, green, blue = (min(1.0, max(0.0, part + float(random.uniform(-amount, amount)))) for part in colour)
    return red, green, blue

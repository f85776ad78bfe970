"""The whole puppet: which sheets it has, and how they lie on one another."""

from __future__ import annotations

from prioritycut.data.puppets.looks import Looks
from prioritycut.data.puppets.painting import Sheet
from prioritycut.data.puppets.parts.accessories import paint_brim, paint_glasses, paint_hat
from prioritycut.data.puppets.parts.body import paint_body, paint_neck
from prioritycut.data.puppets.parts.face import (
    paint_brow,
    paint_cheek,
    paint_ear,
    paint_eye,
    paint_head,
    paint_mouth,
    paint_nose,
)
from prioritycut.data.puppets.parts.hair import (
    paint_beard,
    paint_fringe,
    paint_hair_back,
    paint_hair_cap,
    paint_hair_side,
    paint_moustache,
    paint_tails,
)
from prioritycut.data.puppets.parts.sides import Side


def paint_puppet(looks: Looks, size: int) -> list[Sheet]:
    """All sheets from back to front; those that turn over come before the head."""
    sides: tuple[Side, ...] = ("left", "right")
    hat_covers = looks.hat in ("beanie", "cap", "brim")
    sheets: list[Sheet] = []
    if not looks.bald:
        sheets.append(paint_hair_back(looks, size))
    if looks.hat == "brim":
        sheets.append(paint_brim(looks, size))
    if looks.back == "ponytail":  # hangs behind the neck
        sheets += paint_tails(looks, size, hat_covers)
    sheets += [paint_neck(looks, size), paint_body(looks, size)]
    if not looks.bald and looks.back != "ponytail":
        sheets += paint_tails(looks, size, hat_covers)
    sheets += [paint_ear(looks, size, side) for side in sides]
    sheets.append(paint_head(looks, size))
    sheets += [paint_cheek(looks, size, side) for side in sides]
    if looks.beard == "beard":
        sheets.append(paint_beard(looks, size))
    sheets += paint_mouth(looks, size)
    if looks.beard == "moustache":
        sheets.append(paint_moustache(looks, size))
    sheets.append(paint_nose(looks, size))
    for side in sides:
        sheets += paint_eye(looks, size, side)
    sheets += [paint_brow(looks, size, side) for side in sides]
    if looks.glasses != "none":
        sheets += paint_glasses(looks, size)
    if not looks.bald:
        sheets += [paint_hair_side(looks, size, side) for side in sides]
        sheets.append(paint_hair_cap(looks, size))
        if looks.front != "none":
            sheets.append(paint_fringe(looks, size))
    if looks.hat != "none":
        sheets += paint_hat(looks, size)
    return sheets

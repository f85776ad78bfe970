"""Twin parts: which side they are on."""

from __future__ import annotations

from typing import Literal, TypeAlias

Side: TypeAlias = Literal["left", "right"]


def sign_of(side: Side) -> float:
    """-1 on the viewer's left, 1 on the right."""
    return -1.0 if side == "left" else 1.0

"""Words in a figure: one size for all of them, as large as fits."""

from __future__ import annotations

from functools import lru_cache
from typing import TypeAlias

from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from prioritycut.drawing import picture_to_tensor

Picture: TypeAlias = Float[Tensor, "3 _rows _cols"]
"""Any picture, RGB in [0, 1]; two of them need not have one size."""

SMALLEST_SIZE = 9.0
"""In pixels; below it nobody reads, so a longer text is cut short instead."""


@lru_cache(maxsize=256)
def common_size(texts: tuple[str, ...], width: int, *, largest: float) -> float:
    """The size, in pixels, at which every text fits into `width` pixels; from `SMALLEST_SIZE` to `largest`."""
    size = largest
    # Step by step, for letters are hinted and their lengths do not grow in proportion.
    while size > SMALLEST_SIZE and any(ImageFont.load_default(size).getlength(text) > width for text in texts):
        size -= 0.5
    return max(size, SMALLEST_SIZE)


@lru_cache(maxsize=256)
def lettering(
    text: str,
    width: int,
    height: int,
    *,
    size: float,
    ink: tuple[int, int, int] = (0, 0, 0),
    paper: tuple[int, int, int] = (255, 255, 255),
) -> Picture:
    """One line of text in the middle of a plain panel; what does not fit is cut and ends in "..."."""
    picture = Image.new("RGB", (width, height), paper)
    font = ImageFont.load_default(size)
    shown = text
    while shown and font.getlength(shown) > width:
        shown = shown.removesuffix("...")[:-1] + "..." if shown != "..." else ""
    ImageDraw.Draw(picture).text((width / 2, height / 2), shown, fill=ink, font=font, anchor="mm")
    return picture_to_tensor(picture)

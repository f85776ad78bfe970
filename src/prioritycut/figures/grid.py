"""A figure as a typed grid, and the grid as a picture: white ground, equal margins, crisp pixels.

Everything in a grid has one panel size: the largest picture's, enlarged a whole number of times where it is small.
Smaller pictures come to it by repeating pixels where that goes evenly, else smoothly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from prioritycut.explanation import enlarge
from prioritycut.figures.lettering import Picture, common_size, lettering
from prioritycut.geometry import resize_map

SMALLEST_PANEL = 192
"""Panels are enlarged until their sides have at least so many pixels, so that their labels can be read."""
GAP = 4
"""Pixels between panels."""
MARGIN = 8
"""Pixels around the figure."""
RULE, RULE_GREY = 1, 0.6
"""Width in pixels and level of the line around each panel, so that a white map stands out from the ground."""
GREY = 0.75
"""Of a panel that a model cannot fill."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A square picture."""

    picture: Picture


@dataclass(frozen=True, slots=True)
class Caption:
    """Words in the place of a panel: the label of the row."""

    text: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A grey panel that says why there is no picture."""

    text: str = "not estimated"


Cell = Panel | Caption | Missing


@dataclass(frozen=True, slots=True)
class Row:
    """Cells side by side, with a name above each where `headers` are given."""

    cells: tuple[Cell, ...]
    headers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.headers and len(self.headers) != len(self.cells):
            raise ValueError(f"a row of {len(self.cells)} cells has as many headers or none, not {len(self.headers)}")


@dataclass(frozen=True, slots=True)
class Key:
    """What the colours of the panels mean: a note, and the colours between two words."""

    note: str
    low: str
    high: str
    colours: Float[Tensor, "3 1 _levels"]
    """From `low` to `high`."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows one below another, and the key under them."""

    rows: tuple[Row, ...]
    key: Key | None = None


def panel_side(grids: Sequence[Grid]) -> int:
    """Side of every panel: the largest picture's times a whole number, at least `SMALLEST_PANEL`."""
    largest = max((cell.picture.shape[-1] for cell in _cells(grids) if isinstance(cell, Panel)), default=1)
    return largest * -(-SMALLEST_PANEL // largest)


def header_height(side: int) -> int:
    """Height of the line of names above panels of this side; even, as most video needs the whole to be."""
    return side // 14 * 2


def gutter(side: int) -> int:
    """Pixels between two grids of panels of this side; even too."""
    return side // 12 * 2


def draw_grids(grids: Sequence[Grid]) -> Picture:
    """Grids side by side on white. Where each has its own rows, those stand on common lines."""
    side = panel_side(grids)
    texts = [cell.text for cell in _cells(grids) if not isinstance(cell, Panel)]
    texts += [header for grid in grids for row in grid.rows for header in row.headers]
    texts += [grid.key.note for grid in grids if grid.key is not None]
    size = common_size(tuple(texts), side - 2 * GAP, largest=0.7 * header_height(side))
    drawn = beside([_draw_grid(grid, side, size) for grid in grids], gap=gutter(side))
    height, width = drawn.shape[-2:]
    figure = torch.ones(3, height + 2 * MARGIN, width + 2 * MARGIN)
    figure[:, MARGIN : MARGIN + height, MARGIN : MARGIN + width] = drawn
    return figure


def _cells(grids: Sequence[Grid]) -> Iterator[Cell]:
    return (cell for grid in grids for row in grid.rows for cell in row.cells)


def _draw_grid(grid: Grid, side: int, size: float) -> Picture:
    parts = [_draw_row(row, side, size) for row in grid.rows]
    if grid.key is not None:
        parts.append(_draw_key(grid.key, parts[0].shape[-1], side, size))
    return stacked(parts, gap=GAP)


def _draw_row(row: Row, side: int, size: float) -> Picture:
    cells = beside([_draw_cell(cell, side, size) for cell in row.cells], gap=GAP)
    if not row.headers:
        return cells
    width = side + 2 * RULE
    names = [lettering(header, width, header_height(side), size=size) for header in row.headers]
    return stacked([beside(names, gap=GAP), cells], gap=0)


def _draw_cell(cell: Cell, side: int, size: float) -> Picture:
    match cell:
        case Panel(picture):
            return _ruled(_to_side(picture, side))
        case Missing(text):
            level = round(255 * GREY)
            return _ruled(lettering(text, side, side, size=size, ink=(90, 90, 90), paper=(level, level, level)))
        case Caption(text):
            return lettering(text, side + 2 * RULE, side + 2 * RULE, size=size)


def _ruled(panel: Picture) -> Picture:
    return F.pad(panel, (RULE,) * 4, value=RULE_GREY)


def _to_side(picture: Picture, side: int) -> Picture:
    if side % picture.shape[-1] == 0:
        return enlarge(picture[None], side)[0]
    return resize_map(picture[None], side, side)[0]


def _draw_key(key: Key, width: int, side: int, size: float) -> Picture:
    """The note under the first column, the colours under the others."""
    height, first, word = header_height(side), side + 2 * RULE, side // 3
    levels = width - first - 2 * word - 3 * GAP
    bar = torch.ones(3, height, levels)
    inset = height // 4
    bar[:, inset : height - inset] = resize_map(key.colours[None], height - 2 * inset, levels)[0]
    words = [lettering(text, word, height, size=size) for text in (key.low, key.high)]
    return beside([lettering(key.note, first, height, size=size), words[0], bar, words[1]], gap=GAP)


def beside(pictures: Sequence[Picture], *, gap: int) -> Picture:
    """Pictures side by side on white, tops in line."""
    height = max(picture.shape[-2] for picture in pictures)
    width = sum(picture.shape[-1] for picture in pictures) + gap * (len(pictures) - 1)
    whole = torch.ones(3, height, width)
    left = 0
    for picture in pictures:
        whole[:, : picture.shape[-2], left : left + picture.shape[-1]] = picture
        left += picture.shape[-1] + gap
    return whole


def stacked(pictures: Sequence[Picture], *, gap: int) -> Picture:
    """Pictures one below another on white, left sides in line."""
    return beside([picture.mT for picture in pictures], gap=gap).mT

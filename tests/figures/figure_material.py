"""What the tests of figures share: tiny models, and figures taken apart again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from prioritycut.checkpoint import CheckpointInfo, save_animator
from prioritycut.data.clips import read_image
from prioritycut.figures.grid import GAP, MARGIN, RULE, header_height
from prioritycut.models.fomm import Fomm, FommConfig, HourglassConfig

HOURGLASS = HourglassConfig(block_expansion=4, num_blocks=2, max_features=8, scale_factor=0.5)
TINY = FommConfig(
    frame_size=64,
    num_keypoints=3,
    detector=HOURGLASS,
    dense_motion=HOURGLASS,
    block_expansion=4,
    max_features=8,
    num_down_blocks=1,
    num_bottleneck_blocks=1,
)
SMALL = replace(TINY, frame_size=32)
MAPLESS = replace(TINY, estimate_occlusion_map=False)


def tiny_fomm(config: FommConfig = TINY, seed: int = 0) -> Fomm:
    torch.manual_seed(seed)
    return Fomm(config).eval().requires_grad_(False)


def saved(path: Path, config: FommConfig = TINY, seed: int = 0) -> str:
    save_animator(path, tiny_fomm(config, seed), CheckpointInfo(model=config, trained_on="puppets"))
    return str(path)


def levels(picture: Tensor) -> Tensor:
    """A picture in the 256 levels of a file."""
    return (picture * 255).round().to(torch.int64)


class TakenApart:
    """A figure's panels by row and column, at the size they had before they were enlarged."""

    def __init__(self, figure: Path | Tensor, *, side: int = 192, native: int = 64) -> None:
        self.picture = read_image(figure) if isinstance(figure, Path) else figure
        self.side, self.native = side, native

    def place(self, row: int, column: int) -> tuple[int, int]:
        """Top left of a panel, where only the first row has names above it."""
        pitch = self.side + 2 * RULE + GAP
        return MARGIN + header_height(self.side) + RULE + row * pitch, MARGIN + RULE + column * pitch

    def whole(self, row: int, column: int) -> Tensor:
        top, left = self.place(row, column)
        panel = self.picture[:, top : top + self.side, left : left + self.side]
        assert panel.shape == (3, self.side, self.side), f"there is no panel {row}, {column}"
        return levels(panel)

    def panel(self, row: int, column: int) -> Tensor:
        """In levels; every pixel must be a block of equal ones."""
        whole, times = self.whole(row, column), self.side // self.native
        assert times * self.native == self.side
        blocks = whole.unflatten(2, (self.native, times)).unflatten(1, (self.native, times))
        assert (blocks == blocks[:, :, :1, :, :1]).all(), "a pixel is not a block"
        return blocks[:, :, 0, :, 0]

    def is_blank(self, row: int, column: int) -> bool:
        """Whether nothing is drawn there, not even words."""
        return bool((self.whole(row, column) == 255).all())

    def shape(self) -> tuple[int, int]:
        """Rows and columns that a figure of this size has."""
        pitch = self.side + 2 * RULE + GAP
        height, width = self.picture.shape[-2:]
        rows, left_over = divmod(height - 2 * MARGIN - header_height(self.side) + GAP, pitch)
        columns, right_over = divmod(width - 2 * MARGIN + GAP, pitch)
        assert (left_over, right_over) == (0, 0)
        return rows, columns

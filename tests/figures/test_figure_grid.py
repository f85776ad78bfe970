"""Grids: every panel in its place pixel by pixel, every word inside its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from figure_material import TakenApart, levels
from PIL import Image, ImageFont

from prioritycut.figures.grid import (
    GAP,
    MARGIN,
    RULE,
    Caption,
    Grid,
    Key,
    Missing,
    Panel,
    Row,
    draw_grids,
    header_height,
    panel_side,
)
from prioritycut.figures.lettering import SMALLEST_SIZE, common_size, lettering


def noise(side: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))


def test_panels_stand_at_equal_distances_and_repeat_their_pixels() -> None:
    pictures = [[noise(50, 10 * row + column) for column in range(3)] for row in range(2)]
    names = ("one", "two", "three")
    rows = [Row(tuple(Panel(p) for p in line), () if n else names) for n, line in enumerate(pictures)]
    figure = draw_grids([Grid(tuple(rows))])
    apart = TakenApart(figure, side=200, native=50)  # four times 50 is the first to reach 192
    assert apart.shape() == (2, 3)
    for row in range(2):
        for column in range(3):
            assert torch.equal(apart.panel(row, column), levels(pictures[row][column]))


def test_all_margins_are_white_and_equal_and_a_line_surrounds_each_panel() -> None:
    figure = draw_grids([Grid((Row((Panel(torch.zeros(3, 192, 192)),)),))])
    black = (figure == 0).all(0)
    line = ((figure > 0) & (figure < 1)).all(0)
    assert [int(x) for x in black.nonzero().min(0).values] == [MARGIN + RULE] * 2
    assert [int(x) for x in figure.shape[-2:] - black.nonzero().max(0).values.numpy() - 1] == [MARGIN + RULE] * 2
    assert int(line.sum()) == 4 * (192 + RULE) * RULE
    assert (figure[:, :MARGIN] == 1).all()
    assert (figure[:, :, -MARGIN:] == 1).all()


def test_a_smaller_picture_is_repeated_where_that_goes_evenly_and_else_interpolated() -> None:
    large, half, odd = noise(64, 1), noise(32, 2), noise(48, 3)
    apart = TakenApart(draw_grids([Grid((Row((Panel(large), Panel(half)), ("a", "b")),))]))
    assert torch.equal(apart.panel(0, 1), levels(half.repeat_interleave(2, 1).repeat_interleave(2, 2)))

    largest = noise(200, 4)
    apart = TakenApart(draw_grids([Grid((Row((Panel(largest), Panel(odd)), ("a", "b")),))]), side=200)
    pixels = levels(odd).permute(1, 2, 0).numpy().astype(np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((200, 200), Image.Resampling.BILINEAR)).astype(int)
    assert (apart.whole(0, 1).permute(1, 2, 0) - torch.from_numpy(expected)).abs().max() <= 1


@pytest.mark.parametrize(("native", "side"), [(1, 192), (64, 192), (100, 200), (128, 256), (192, 192), (256, 256)])
def test_panels_grow_by_whole_factors_until_their_labels_can_be_read(native: int, side: int) -> None:
    assert panel_side([Grid((Row((Panel(torch.zeros(3, native, native)),)),))]) == side


def test_names_stand_above_their_own_panels_only() -> None:
    row = Row((Panel(noise(64)), Panel(noise(64))), ("Source", ""))
    figure = draw_grids([Grid((row,))])
    strip = figure[:, MARGIN : MARGIN + header_height(192)]
    middle = MARGIN + 192 + 2 * RULE + GAP // 2
    assert strip[:, :, :middle].min() == 0
    assert strip[:, :, middle:].min() == 1


def test_a_caption_is_words_on_white_and_a_missing_panel_words_on_grey() -> None:
    apart = TakenApart(draw_grids([Grid((Row((Caption("FOMM"), Missing(), Panel(noise(64))), ("", "", "")),))]))
    caption, missing = apart.whole(0, 0), apart.whole(0, 1)
    assert (caption == 255).float().mean() > 0.9
    assert caption.min() == 0
    values, counts = missing.unique(return_counts=True)
    assert int(values[counts.argmax()]) == round(0.75 * 255)
    assert missing.min() < 120


def test_grids_of_different_heights_start_on_one_line() -> None:
    row = Row((Panel(torch.zeros(3, 64, 64)),))
    figure = draw_grids([Grid((row, row)), Grid((row,))])
    black = (figure == 0).all(0)
    right = figure.shape[-1] - MARGIN - RULE - 1
    assert int(black[:, MARGIN + RULE].sum()) == 2 * 192
    assert int(black[:, right].sum()) == 192
    assert black[MARGIN + RULE, MARGIN + RULE]
    assert black[MARGIN + RULE, right]


def test_a_key_shows_its_colours_between_its_words() -> None:
    colours = torch.stack([torch.linspace(0, 1, 9), torch.zeros(9), torch.linspace(1, 0, 9)])[:, None]
    row = Row(tuple(Panel(torch.ones(3, 64, 64)) for _ in range(3)))
    figure = draw_grids([Grid((row,), Key("a frame is", "fake", "real", colours))])
    coloured = (figure.max(0).values - figure.min(0).values) > 0.5
    left, right = (int(x) for x in (coloured.any(0).nonzero().min(), coloured.any(0).nonzero().max()))
    line = int(coloured.any(1).nonzero().float().mean())
    assert figure[:, line, left].tolist() == pytest.approx([0, 0, 1], abs=0.1)
    assert figure[:, line, right].tolist() == pytest.approx([1, 0, 0], abs=0.1)
    assert figure[:, line, :left].min() < 0.5  # "fake"
    assert figure[:, line, right + 1 :].min() < 0.5  # "real"


def test_a_row_refuses_headers_of_another_number() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        Row((Missing(), Missing()), ("one",))


# Lettering


def test_the_common_size_is_the_largest_at_which_every_text_fits() -> None:
    texts = ("Source", "Generator with a rather long name")
    size = common_size(texts, 180, largest=20)
    assert size < 20
    assert max(ImageFont.load_default(size).getlength(text) for text in texts) <= 180
    assert max(ImageFont.load_default(size + 0.5).getlength(text) for text in texts) > 180
    assert common_size(("Source",), 180, largest=20) == 20


def test_a_text_that_does_not_fit_at_the_smallest_size_is_cut() -> None:
    text = "no reader has the patience for such a label " * 3
    size = common_size((text,), 100, largest=20)
    assert size == SMALLEST_SIZE
    drawn = lettering(text, 100, 20, size=size)
    assert drawn.shape == (3, 20, 100)
    assert drawn.min() < 0.5
    # It fits: nothing touches the ends, where a text that ran over would.
    assert (drawn[:, :, 0] == 1).all()
    assert (drawn[:, :, -1] == 1).all()


def test_no_text_at_all_leaves_the_paper_blank() -> None:
    assert (lettering("", 30, 10, size=9) == 1).all()
    assert (lettering("W", 3, 10, size=9) == 1).all()

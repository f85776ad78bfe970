"""Whole figures, from checkpoints and clips to files, taken apart again panel by panel."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from figure_material import TakenApart, levels
from torch import Tensor

from prioritycut.checkpoint import load_animator
from prioritycut.data.clips import open_clip, read_clip, write_clip
from prioritycut.data.puppets import generate_puppet
from prioritycut.drawing import save_picture
from prioritycut.errors import UserError
from prioritycut.figures import make_figure
from prioritycut.figures.grid import MARGIN, gutter
from prioritycut.figures.making import FIGURES, in_step
from prioritycut.figures.subjects import load_discriminator

GREY = round(0.75 * 255)


@cache
def puppet(index: int) -> Tensor:
    """All frames of a held-out puppet, in levels."""
    return levels(generate_puppet(1, index, frames=32, size=64).frames)


def predicted(checkpoint: str, source: Tensor, driving: Tensor) -> Tensor:
    """What a model makes of frames given in levels, in levels."""
    return levels(load_animator(checkpoint)(source[None] / 255, driving[None] / 255).prediction[0])


def near(first: Tensor, second: Tensor, tolerance: int = 1) -> bool:
    """Equal to a level: floats that differ in their last bit may round to either side."""
    return int((first - second).abs().max()) <= tolerance


def is_missing(panel: Tensor) -> bool:
    values, counts = panel.unique(return_counts=True)
    return int(values[counts.argmax()]) == GREY


# What stands where


def test_figure_1_shows_how_one_frame_is_augmented(tmp_path: Path, weights: Callable[[str], str]) -> None:
    made = make_figure("1", checkpoints=[weights("tiny")], output=tmp_path / "1.png", clips=["puppets:4"], fraction=0.3)
    apart = TakenApart(made.output)
    assert apart.shape() == (1, 6)
    assert (made.width, made.height, made.frames) == (*reversed(apart.picture.shape[-2:]), 1)
    frames = puppet(4)
    source, driving, generated, occlusion, cut, augmented = (apart.panel(0, column) for column in range(6))
    assert torch.equal(source, frames[0])
    assert torch.equal(driving, frames[16])  # the middle of the 31 frames after the source
    assert near(generated, predicted(weights("tiny"), frames[0], frames[16]))

    # Of an untrained model's even weights no pixel is confidently background, so all are foreground.
    chosen = (cut == 255).all(0)
    assert set(cut.unique().tolist()) == {0, 255}
    assert int(chosen.sum()) == int(0.3 * 64 * 64)
    assert occlusion[0][chosen].max() <= occlusion[0][~chosen].min()
    assert torch.equal(augmented, torch.where(chosen, generated, driving))


@pytest.mark.parametrize("fraction", [0.0, 0.7, 1.0])
def test_the_cut_has_exactly_the_share_asked_for(
    tmp_path: Path, weights: Callable[[str], str], fraction: float
) -> None:
    output = tmp_path / "1.png"
    make_figure("1", checkpoints=[weights("tiny")], output=output, fraction=fraction)
    assert int((TakenApart(output).panel(0, 4)[0] == 255).sum()) == int(fraction * 64 * 64)


def test_figure_2_mixes_the_same_frames_in_four_ways(tmp_path: Path, weights: Callable[[str], str]) -> None:
    names = {"checkpoints": [weights("tiny")], "clips": ["puppets:4"], "seed": 7}
    apart = TakenApart(make_figure("2", output=tmp_path / "2.png", **names).output)
    assert apart.shape() == (1, 4)
    driving = puppet(4)[16]
    generated = predicted(weights("tiny"), puppet(4)[0], driving)
    cutout, mixup, cutmix, priority = (apart.panel(0, column) for column in range(4))

    black = (cutout == 0).all(0)
    rows, columns = black.any(1).nonzero()[:, 0], black.any(0).nonzero()[:, 0]
    assert black[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    assert 0 < int(black.sum()) < 64 * 64
    assert torch.equal(cutout[:, ~black], driving[:, ~black])
    assert torch.equal(cutmix[:, ~black], driving[:, ~black])
    assert near(cutmix[:, black], generated[:, black])

    # One weight for the whole frame: the least squares one leaves only rounding.
    slope, change = (generated - driving).double(), (mixup - driving).double()
    weight = float((slope * change).sum() / (slope * slope).sum())
    assert 0 < weight < 1
    assert (change - weight * slope).abs().max() < 2
    figure_1 = TakenApart(make_figure("1", output=tmp_path / "1.png", **names).output)
    assert torch.equal(priority, figure_1.panel(0, 5))


def test_the_seed_of_figure_2_moves_the_box_and_nothing_else_does(
    tmp_path: Path, weights: Callable[[str], str]
) -> None:
    made = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_figure("2", checkpoints=[weights("tiny")], output=tmp_path / f"{name}.png", seed=seed)
        made[name] = TakenApart(tmp_path / f"{name}.png").panel(0, 0)
    assert torch.equal(made["a"], made["b"])
    assert not torch.equal(made["a"], made["c"])


def test_figure_3_has_a_row_a_clip_and_leaves_grey_what_a_model_lacks(
    tmp_path: Path, weights: Callable[[str], str]
) -> None:
    clips = ["puppets:4", "puppets:9"]
    whole = TakenApart(make_figure("3", checkpoints=[weights("tiny")], output=tmp_path / "3.png", clips=clips).output)
    assert whole.shape() == (2, 7)
    for row, index in enumerate((4, 9)):
        assert torch.equal(whole.panel(row, 0), puppet(index)[0])
        assert torch.equal(whole.panel(row, 1), puppet(index)[16])
        assert not any(is_missing(whole.whole(row, column)) for column in range(7))
    cut = (whole.panel(0, 5) == 255).all(0)
    assert torch.equal(whole.panel(0, 6), torch.where(cut, whole.panel(0, 2), whole.panel(0, 1)))

    lacking = TakenApart(
        make_figure("3", checkpoints=[weights("mapless")], output=tmp_path / "lacking.png", clips=clips).output
    )
    missing = [is_missing(lacking.whole(0, column)) for column in range(7)]
    assert missing == [False, False, False, True, False, True, True]


@pytest.mark.parametrize("judged", ["generated", "driving"])
def test_figure_4_paints_what_each_run_s_discriminator_says_of_every_pixel(
    tmp_path: Path, runs: tuple[Path, Path], judged: str
) -> None:
    names = [f"CutMix={runs[0]}", f"PriorityCut={runs[1]}"]
    output = tmp_path / "4.png"
    make_figure("4", checkpoints=names, output=output, clips=["puppets:4"], judged=judged)  # pyright: ignore
    apart = TakenApart(output)
    frames = generate_puppet(1, 4, frames=32, size=64).frames
    assert torch.equal(apart.panel(0, 0), levels(frames[16]))
    for column, run in enumerate(runs, start=1):
        animator, source, driving = load_animator(run), frames[None, 0], frames[None, 16]
        frame = driving if judged == "driving" else animator(source, driving).prediction
        scores = load_discriminator(run)(frame, animator.detect(driving))[0].pixel_score
        assert scores is not None
        red, _, blue = apart.panel(0, column) / 255
        # Red to white as blue comes up, white to blue as red goes down.
        shown = torch.where(red > 254 / 255, blue / 2, 1 - red / 2)
        torch.testing.assert_close(shown, scores[0, 0], atol=2 / 255, rtol=0)


def test_figure_5_has_a_row_a_model(tmp_path: Path, weights: Callable[[str], str]) -> None:
    names = [f"A={weights('tiny')}", f"B={weights('other')}"]
    apart = TakenApart(make_figure("5", checkpoints=names, output=tmp_path / "5.png", clips=["puppets:4"]).output)
    assert apart.shape() == (3, 6)
    frames = puppet(4)
    assert torch.equal(apart.panel(0, 0), frames[0])
    for column, number in enumerate((4, 10, 16, 22, 28), start=1):
        assert torch.equal(apart.panel(0, column), frames[number])
        for row, model in ((1, "tiny"), (2, "other")):
            assert near(apart.panel(row, column), predicted(weights(model), frames[0], frames[number]))
    for row in (1, 2):
        label = apart.whole(row, 0)
        assert (label == 255).float().mean() > 0.9
        assert label.min() < 128


def test_figure_6_has_a_column_a_model_and_a_row_a_frame(tmp_path: Path, weights: Callable[[str], str]) -> None:
    names = [weights("tiny"), weights("other"), weights("mapless")]
    made = make_figure("6", checkpoints=names, output=tmp_path / "6.png", clips=["puppets:4"], frames=[30, 2])
    apart = TakenApart(made.output)
    assert apart.shape() == (2, 5)
    frames = puppet(4)
    for row, number in enumerate((2, 30)):  # in the order of time
        assert torch.equal(apart.panel(row, 0), frames[0])
        assert torch.equal(apart.panel(row, 1), frames[number])
        for column, checkpoint in enumerate(names, start=2):
            assert near(apart.panel(row, column), predicted(checkpoint, frames[0], frames[number]))


def test_the_appendix_s_figures_show_two_examples_side_by_side(tmp_path: Path, weights: Callable[[str], str]) -> None:
    assert FIGURES["A1"] == FIGURES["A2"] == FIGURES["A3"]  # they differ in their data only
    names = [f"A={weights('tiny')}", f"B={weights('other')}"]
    output = tmp_path / "A.png"
    make_figure("A1", checkpoints=names, output=output, clips=["puppets:4", "puppets:9"])
    whole = TakenApart(output).picture
    half = (whole.shape[-1] - gutter(192)) // 2 + MARGIN
    for picture, index in ((whole[:, :, :half], 4), (whole[:, :, -half:], 9)):
        apart, frames = TakenApart(picture), puppet(index)
        assert apart.shape() == (3, 4)
        assert torch.equal(apart.panel(0, 0), frames[0])
        for column, frame in enumerate((6, 16, 26), start=1):
            assert torch.equal(apart.panel(0, column), frames[frame])
            for row, model in ((1, "tiny"), (2, "other")):
                assert near(apart.panel(row, column), predicted(weights(model), frames[0], frames[frame]))


def test_models_of_different_sizes_come_to_the_largest(tmp_path: Path, weights: Callable[[str], str]) -> None:
    names = [weights("small"), weights("tiny")]
    apart = TakenApart(make_figure("6", checkpoints=names, output=tmp_path / "6.png", clips=["puppets:4"]).output)
    assert torch.equal(apart.panel(0, 1), puppet(4)[16])
    small = apart.panel(0, 2)
    assert torch.equal(small, small[:, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2))
    assert near(apart.panel(0, 3), predicted(weights("tiny"), puppet(4)[0], puppet(4)[16]))


def test_another_picture_can_be_the_source(tmp_path: Path, weights: Callable[[str], str]) -> None:
    picture = generate_puppet(1, 8, frames=1, size=64).frames[0]
    save_picture(tmp_path / "picture.png", picture)
    made = make_figure(
        "6",
        checkpoints=[weights("tiny")],
        output=tmp_path / "6.png",
        source=tmp_path / "picture.png",
        frames=[0],
    )
    # The first driving frame moves nothing: what comes out is the picture as the model draws it.
    assert torch.equal(TakenApart(made.output).panel(0, 0), levels(picture))
    fomm = load_animator(weights("tiny"))
    start = fomm.detect(picture[None])
    assert near(TakenApart(made.output).panel(0, 2), levels(fomm.render(picture[None], start, start).prediction[0]), 2)


# Video


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_a_video_has_the_clip_s_length_and_rate_and_a_grid_a_frame(
    tmp_path: Path, weights: Callable[[str], str], suffix: str
) -> None:
    frames = generate_puppet(1, 4, frames=6, size=64).frames
    write_clip(tmp_path / "clip.mp4", frames, rate=Fraction(20))
    output = tmp_path / f"5{suffix}"
    told = list[int]()
    names = [f"A={weights('tiny')}", f"B={weights('other')}"]
    made = make_figure("5", checkpoints=names, output=output, clips=[str(tmp_path / "clip.mp4")], advance=told.append)
    assert told == [1, 2, 3, 4, 5, 6]
    assert (made.frames, made.rate) == (6, 20)
    with open_clip(output) as reader:
        assert reader.rate == 20
        assert (reader.width, reader.height) == (made.width, made.height)
    grids, driving = read_clip(output), read_clip(tmp_path / "clip.mp4", size=64)
    assert len(grids) == 6
    for grid, frame in zip(grids, driving, strict=True):
        top, left = TakenApart(grid).place(0, 1)
        shown = grid[:, top : top + 192, left : left + 192]
        assert (shown - frame.repeat_interleave(3, 1).repeat_interleave(3, 2)).abs().mean() < 0.02
        assert TakenApart(grid).shape() == (3, 2)  # source, driving; a row a model


def test_a_clip_that_ends_earlier_stays_at_its_last_frame() -> None:
    def shots(name: str, count: int) -> object:
        return iter([f"{name}{number}" for number in range(count)])

    steps = list(in_step([shots("a", 3), shots("b", 1), shots("c", 2)]))  # pyright: ignore
    assert steps == [("a0", "b0", "c0"), ("a1", "b0", "c1"), ("a2", "b0", "c1")]


# Faults


def test_wrong_requests_are_told_in_one_line(
    tmp_path: Path, weights: Callable[[str], str], runs: tuple[Path, Path]
) -> None:
    tiny, output = weights("tiny"), tmp_path / "out.png"
    save_picture(tmp_path / "picture.png", torch.rand(3, 64, 64))
    for name, rate in (("a.mp4", 20), ("b.mp4", 25)):
        write_clip(tmp_path / name, torch.rand(3, 3, 64, 64), rate=rate)
    short, other = str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")
    wrong = [
        ("1", {"checkpoints": [tiny, tiny]}, "figure 1 takes 1 checkpoint, got 2"),
        ("5", {"checkpoints": []}, "figure 5 takes at least 1 checkpoint, got 0"),
        ("4", {"checkpoints": [str(runs[0])]}, "figure 4 takes 2 checkpoints, got 1"),
        ("4", {"checkpoints": ["puppets", str(runs[0])]}, "puppets: holds no discriminator"),
        ("A1", {"clips": [short]}, "figure A1 takes 2 clips, got 1"),
        ("1", {"checkpoints": [weights("mapless")]}, "mapless: estimates no occlusion map"),
        ("5", {"clips": [short]}, f"{short}: has 3 frames, but figure 5 shows 5"),
        ("6", {"clips": [short], "frames": [1, 3]}, f"{short}: there is no frame 3, it has 3"),
        ("6", {"frames": [-1]}, "there is no frame -1"),
        ("6", {"output": tmp_path / "out.jpg"}, "out.jpg: a figure is written as .png"),
        ("6", {"output": tmp_path / "out"}, "a figure is written as .png"),
        ("6", {"output": tmp_path / "out.mp4", "frames": [1]}, "leave --frames out"),
        ("A1", {"output": tmp_path / "out.mp4", "clips": [short, other]}, "one rate"),
        ("2", {"source": tmp_path / "picture.png"}, "leave --source out"),
        ("6", {"source": tmp_path / "absent.png"}, "absent.png"),
        ("6", {"clips": [str(tmp_path / "absent.mp4")]}, "absent.mp4"),
        ("6", {"clips": [short], "output": tmp_path / "a.mp4"}, "would replace an input"),
        ("6", {"source": tmp_path / "picture.png", "output": tmp_path / "picture.png"}, "would replace an input"),
        ("6", {"output": tmp_path / "a.mp4" / "out.png"}, "out.png: cannot be written"),
    ]
    before = sorted(tmp_path.iterdir())
    for number, change, words in wrong:
        request = {"checkpoints": [tiny], "output": output, **change}
        with pytest.raises(UserError) as caught:
            make_figure(number, **request)  # pyright: ignore
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(ValueError, match="fraction"):
        make_figure("1", checkpoints=[tiny], output=output, fraction=1.5)


def test_a_damaged_clip_leaves_nothing_behind(tmp_path: Path, weights: Callable[[str], str]) -> None:
    write_clip(tmp_path / "frames", torch.rand(9, 3, 64, 64))
    pixels = np.frombuffer((tmp_path / "frames" / "000008.png").read_bytes(), np.uint8)
    (tmp_path / "frames" / "000008.png").write_bytes(pixels[: len(pixels) // 2].tobytes())
    for suffix in ("png", "mp4"):
        with pytest.raises(UserError, match=r"000008\.png"):
            make_figure(
                "6",
                checkpoints=[weights("tiny")],
                output=tmp_path / f"6.{suffix}",
                clips=[str(tmp_path / "frames")],
            )
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_every_figure_is_made_out_of_the_box(tmp_path: Path) -> None:
    for number in ("1", "2", "3", "5", "6", "A1"):
        made = make_figure(number, checkpoints=["puppets"], output=tmp_path / f"{number}.png")  # pyright: ignore
        assert made.output.stat().st_size > 10_000

"""Clips, models and what models make of frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import count
from pathlib import Path

import pytest
import torch
from figure_material import SMALL, saved, tiny_fomm

from prioritycut.configuration import config_to_json
from prioritycut.data.clips import write_clip
from prioritycut.data.puppets import generate_puppet
from prioritycut.errors import UserError
from prioritycut.figures.subjects import (
    FigureClip,
    FigureModel,
    load_discriminator,
    load_model,
    open_figure_clip,
    shoot,
    spread_frames,
)
from prioritycut.files import read_tensors
from prioritycut.geometry import coordinate_grid
from prioritycut.models.discriminators import PatchDiscriminatorConfig
from prioritycut.outputs import AnimationOutput, MotionOutput
from prioritycut.presets import PRESETS


class Fader:
    """A model without keypoints or maps: the mean of source and driving frame."""

    def __init__(self) -> None:
        self.calls = list[int]()

    def __call__(self, source: torch.Tensor, driving: torch.Tensor) -> AnimationOutput:
        self.calls.append(driving.shape[0])
        grid = coordinate_grid(4, 4).expand(driving.shape[0], -1, -1, -1)
        return AnimationOutput((source + driving) / 2, MotionOutput(grid))


def endless(level: float | None = None) -> FigureClip:
    """Frame n is of level n / 1000, or all are of one level; asked for more and more, it never ends."""

    def frames(size: int) -> Iterator[torch.Tensor]:
        return (torch.full((3, size, size), n / 1000 if level is None else level) for n in count())

    return FigureClip("endless", Fraction(25), lambda: 0, frames)


def refused(action: object, *words: str) -> None:
    with pytest.raises(UserError) as caught:
        action()  # pyright: ignore
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


# Clips


def test_a_puppet_is_one_of_the_held_out_cast_at_any_size() -> None:
    clip = open_figure_clip("puppets:5")
    truth = generate_puppet(1, 5, frames=32, size=64).frames
    assert torch.equal(torch.stack(list(clip.frames(64))), truth)
    assert (clip.count(), clip.rate) == (32, 25)
    assert next(clip.frames(32)).shape == (3, 32, 32)
    assert next(clip.frames(257)).shape == (3, 257, 257)
    assert torch.equal(next(open_figure_clip("puppets").frames(64)), generate_puppet(1, 0, frames=1, size=64).frames[0])


def test_a_file_is_cropped_to_its_middle_square(tmp_path: Path) -> None:
    frames = torch.zeros(4, 3, 40, 80)
    frames[:, 0, :, 20:60] = 1.0  # the middle square is red
    write_clip(tmp_path / "wide", frames)
    clip = open_figure_clip(str(tmp_path / "wide"))
    assert (clip.count(), clip.rate) == (4, 25)
    for _ in range(2):  # as often as one asks
        cropped = torch.stack(list(clip.frames(20)))
        assert cropped.shape == (4, 3, 20, 20)
        assert (cropped[:, 0] > 0.99).all()
        assert (cropped[:, 1:] == 0).all()


def test_what_is_no_clip_is_refused_in_one_line(tmp_path: Path) -> None:
    refused(lambda: open_figure_clip("puppets:five"), "puppets:five", "puppets:5")
    refused(lambda: open_figure_clip("puppets:-1"), "puppets:-1")
    refused(lambda: open_figure_clip(str(tmp_path / "absent.mp4")), "absent.mp4")


@pytest.mark.parametrize(
    ("length", "wanted", "numbers"),
    [(2, 1, (1,)), (3, 1, (2,)), (4, 1, (2,)), (6, 5, (1, 2, 3, 4, 5)), (11, 2, (3, 8)), (32, 5, (4, 10, 16, 22, 28))],
)
def test_frames_are_spread_over_the_clip_without_its_first(length: int, wanted: int, numbers: tuple[int, ...]) -> None:
    assert spread_frames(length, wanted) == numbers


def test_more_frames_than_there_are_cannot_be_spread() -> None:
    with pytest.raises(ValueError, match="5 driving frames"):
        spread_frames(5, 5)


# Models


def test_a_model_goes_by_its_label_or_by_its_checkpoint_s_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "plain.safetensors")
    assert load_model(path).label == "plain"
    assert load_model(f"+ PriorityCut={path}").label == "+ PriorityCut"
    assert load_model("puppets").label == "puppets"
    assert load_model(path).size == 64
    (tmp_path / "rate=2").mkdir()
    odd = saved(tmp_path / "rate=2" / "a.safetensors")
    assert load_model(odd).label == "a"
    assert load_model(f"Ours={odd}").label == "Ours"


def test_half_a_name_is_refused(tmp_path: Path) -> None:
    refused(lambda: load_model("Ours="), "LABEL=CHECKPOINT")
    refused(lambda: load_model("=puppets"), "LABEL=CHECKPOINT")
    refused(lambda: load_model(f"Ours={tmp_path / 'absent'}"), "absent", "puppets")


def test_the_discriminator_of_a_run_comes_back_with_its_weights(runs: tuple[Path, Path]) -> None:
    for run in runs:
        discriminator = load_discriminator(run)
        stored = {
            name.removeprefix("discriminator/"): value
            for name, value in read_tensors(run / "state.safetensors")[0].items()
            if name.startswith("discriminator/")
        }
        assert stored.keys() == discriminator.state_dict().keys()
        assert all(torch.equal(value, stored[name]) for name, value in discriminator.state_dict().items())
        assert not discriminator.training
        assert isinstance(load_model(f"Run={run}", judged=True).discriminator, type(discriminator))


@pytest.mark.parametrize(
    ("discriminator", "words"),
    [(None, "no discriminator"), (PatchDiscriminatorConfig(block_expansion=2, max_features=8), "a patch")],
)
def test_a_run_without_a_u_net_discriminator_is_refused(tmp_path: Path, discriminator: object, words: str) -> None:
    config = replace(PRESETS["puppets-64-fomm"], discriminator=discriminator)
    (tmp_path / "config.json").write_text(config_to_json(config))
    refused(lambda: load_discriminator(tmp_path), str(tmp_path), words)


def test_weights_without_a_run_folder_have_no_discriminator(weights: Callable[[str], str]) -> None:
    refused(lambda: load_model("puppets", judged=True), "puppets", "run folder")
    refused(lambda: load_model(weights("tiny"), judged=True), "tiny.safetensors", "run folder")


# Shots


def test_a_clip_is_reconstructed_from_its_first_frame() -> None:
    fomm = tiny_fomm()
    clip = open_figure_clip("puppets:3")
    frames = generate_puppet(1, 3, frames=32, size=64).frames
    shots = list(shoot((FigureModel("FOMM", fomm, 64),), clip, numbers=(7, 20)))
    for shot, number in zip(shots, (7, 20), strict=True):
        expected = fomm(frames[:1], frames[number : number + 1])
        (view,) = shot.views
        assert torch.equal(shot.source, frames[0])
        assert torch.equal(shot.driving, frames[number])
        assert torch.equal(view.driving[0], frames[number])
        torch.testing.assert_close(view.output.prediction, expected.prediction, atol=1e-5, rtol=0)
        torch.testing.assert_close(view.output.motion.occlusion_map, expected.motion.occlusion_map, atol=1e-5, rtol=0)


def test_another_picture_is_moved_relatively() -> None:
    # The driving object never moves, so the picture must not either, wherever that object is.
    fomm, picture = tiny_fomm(), generate_puppet(1, 2, frames=1, size=96).frames[0]
    models = (FigureModel("FOMM", fomm, 64),)
    still = []
    for index in (0, 1):
        frame = generate_puppet(1, index, frames=1, size=64).frames[0]
        clip = FigureClip("still", Fraction(25), lambda: 3, lambda size, frame=frame: iter([frame] * 3))
        (shot,) = shoot(models, clip, picture=picture, numbers=(2,))
        assert shot.source.shape == (3, 64, 64)
        still.append(shot.views[0].output.prediction)
    start = fomm.detect(shot.source[None])
    torch.testing.assert_close(still[0], still[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(still[0], fomm.render(shot.source[None], start, start).prediction, atol=1e-4, rtol=0)


def test_each_model_sees_frames_of_its_own_size() -> None:
    models = (FigureModel("small", tiny_fomm(SMALL), 32), FigureModel("large", tiny_fomm(), 64))
    (shot,) = shoot(models, open_figure_clip("puppets:1"), numbers=(9,))
    assert [view.driving.shape[-1] for view in shot.views] == [32, 64]
    assert [view.output.prediction.shape[-1] for view in shot.views] == [32, 64]
    assert shot.driving.shape == shot.source.shape == (3, 64, 64)


def test_a_model_without_keypoints_is_called() -> None:
    fader = Fader()
    shots = shoot((FigureModel("X2Face", fader, 16),), endless(), batch_size=4)
    levels = [float(next(shots).views[0].output.prediction.mean()) for _ in range(10)]
    assert levels == pytest.approx([n / 2000 for n in range(10)])
    assert set(fader.calls) == {4}


def test_an_endless_clip_streams() -> None:
    # Whoever looked ahead without bounds would never come back.
    models = (FigureModel("X2Face", Fader(), 16), FigureModel("FOMM", tiny_fomm(SMALL), 32))
    shots = shoot(models, endless())
    assert [round(1000 * float(next(shots).driving.mean())) for _ in range(20)] == list(range(20))

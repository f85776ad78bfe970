"""A run: it learns, it survives, it tells what it did."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from prioritycut.checkpoint import load_animator, read_info
from prioritycut.data.datasets import PuppetData
from prioritycut.errors import UserError
from prioritycut.geometry import coordinate_grid
from prioritycut.losses import LossWeights, PerceptualConfig
from prioritycut.models.discriminators import PatchDiscriminatorConfig, UNetDiscriminatorConfig
from prioritycut.models.fomm import Fomm, FommConfig, HourglassConfig
from prioritycut.models.monkeynet import MonkeyNetConfig, MonkeyNetDiscriminatorConfig
from prioritycut.models.x2face import X2FaceConfig
from prioritycut.outputs import AnimationOutput, MotionOutput
from prioritycut.presets import MONKEY_NET, PHOTOMETRIC, PRESETS
from prioritycut.regularizers import CutMix, Cutout, Mixup, PriorityCut, RandomCut
from prioritycut.runs import read_numbers
from prioritycut.train_config import AdamConfig, MixSchedule, SgdConfig, TrainConfig
from prioritycut.training import Networks, generator_losses, train
from prioritycut.training.trainer import learning_rate_factor

HOURGLASS = HourglassConfig(block_expansion=4, max_features=16, num_blocks=2, scale_factor=0.25)


def tiny(**changes: object) -> TrainConfig:
    config = TrainConfig(
        name="tiny",
        model=FommConfig(
            frame_size=64,
            num_keypoints=3,
            detector=HOURGLASS,
            dense_motion=HOURGLASS,
            block_expansion=4,
            max_features=16,
            num_bottleneck_blocks=1,
        ),
        discriminator=UNetDiscriminatorConfig(block_expansion=2, max_features=8),
        regularizer=PriorityCut(),
        mixing=MixSchedule(probability=1.0, warmup_epochs=0),
        perceptual=PerceptualConfig(weights="random", width=2, scales=(1.0, 0.5)),
        data=PuppetData(clips=4, frames=4),
        batch_size=2,
        epochs=4,
        log_every=1,
        sample_every=4,
        checkpoint_every=2,
    )
    return replace(config, **changes)


X2FACE: dict[str, object] = {
    "model": X2FaceConfig(frame_size=64, block_expansion=4, max_features=8, num_levels=6, bottleneck=4),
    "discriminator": None,
    "regularizer": None,
    "losses": PHOTOMETRIC,
    "optimizer": SgdConfig(),
}
MONKEYNET: dict[str, object] = {
    "model": MonkeyNetConfig(
        frame_size=64,
        num_keypoints=3,
        detector=HOURGLASS,
        dense_motion=HOURGLASS,
        block_expansion=4,
        max_features=16,
        num_blocks=3,
        num_refinement_blocks=1,
    ),
    "discriminator": MonkeyNetDiscriminatorConfig(num_keypoints=3, block_expansion=2, max_features=8),
    "regularizer": None,
    "losses": replace(MONKEY_NET, deformed=10.0),
}
UNET_WITH_CUTMIX = {
    "discriminator": UNetDiscriminatorConfig(block_expansion=2, max_features=8),
    "regularizer": CutMix(),
    "losses": LossWeights(),
}


def losses(folder: Path) -> list[dict[str, float]]:
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in read_numbers(folder)]


def test_a_run_leaves_everything_that_repeats_it(tmp_path: Path) -> None:
    made = train(tiny(), tmp_path / "run")
    folder = tmp_path / "run"
    assert made == folder / "model.safetensors"
    assert json.loads((folder / "config.json").read_text())["regularizer"]["kind"] == "priority-cut"
    assert "torch" in json.loads((folder / "code.jsonl").read_text().splitlines()[0])
    assert [line["step"] for line in losses(folder)] == list(range(1, 9))
    assert list((folder / "tensorboard").glob("events.*"))
    assert read_info(folder).steps == 8
    assert load_animator(folder).config == tiny().model
    with Image.open(folder / "samples" / "step-0000008.png") as sheet:
        assert sheet.width == 10 * 64  # source, driving, ..., pixel scores, prediction
    assert not list(folder.glob("**/.*partial*"))


def test_every_drawn_step_adds_consistency_and_says_how_much_was_cut(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "run", steps=3)
    for line in losses(tmp_path / "run"):
        assert line["mix/used"] == 1.0
        assert 0.0 <= line["mix/area"] <= 1.0
        assert line["discriminator/consistency"] > 0.0


@pytest.mark.parametrize("regularizer", [None, PriorityCut(), CutMix(), Cutout(), Mixup(), RandomCut()])
def test_every_regularizer_trains(tmp_path: Path, regularizer: object) -> None:
    train(tiny(regularizer=regularizer), tmp_path / "run", steps=1)
    assert losses(tmp_path / "run")[0]["loss/discriminator"] > 0.0


@pytest.mark.parametrize(
    "discriminator",
    [None, PatchDiscriminatorConfig(block_expansion=2, max_features=8, num_keypoints=3, spectral_norm=True)],
)
def test_fomm_and_fomm_plus_train_by_the_same_loop(tmp_path: Path, discriminator: object) -> None:
    train(tiny(discriminator=discriminator, regularizer=None), tmp_path / "run", steps=1)
    assert ("loss/discriminator" in losses(tmp_path / "run")[0]) == (discriminator is not None)


@pytest.mark.parametrize(
    ("baseline", "used", "unused"),
    [
        (X2FACE, {"pixel"}, {"perceptual", "equivariance_value", "adversarial", "feature_matching"}),
        (MONKEYNET, {"pixel", "deformed", "adversarial", "feature_matching"}, {"perceptual", "equivariance_value"}),
    ],
    ids=["x2face", "monkey-net"],
)
def test_baselines_train_and_go_on_by_the_same_loop(
    tmp_path: Path, baseline: dict[str, object], used: set[str], unused: set[str]
) -> None:
    config = tiny(**baseline)
    train(config, tmp_path / "whole", steps=4)
    train(config, tmp_path / "parts", steps=2)
    train(config, tmp_path / "parts", steps=4, resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert load_animator(tmp_path / "whole").config == config.model
    for line in losses(tmp_path / "whole"):
        assert all(line[f"generator/{name}"] > 0 for name in used)
        assert all(line[f"generator/{name}"] == 0 for name in unused)
    assert list((tmp_path / "whole" / "samples").glob("*.png"))


@pytest.mark.parametrize("baseline", [X2FACE, MONKEYNET], ids=["x2face", "monkey-net"])
def test_cutmix_regularizes_a_model_without_an_occlusion_map(tmp_path: Path, baseline: dict[str, object]) -> None:
    train(tiny(**baseline | UNET_WITH_CUTMIX), tmp_path / "run", steps=1)
    (line,) = losses(tmp_path / "run")
    assert line["discriminator/consistency"] > 0
    assert (line["generator/equivariance_value"] > 0) == (baseline is MONKEYNET)


def test_a_model_of_someone_elses_has_the_losses_that_it_can_have() -> None:
    class Foreign:
        def __call__(self, source: torch.Tensor, driving: torch.Tensor) -> AnimationOutput:
            grid = coordinate_grid(64, 64).expand(len(source), -1, -1, -1)
            return AnimationOutput(source, MotionOutput(grid))

    config = tiny(regularizer=None, discriminator=None, losses=LossWeights(pixel=1.0, deformed=1.0, explained=1.0))
    networks = Networks(Foreign())
    source, driving = torch.rand(2, 2, 3, 64, 64)
    made = generator_losses(networks, config, source, driving, generator=torch.Generator())
    assert made.driving_keypoints is None
    assert made.losses.pixel.item() == pytest.approx((source - driving).abs().mean().item())
    # Nothing moves, so the deformed source is the source.
    assert made.losses.deformed.item() == pytest.approx(made.losses.pixel.item(), rel=1e-4)
    assert made.losses.explained == made.losses.equivariance_value == made.losses.perceptual == 0


@pytest.mark.parametrize("gan_mode", ["logistic", "hinge"])
def test_other_adversarial_losses_train(tmp_path: Path, gan_mode: str) -> None:
    train(tiny(gan_mode=gan_mode), tmp_path / "run", steps=1)
    assert losses(tmp_path / "run")[0]["discriminator/decoder"] > 0.0


def test_a_resumed_run_gives_the_numbers_of_an_unbroken_one(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "whole", steps=6)
    train(tiny(), tmp_path / "parts", steps=3)
    train(tiny(), tmp_path / "parts", steps=6, resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    whole, parts = load_animator(tmp_path / "whole").state_dict(), load_animator(tmp_path / "parts").state_dict()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_pairs_do_not_depend_on_workers(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "none", steps=2)
    train(tiny(workers=1), tmp_path / "one", steps=2)
    assert losses(tmp_path / "one") == losses(tmp_path / "none")


def test_another_run_in_the_folder_is_left_alone(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "run", steps=1)
    with pytest.raises(UserError, match="already holds a run; add --resume"):
        train(tiny(), tmp_path / "run", steps=1)
    with pytest.raises(UserError, match=r"batch_size was 2, now 3"):
        train(tiny(batch_size=3), tmp_path / "run", steps=1, resume=True)
    with pytest.raises(UserError, match=r"\(model.kind was 'fomm', now 'x2face'\)"):
        train(tiny(**X2FACE), tmp_path / "run", steps=1, resume=True)


def test_a_start_that_failed_leaves_no_run_behind(tmp_path: Path) -> None:
    offline = tiny(perceptual=PerceptualConfig(weights=tmp_path / "no-such-file.pth", scales=(1.0, 0.5)))
    with pytest.raises(UserError, match="no-such-file"):
        train(offline, tmp_path / "run", steps=1)
    train(tiny(), tmp_path / "run", steps=1)


def test_a_resumed_run_may_save_and_load_at_another_pace(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "run", steps=1)
    train(tiny(checkpoint_every=1, log_every=2), tmp_path / "run", steps=2, resume=True)
    assert read_info(tmp_path / "run").steps == 2
    assert [json.loads(line)["from_step"] for line in (tmp_path / "run" / "code.jsonl").read_text().splitlines()] == [
        0,
        1,
    ]


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("prioritycut.runs.save_picture", full)
    with pytest.raises(
        UserError, match=r"cannot be written \(No space left on device\); free space and go on with --resume"
    ):
        train(tiny(sample_every=1), tmp_path / "run", steps=1)


def test_weights_of_another_model_are_no_beginning(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "first", steps=1)
    other = replace(tiny().model, align_corners=False)
    with pytest.raises(UserError, match="align_corners was True, now False"):
        train(tiny(model=other, init_from=tmp_path / "first"), tmp_path / "second", steps=1)
    with pytest.raises(UserError, match="weights of FOMM, and this run trains X2Face"):
        train(tiny(**X2FACE, init_from=tmp_path / "first"), tmp_path / "second", steps=1)


def test_a_run_can_begin_from_another_runs_weights(tmp_path: Path) -> None:
    train(tiny(), tmp_path / "first", steps=2)
    frozen = tiny(init_from=tmp_path / "first", optimizer=AdamConfig(learning_rate=1e-12, keypoint_learning_rate=0.0))
    train(frozen, tmp_path / "second", steps=1)
    first, second = load_animator(tmp_path / "first"), load_animator(tmp_path / "second")
    assert isinstance(first, Fomm)
    for name, value in first.kp_detector.named_parameters():
        assert torch.equal(value, second.kp_detector.get_parameter(name))


def test_a_frozen_detector_must_come_trained(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--init-from"):
        train(PRESETS["taichi-256-prioritycut"], tmp_path / "run")


def test_learning_rates_fall_tenfold_at_each_milestone() -> None:
    rates = AdamConfig(milestones=(60, 90))
    assert [learning_rate_factor(rates, epoch) for epoch in (0, 59, 60, 89, 90)] == pytest.approx(
        [1, 1, 0.1, 0.1, 0.01]
    )


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_save(tmp_path: Path) -> None:
    wild = tiny(optimizer=AdamConfig(learning_rate=1e30), checkpoint_every=1)
    with pytest.raises(UserError, match="not finite"):
        train(wild, tmp_path / "run")
    assert read_info(tmp_path / "run").steps >= 1


def test_an_unwritable_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        train(tiny(), tmp_path / "file" / "run", steps=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"regularizer": CutMix(), "discriminator": None}, "only the U-Net discriminator"),
        ({"discriminator": UNetDiscriminatorConfig(num_keypoints=7)}, "take that number or 0"),
        ({"workers": -1}, "workers must not be negative"),
        ({"seed": -1}, "seed must not be negative"),
        ({"discriminator": UNetDiscriminatorConfig(padding="valid", num_blocks=5)}, "too small for a discriminator"),
        ({"discriminator": PatchDiscriminatorConfig(scales=(1.0, 0.5)), "regularizer": None}, "too small"),
        (
            {"model": X2FACE["model"]},
            "PriorityCut needs an occlusion map and a background mask, which this X2Face does not estimate; CutMix,",
        ),
        (
            {"model": MONKEYNET["model"]},
            "PriorityCut needs an occlusion map, which this Monkey-Net does not estimate; CutMix,",
        ),
        ({"model": MONKEYNET["model"], "regularizer": RandomCut()}, "RandomCut needs an occlusion map, which"),
        (
            {"model": X2FACE["model"], "regularizer": None, "discriminator": UNetDiscriminatorConfig(num_keypoints=3)},
            "the model has 0; take that number or 0",
        ),
        (
            {"regularizer": None, "discriminator": MONKEYNET["discriminator"]},
            "keypoints with a covariance, which FOMM does not give",
        ),
        (
            X2FACE | {"optimizer": SgdConfig(keypoint_learning_rate=1e-3)},
            "keypoint detector, which X2Face does not have",
        ),
        ({"losses": LossWeights(feature_matching=(10.0, 1.0))}, "has 2 weights, but the discriminator has 4 blocks"),
    ],
)
def test_configs_refuse_nonsense_at_birth(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


def _command(output: Path, *more: str) -> list[str]:
    small = [
        "--batch-size",
        "4",
        "--data.clips",
        "40",
        "--data.frames",
        "4",
        "--log-every",
        "1",
        "--sample-every",
        "1000",
    ]
    return [
        *(sys.executable, "-m", "prioritycut", "train", "puppets-64-prioritycut"),
        *("--output", str(output), "--checkpoint-every", "10", *small, *more),
    ]


@pytest.mark.slow
def test_two_hundred_steps_of_the_shipped_preset_learn_and_survive_kills(tmp_path: Path) -> None:
    subprocess.run(_command(tmp_path / "whole", "--steps", "200"), check=True, capture_output=True)
    numbers = losses(tmp_path / "whole")
    early = sum(line["generator/pixel"] for line in numbers[:20])
    late = sum(line["generator/pixel"] for line in numbers[-20:])
    assert late < 0.8 * early
    assert sum(line["loss/generator"] for line in numbers[-20:]) < sum(line["loss/generator"] for line in numbers[:20])

    # Killed without warning, then asked to stop, then left to finish.
    for number, least in ((signal.SIGKILL, 25), (signal.SIGTERM, 60)):
        process = subprocess.Popen(_command(tmp_path / "broken", "--steps", "200", "--resume"), stderr=subprocess.PIPE)
        _wait_for_step(tmp_path / "broken", least)
        os.kill(process.pid, number)
        process.communicate()
        assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    subprocess.run(_command(tmp_path / "broken", "--steps", "200", "--resume"), check=True, capture_output=True)
    assert losses(tmp_path / "broken") == numbers


def _wait_for_step(folder: Path, step: int) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        path = folder / "numbers.jsonl"
        if path.exists() and len(path.read_text().splitlines()) >= step:
            return
        time.sleep(0.2)
    raise AssertionError(f"the run did not reach step {step}")

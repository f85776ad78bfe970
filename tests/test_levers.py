"""The levers of regularization: each does what its source says, and none does anything while it is off."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.fabric import Fabric
from torch import nn

from prioritycut.checkpoint import CheckpointInfo, load_animator, save_animator
from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.data.datasets import PuppetData, build_pairs
from prioritycut.errors import UserError
from prioritycut.geometry import random_transform
from prioritycut.losses import DiscriminatorLosses, LossWeights
from prioritycut.models.base import Discriminator
from prioritycut.models.building import build_animator
from prioritycut.models.discriminators import PatchDiscriminatorConfig, UNetDiscriminator, UNetDiscriminatorConfig
from prioritycut.models.fomm import FommConfig, HourglassConfig
from prioritycut.models.x2face import X2FaceConfig
from prioritycut.outputs import DiscriminatorOutput, Keypoints, MotionOutput
from prioritycut.presets import PRESETS
from prioritycut.regularizers import CutMix, Cutout, Mixup, PriorityCut, draw_mask
from prioritycut.runs import read_numbers
from prioritycut.stabilizers import ScoreAnchors, draw_recoloring
from prioritycut.train_config import AdamConfig, MixSchedule, Stabilizers, TrainConfig
from prioritycut.training import train
from prioritycut.training.judging import Mixing, discriminator_losses, draw_mixing, realness
from prioritycut.training.step import generator_losses, step_generator
from prioritycut.training.trainer import Trainer

HOURGLASS = HourglassConfig(block_expansion=2, max_features=4, num_blocks=1, scale_factor=0.25)
ALWAYS = MixSchedule(probability=1.0, warmup_epochs=0)


def tiny(**changes: object) -> TrainConfig:
    """`puppets-64-prioritycut` with networks that step in a moment, and frames mixed in every step."""
    config = replace(
        PRESETS["puppets-64-prioritycut"],
        model=FommConfig(
            frame_size=64,
            num_keypoints=2,
            detector=HOURGLASS,
            dense_motion=HOURGLASS,
            block_expansion=2,
            max_features=4,
            num_down_blocks=1,
            num_bottleneck_blocks=1,
        ),
        discriminator=UNetDiscriminatorConfig(block_expansion=2, max_features=4, num_blocks=2),
        losses=LossWeights(
            perceptual=(0.0,) * 5,
            pixel=50.0,
            explained=50.0,
            equivariance_value=0.0,
            equivariance_jacobian=0.0,
        ),
        mixing=ALWAYS,
        data=PuppetData(clips=2, frames=4),
        batch_size=2,
    )
    return replace(config, **changes)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# Twenty steps of each


def run(config: TrainConfig, pairs: torch.Tensor, *, steps: int = 20) -> tuple[Trainer, list[dict[str, float]]]:
    trainer = Trainer(config, Fabric(accelerator="cpu", devices=1))
    return trainer, [trainer.step(pairs, step=step, epoch=3) for step in range(1, steps + 1)]


def weights(trainer: Trainer, network: str) -> torch.Tensor:
    parts = [value.float().flatten() for value in trainer.modules[network].state_dict().values()]
    return torch.cat(parts)


@pytest.fixture(scope="module")
def pairs() -> torch.Tensor:
    """The first batch of puppets."""
    drawn = build_pairs(PuppetData(clips=2, frames=4), 64, seed=0)
    return torch.stack([drawn[0], drawn[1]])


@pytest.fixture(scope="module")
def plain(pairs: torch.Tensor) -> Trainer:
    """The paper's way."""
    return run(tiny(), pairs)[0]


CUTS = {
    "A1 background by the largest weight": PriorityCut(threshold="argmax"),
    "A4 one share a batch": PriorityCut(fraction_per="batch"),
}
SCHEDULES = {
    "A7 a coin a sample": replace(ALWAYS, coin="sample", probability=0.5),
    "A7 mixed steps without ordinary terms": replace(ALWAYS, skip_ordinary=True, probability=0.5),
    "A7 no coin": MixSchedule(coin="none", warmup_epochs=6),
    "A8 mixed frames as samples": replace(ALWAYS, as_sample=True),
    "equation 5 with a fixed target": replace(ALWAYS, detach_target=True),
}
STABILIZERS: dict[str, dict[str, object]] = {
    "LeCam": {"losses": replace(tiny().losses, lecam=0.5)},
    "R1": {"losses": replace(tiny().losses, r1=10.0), "stabilizers": Stabilizers(r1_every=4)},
    "colours": {"stabilizers": Stabilizers(color_augmentation=True)},
}
LEVERS = (
    {name: {"regularizer": cut} for name, cut in CUTS.items()}
    | {name: {"mixing": mixing} for name, mixing in SCHEDULES.items()}
    | STABILIZERS
)


@pytest.mark.parametrize("lever", LEVERS)
def test_twenty_steps_with_a_lever_teach_the_discriminator_otherwise(lever, pairs, plain):
    trainer, numbers = run(tiny(**LEVERS[lever]), pairs)
    assert all(math.isfinite(value) for line in numbers for value in line.values())
    assert weights(trainer, "discriminator").isfinite().all()
    assert not torch.equal(weights(trainer, "discriminator"), weights(plain, "discriminator"))
    # What the discriminator learns reaches the animator a step later.
    assert not torch.equal(weights(trainer, "animator"), weights(plain, "animator"))


JUDGE = UNetDiscriminatorConfig(block_expansion=2, max_features=4, num_blocks=2)
CHOICES: dict[str, dict[str, object]] = {
    "A2 share of the image": {"regularizer": PriorityCut(denominator="image", threshold=0.3)},
    "A3 cut in blocks": {"regularizer": PriorityCut(mask_resolution="occlusion")},
    "A4 a fixed share": {"regularizer": PriorityCut(fraction=(0.4, 0.4))},
    "A11 heatmaps": {"discriminator": replace(JUDGE, num_keypoints=2)},
    "A12 logistic loss": {"gan_mode": "logistic"},
    "A12 hinge loss": {"gan_mode": "hinge"},
    "A12 no sigmoid": {"discriminator": replace(JUDGE, decoder_sigmoid=False)},
    "appended frame": {"discriminator": replace(JUDGE, append_frame=True)},
}


@pytest.mark.parametrize("choice", CHOICES)
def test_every_other_choice_of_the_paper_moves_both_networks(choice, pairs):
    config = tiny(**CHOICES[choice])
    start = run(config, pairs, steps=0)[0]
    trainer, numbers = run(config, pairs, steps=3)
    assert all(math.isfinite(value) for line in numbers for value in line.values())
    for network in ("animator", "discriminator"):
        assert not torch.equal(weights(trainer, network), weights(start, network))


def test_a_quantile_cuts_no_fewer_pixels_than_the_exact_share(pairs):
    exact, quantile = (
        run(tiny(regularizer=PriorityCut(selection=selection, mask_resolution="occlusion")), pairs, steps=1)[1][0]
        for selection in ("exact", "quantile")
    )
    assert quantile["mix/area"] >= exact["mix/area"] > 0


# Nothing is drawn while a lever is off


def test_a_plain_steps_draws_are_its_transform_its_coin_and_its_shares(pairs):
    asked = replace(tiny().losses, equivariance_value=10.0)
    config, drawn, expected = tiny(losses=asked), generator(5), generator(5)
    trainer = Trainer(config, Fabric(accelerator="cpu", devices=1))
    made = generator_losses(trainer.networks, config, pairs[:, 0], pairs[:, 1], generator=drawn)
    random_transform(2, sigma_affine=0.05, sigma_bending=0.005, control_points=5, generator=expected)
    assert torch.equal(drawn.get_state(), expected.get_state())
    fake = made.output.prediction.detach()
    mixing = draw_mixing(config, 3, lambda: made.output.motion, fake, generator=drawn)
    torch.rand((), generator=expected)
    mask = draw_mask(config.regularizer, made.output.motion, fake, generator=expected)
    assert torch.equal(mixing.mask, mask)
    assert (mixing.samples, mixing.weight) == (None, 1.0)
    assert torch.equal(drawn.get_state(), expected.get_state())
    assert made.recoloring is None


def test_a_plain_run_keeps_nothing_but_its_networks(plain):
    assert set(plain.modules) == {"animator", "discriminator"}
    assert plain.result is plain.animator
    assert plain.map_model is None


# When frames are mixed


MOTION = MotionOutput(torch.zeros(4, 8, 8, 2), torch.rand(4, 1, 8, 8), torch.zeros(4, 1, 8, 8))


def drawn_mixing(epoch: int = 0, seed: int = 0, **schedule: object) -> Mixing | None:
    config = tiny(mixing=replace(ALWAYS, **schedule), regularizer=Mixup())
    return draw_mixing(config, epoch, lambda: MOTION, torch.zeros(4, 3, 64, 64), generator=generator(seed))


def test_a_coin_a_sample_falls_for_each_alone_and_as_often_as_told():
    draws = [drawn_mixing(seed=seed, coin="sample", probability=0.3) for seed in range(400)]
    counts = [0 if mixing is None else len(mixing.samples) for mixing in draws]
    assert np.mean(counts) / 4 == pytest.approx(0.3, abs=0.04)
    # A binomial count of four has a variance of 4 * 0.3 * 0.7; one coin for all would give 16 * 0.3 * 0.7.
    assert np.var(counts) == pytest.approx(0.84, abs=0.2)
    for mixing in draws:
        assert mixing is None or sorted([*mixing.samples.tolist(), *mixing.rest.tolist()]) == [0, 1, 2, 3]


def test_a_coin_a_step_falls_for_the_whole_batch():
    draws = [drawn_mixing(seed=seed, probability=0.3) for seed in range(400)]
    mixed = [mixing for mixing in draws if mixing is not None]
    assert len(mixed) / 400 == pytest.approx(0.3, abs=0.06)
    assert all((mixing.share, mixing.rest.tolist()) == (1.0, []) for mixing in mixed)


def test_without_a_coin_every_step_is_mixed_and_the_ramp_is_the_weight():
    def mixing(epoch: int) -> Mixing | None:
        config = tiny(mixing=MixSchedule(coin="none", warmup_epochs=4), regularizer=CutMix())
        return draw_mixing(config, epoch, lambda: MOTION, torch.zeros(4, 3, 64, 64), generator=generator())

    assert mixing(0) is None
    assert [mixing(epoch).weight for epoch in (1, 2, 4, 9)] == [0.25, 0.5, 1.0, 1.0]
    assert mixing(1).share == 1.0


# What is asked of mixed frames, by a discriminator that can be worked out by hand


class ByColour:
    """Scores a frame by its mean colour, and each pixel by its own."""

    def __call__(self, frames: torch.Tensor, keypoints: Keypoints | None = None) -> tuple[DiscriminatorOutput, ...]:
        pixels = frames.mean(1, keepdim=True)
        if keypoints is not None:
            pixels = pixels + keypoints.position.mean((1, 2))[:, None, None, None]
        return (DiscriminatorOutput(pixels.mean((2, 3), keepdim=True), (), pixels, pixels),)


class ByNeighbours(nn.Module):
    """Scores each pixel by those around it, so that mixing is not the same before and after."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 3, padding=1)
        nn.init.constant_(self.conv.weight, 0.05)

    def forward(self, frames: torch.Tensor, keypoints: Keypoints | None = None) -> tuple[DiscriminatorOutput, ...]:
        pixels = self.conv(frames)
        return (DiscriminatorOutput(pixels.mean((2, 3), keepdim=True), (), pixels, pixels),)


REAL, FAKE = torch.rand(2, 4, 3, 8, 8, generator=generator(1))
HALF = torch.zeros(4, 1, 8, 8, dtype=torch.bool)
HALF[..., :3] = True
SOME = torch.tensor([0, 3])


def judged(mixed: Mixing | None, judge: Discriminator | None = None, **changes: object) -> DiscriminatorLosses:
    return discriminator_losses(judge or ByColour(), tiny(**changes), REAL, FAKE, None, mixed)


def colours(frames: torch.Tensor) -> np.ndarray:
    return frames.numpy().astype(np.float64).mean(1, keepdims=True)


def test_only_the_mixed_samples_are_asked_to_be_consistent():
    judge = ByNeighbours()
    both = judged(Mixing(HALF, SOME), judge).consistency
    each = [judged(Mixing(HALF, torch.tensor([sample])), judge).consistency for sample in (0, 3)]
    # Each of four samples counts a quarter, mixed or not.
    assert both.item() == pytest.approx(sum(map(torch.Tensor.item, each)), rel=1e-5)
    everything = judged(Mixing(HALF, torch.arange(4)), judge).consistency
    assert everything.item() == pytest.approx(judged(Mixing(HALF), judge).consistency.item(), rel=1e-6)


def test_samples_are_judged_beside_their_own_keypoints():
    keypoints = Keypoints(torch.arange(4.0)[:, None, None].expand(4, 2, 2))
    made = discriminator_losses(ByColour(), tiny(), REAL, FAKE, keypoints, Mixing(HALF, SOME))
    # This judge looks at single pixels, so that it is consistent, unless keypoints are those of another sample.
    assert made.consistency.item() == pytest.approx(0.0, abs=1e-10)


def test_without_a_coin_consistency_counts_as_much_as_the_ramp_says():
    judge = ByNeighbours()
    full, quarter = (judged(Mixing(HALF, weight=weight), judge).consistency.item() for weight in (1.0, 0.25))
    assert quarter == pytest.approx(full / 4, rel=1e-6)


def test_ordinary_terms_of_mixed_samples_are_left_out():
    skip = {"mixing": MixSchedule(skip_ordinary=True)}
    real, fake = colours(REAL), colours(FAKE)
    left = judged(Mixing(HALF, SOME), **skip)
    wanted = (((1 - real[1:3].mean((1, 2, 3))) ** 2).sum() + (fake[1:3].mean((1, 2, 3)) ** 2).sum()) / 4
    assert left.encoder.item() == pytest.approx(wanted, rel=1e-5)
    wanted = (((1 - real[1:3]) ** 2).mean((1, 2, 3)).sum() + (fake[1:3] ** 2).mean((1, 2, 3)).sum()) / 4
    assert left.decoder.item() == pytest.approx(wanted, rel=1e-5)
    nothing = judged(Mixing(HALF), **skip)
    assert (nothing.encoder.item(), nothing.decoder.item()) == (0.0, 0.0)
    unmixed = judged(None, **skip)
    assert unmixed.encoder.item() == judged(None).encoder.item() > 0


def test_a_mixed_frame_as_a_sample_is_fake_by_patch_and_by_pixel_what_the_mask_says():
    made = judged(Mixing(HALF), mixing=replace(ALWAYS, as_sample=True))
    mask = HALF.numpy()
    mixed = np.where(mask, colours(FAKE), colours(REAL))
    assert made.mixed_encoder.item() == pytest.approx((mixed.mean((1, 2, 3)) ** 2).mean(), rel=1e-5)
    # U-Net GAN's target: the mask itself, 1 where the pixel is real.
    assert made.mixed_decoder.item() == pytest.approx(((mixed - ~mask) ** 2).mean(), rel=1e-5)
    assert judged(Mixing(HALF)).mixed_encoder is None
    config = tiny(mixing=replace(ALWAYS, as_sample=True))
    terms = (made.encoder, made.decoder, made.consistency, made.mixed_encoder, made.mixed_decoder)
    assert made.total(config.losses).item() == pytest.approx(sum(term.item() for term in terms), rel=1e-6)


def test_blacked_out_pixels_are_fake_by_pixel_too():
    made = judged(Mixing(HALF), regularizer=Cutout(), mixing=replace(ALWAYS, as_sample=True))
    mixed = np.where(HALF.numpy(), 0.0, colours(REAL))
    assert made.mixed_decoder.item() == pytest.approx(((mixed - ~HALF.numpy()) ** 2).mean(), rel=1e-5)


@pytest.mark.parametrize("detached", [False, True])
def test_a_detached_target_gets_no_gradient(detached):
    judge, schedule = ByNeighbours(), replace(ALWAYS, detach_target=detached)
    loss = judged(Mixing(HALF), judge, mixing=schedule).consistency
    (given,) = torch.autograd.grad(loss, judge.conv.weight)
    mixed_frames = torch.where(HALF, FAKE, REAL)
    mixed, real, fake = (judge(frames)[0].pixel_score for frames in (mixed_frames, REAL, FAKE))
    target = torch.where(HALF, fake, real)
    (wanted,) = torch.autograd.grad(
        ((mixed - (target.detach() if detached else target)) ** 2).mean(), judge.conv.weight
    )
    torch.testing.assert_close(given, wanted)


def test_without_its_sigmoid_the_decoder_gives_plain_numbers():
    torch.manual_seed(0)
    config = UNetDiscriminatorConfig(block_expansion=2, max_features=4, num_blocks=2)
    squashed, plain = UNetDiscriminator(config), UNetDiscriminator(replace(config, decoder_sigmoid=False))
    plain.load_state_dict(squashed.state_dict())
    frames = torch.rand(1, 3, 64, 64)
    (before,), (after,) = plain(frames), squashed(frames)
    assert torch.equal(before.pixel_score, before.pixel_logit)
    assert torch.equal(before.pixel_logit, after.pixel_logit)
    assert torch.equal(before.pixel_score.sigmoid(), after.pixel_score)


# Stabilizers in the step


def test_r1_is_due_every_so_many_steps_and_weighs_as_much_on_average():
    config = tiny(losses=replace(tiny().losses, r1=10.0), stabilizers=Stabilizers(r1_every=4))
    judge = ByNeighbours()
    terms = [discriminator_losses(judge, config, REAL, FAKE, None, None, step=step).r1 for step in range(1, 9)]
    assert [term is not None for term in terms] == [False, False, False, True] * 2
    always = replace(config, stabilizers=Stabilizers())
    each = discriminator_losses(judge, always, REAL, FAKE, None, None, step=1).r1
    assert terms[3].item() == pytest.approx(4 * each.item(), rel=1e-6)


def test_what_r1_flattens_is_what_the_generator_is_told():
    judge = ByNeighbours()
    outputs = judge(REAL)
    told = realness(outputs, "lsgan")
    assert told.tolist() == pytest.approx((2 * outputs[0].score.flatten()).tolist(), rel=1e-5)


def test_real_fake_and_mixed_frames_are_seen_in_the_same_colours():
    seen = list[torch.Tensor]()

    class Watching(ByColour):
        def __call__(self, frames: torch.Tensor, keypoints: Keypoints | None = None) -> tuple[DiscriminatorOutput, ...]:
            seen.append(frames)
            return super().__call__(frames, keypoints)

    recoloring = draw_recoloring(REAL, generator=generator(3))
    made = discriminator_losses(Watching(), tiny(), REAL, FAKE, None, Mixing(HALF, SOME), recoloring=recoloring)
    fake, real, mixed = seen
    torch.testing.assert_close(real, recoloring(REAL))
    torch.testing.assert_close(fake, recoloring(FAKE))
    torch.testing.assert_close(mixed, torch.where(HALF, recoloring(FAKE), recoloring(REAL))[SOME])
    torch.testing.assert_close(mixed, recoloring(torch.where(HALF, FAKE, REAL))[SOME], rtol=1e-5, atol=1e-6)
    assert made.consistency.item() == pytest.approx(0.0, abs=1e-10)


def test_colours_reach_the_generator_through_what_the_discriminator_saw(pairs):
    config = tiny(stabilizers=Stabilizers(color_augmentation=True))
    trainer = Trainer(config, Fabric(accelerator="cpu", devices=1))
    made = generator_losses(trainer.networks, config, pairs[:, 0], pairs[:, 1], generator=generator(2))
    again = generator_losses(trainer.networks, tiny(), pairs[:, 0], pairs[:, 1], generator=generator(2))
    assert made.recoloring is not None
    assert made.losses.adversarial.item() != again.losses.adversarial.item()
    assert made.losses.pixel.item() == again.losses.pixel.item()
    made.losses.adversarial.backward()
    assert trainer.animator.generator.final.weight.grad.abs().sum() > 0


def test_lecam_follows_every_scale_of_a_patch_discriminator(pairs):
    judge = PatchDiscriminatorConfig(block_expansion=2, max_features=4, num_blocks=2, scales=(1.0, 0.5))
    config = tiny(discriminator=judge, regularizer=None, losses=replace(tiny().losses, lecam=1.0))
    trainer, numbers = run(config, pairs, steps=2)
    assert trainer.anchors.steps.tolist() == [2, 2]
    assert all(line["discriminator/lecam"] > 0 for line in numbers)


def test_an_average_changes_no_step_and_is_what_a_run_gives(pairs, plain):
    trainer, _ = run(tiny(stabilizers=Stabilizers(ema_decay=0.9)), pairs)
    for network in ("animator", "discriminator"):
        assert torch.equal(weights(trainer, network), weights(plain, network))
    assert trainer.result is trainer.average
    assert not torch.equal(weights(trainer, "average"), weights(trainer, "animator"))
    trainer.samples(pairs)
    assert trainer.animator.training
    assert not trainer.average.training


def test_a_frozen_detector_stays_to_the_bit_and_the_rest_learns(pairs, plain, tmp_path):
    info = CheckpointInfo(model=tiny().model, trained_on="puppets")
    save_animator(tmp_path / "model.safetensors", plain.animator, info)
    asked = replace(tiny().losses, equivariance_value=10.0, equivariance_jacobian=10.0)
    trainer, numbers = run(tiny(freeze_keypoints=True, init_from=tmp_path, losses=asked), pairs, steps=3)
    trainer.samples(pairs)  # evaluation comes and goes
    trainer.step(pairs, step=4, epoch=3)
    before, after = plain.animator.state_dict(), trainer.animator.state_dict()
    detector = [name for name in before if name.startswith("kp_detector.")]
    assert any("running_mean" in name for name in detector)
    assert all(torch.equal(before[name], after[name]) for name in detector)
    assert not torch.equal(before["generator.final.weight"], after["generator.final.weight"])
    assert numbers[0]["generator/equivariance_value"] == 0.0
    # A learning rate of 0 keeps the weights alone.
    slow = tiny(init_from=tmp_path, optimizer=AdamConfig(keypoint_learning_rate=0.0))
    moved = run(slow, pairs, steps=1)[0].animator.state_dict()
    assert torch.equal(moved["kp_detector.kp.weight"], before["kp_detector.kp.weight"])
    assert not all(torch.equal(before[name], moved[name]) for name in detector)


# Maps of a model beside (A21)


def test_maps_of_another_model_choose_the_pixels_and_stay(pairs, plain, tmp_path):
    info = CheckpointInfo(model=tiny().model, trained_on="puppets")
    save_animator(tmp_path / "model.safetensors", plain.animator, info)
    config = tiny(mixing=replace(ALWAYS, maps_from=tmp_path), regularizer=PriorityCut(fraction=(0.5, 0.5)))
    trainer, _ = run(config, pairs, steps=2)
    fixed = load_animator(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(trainer.map_model.parameters(), fixed.parameters(), strict=True))
    with torch.no_grad():
        output = trainer.animator(pairs[:, 0], pairs[:, 1])
        motion = fixed(pairs[:, 0], pairs[:, 1]).motion
    given = trainer._motion(output, pairs[:, 0], pairs[:, 1])
    torch.testing.assert_close(given.occlusion_map, motion.occlusion_map)
    assert (given.occlusion_map - output.motion.occlusion_map).abs().max() > 1e-3
    assert "map_model" not in trainer.modules  # a run does not keep what never changes


def test_with_maps_from_another_model_prioritycut_regularizes_x2face(pairs, plain, tmp_path):
    save_animator(
        tmp_path / "model.safetensors", plain.animator, CheckpointInfo(model=tiny().model, trained_on="puppets")
    )
    model = X2FaceConfig(frame_size=64, block_expansion=4, max_features=8, num_levels=6, bottleneck=4)
    with pytest.raises(ValueError, match="PriorityCut needs an occlusion map"):
        tiny(model=model)
    _, numbers = run(tiny(model=model, mixing=replace(ALWAYS, maps_from=tmp_path)), pairs, steps=1)
    assert numbers[0]["discriminator/consistency"] > 0


def test_a_model_that_cannot_give_the_maps_is_the_users_error(pairs, tmp_path):
    x2face = X2FaceConfig(frame_size=64, block_expansion=4, max_features=8, num_levels=6, bottleneck=4)
    for model, line in (
        (x2face, "X2Face estimates no occlusion map and no background mask; give a FOMM"),
        (replace(tiny().model, frame_size=128), "made for frames of 128 pixels, and this run has 64"),
    ):
        save_animator(
            tmp_path / "model.safetensors", build_animator(model), CheckpointInfo(model=model, trained_on="nothing")
        )
        with pytest.raises(UserError, match=line):
            run(tiny(mixing=replace(ALWAYS, maps_from=tmp_path)), pairs, steps=0)


# A run keeps what its levers need


def test_a_resumed_run_with_levers_gives_the_numbers_of_an_unbroken_one(tmp_path: Path):
    config = tiny(
        losses=replace(tiny().losses, lecam=1.0, r1=1.0),
        stabilizers=Stabilizers(ema_decay=0.9, color_augmentation=True, r1_every=2),
        mixing=replace(ALWAYS, coin="sample", probability=0.5, as_sample=True),
        log_every=1,
    )
    train(config, tmp_path / "whole", steps=6)
    train(config, tmp_path / "parts", steps=3)
    train(config, tmp_path / "parts", steps=6, resume=True)
    whole, parts = (
        [{k: v for k, v in line.items() if not k.startswith("time/")} for line in read_numbers(tmp_path / name)]
        for name in ("whole", "parts")
    )
    assert parts == whole
    kept = [load_animator(tmp_path / name).state_dict() for name in ("whole", "parts")]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])


# What makes no sense is refused


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"coin": "none", "probability": 0.3}, "coin none has none"),
        ({"coin": "none", "skip_ordinary": True}, "nothing that is trained on real and fake"),
        ({"probability": 1.0, "skip_ordinary": True}, "nothing that is trained on real and fake"),
    ],
)
def test_schedules_that_make_no_sense_are_refused(changes, line):
    with pytest.raises(ValueError, match=line):
        MixSchedule(**changes)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ema_decay": 1.0}, "ema_decay must lie in"),
        ({"ema_decay": -0.1}, "ema_decay must lie in"),
        ({"lecam_decay": math.nan}, "lecam_decay must lie in"),
        ({"r1_every": 0}, "r1_every must be at least 1"),
    ],
)
def test_stabilizers_out_of_range_are_refused(changes, line):
    with pytest.raises(ValueError, match=line):
        Stabilizers(**changes)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"regularizer": None, "mixing": MixSchedule(as_sample=True)}, "mixing.as_sample is of mixed frames, and no"),
        ({"regularizer": None, "mixing": MixSchedule(coin="sample")}, "mixing.coin is of mixed frames"),
        (
            {"regularizer": CutMix(), "mixing": MixSchedule(maps_from=Path("x"))},
            "for PriorityCut, and CutMix looks at no",
        ),
        ({"stabilizers": Stabilizers(r1_every=4)}, "r1_every says how losses.r1 works, which is 0"),
        ({"stabilizers": Stabilizers(lecam_decay=0.9)}, "lecam_decay says how losses.lecam works, which is 0"),
        ({"freeze_keypoints": True}, "give a checkpoint by --init-from"),
        (
            {
                "freeze_keypoints": True,
                "init_from": Path("x"),
                "optimizer": AdamConfig(keypoint_learning_rate=1e-4),
            },
            "nothing for keypoint_learning_rate to do",
        ),
    ],
)
def test_levers_that_do_not_go_together_are_refused(changes, line):
    with pytest.raises(ValueError, match=line):
        tiny(**changes)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"losses": LossWeights(lecam=1.0)}, "losses.lecam is of a discriminator"),
        ({"losses": LossWeights(r1=1.0)}, "losses.r1 is of a discriminator"),
        ({"stabilizers": Stabilizers(color_augmentation=True)}, "color_augmentation is of a discriminator"),
    ],
)
def test_levers_of_a_discriminator_need_one(changes, line):
    with pytest.raises(ValueError, match=line):
        replace(PRESETS["puppets-64-fomm"], **changes)


def test_a_model_without_keypoints_has_none_to_freeze():
    with pytest.raises(ValueError, match="keypoint detector, which X2Face does not have"):
        replace(PRESETS["puppets-64-x2face"], freeze_keypoints=True, init_from=Path("x"))


def test_the_config_of_a_run_from_before_the_levers_is_read():
    preset = PRESETS["vox-256-prioritycut"]
    stored = json.loads(config_to_json(preset))
    for name in ("stabilizers", "freeze_keypoints"):
        del stored[name]
    stored["mixing"] = {"probability": 0.5, "warmup_epochs": None}
    for group, added in (
        ("regularizer", ("fraction_per", "selection")),
        ("losses", ("lecam", "r1")),
        ("discriminator", ("decoder_sigmoid",)),
    ):
        for name in added:
            del stored[group][name]
    assert config_from_json(TrainConfig, json.dumps(stored), where="config.json") == preset


def test_anchors_are_kept_with_the_networks():
    anchors = ScoreAnchors(2)
    anchors.follow([torch.ones(1), torch.zeros(1)], [torch.zeros(1), torch.ones(1)], decay=0.9)
    again = ScoreAnchors(2)
    again.load_state_dict(anchors.state_dict())
    assert again.real.tolist() == [1.0, 0.0]
    assert again.steps.tolist() == [1, 1]


def test_a_steps_random_numbers_depend_on_seed_and_step_alone():
    first, again, other = (torch.rand(3, generator=step_generator(*key)) for key in ((1, 2), (1, 2), (1, 3)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)

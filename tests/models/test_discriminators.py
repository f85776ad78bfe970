"""The judges, by the sizes of SPEC 4, numpy's singular values and what gradients reach."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prioritycut.models.building import build_discriminator
from prioritycut.models.discriminators import (
    PatchDiscriminator,
    PatchDiscriminatorConfig,
    UNetDiscriminator,
    UNetDiscriminatorConfig,
)
from prioritycut.outputs import Keypoints

SMALL = {"block_expansion": 4, "max_features": 16}


def small_unet(**settings) -> UNetDiscriminator:
    torch.manual_seed(0)
    return UNetDiscriminator(UNetDiscriminatorConfig(**{**SMALL, **settings}))


def some_keypoints(count: int, batch: int = 1) -> Keypoints:
    return Keypoints((torch.rand(batch, count, 2) * 2 - 1).requires_grad_())


SIZES = [(32, 32), (33, 33), (45, 61), (60, 60), (61, 61), (64, 64), (100, 37), (128, 128), (97, 131)]


@pytest.mark.parametrize(
    ("height", "width", "append_frame"), [*((*size, False) for size in SIZES), (256, 256, False), (45, 61, True)]
)
def test_pixel_scores_have_the_size_of_the_frame_and_are_probabilities(height, width, append_frame):
    frames = torch.rand(1, 3, height, width)
    (output,) = small_unet(append_frame=append_frame)(frames)
    assert output.pixel_score.shape == (1, 1, height, width)
    assert ((output.pixel_score > 0) & (output.pixel_score < 1)).all()
    torch.testing.assert_close(
        output.pixel_logit, torch.logit(output.pixel_score.double()).float(), atol=1e-4, rtol=1e-3
    )


def test_the_u_net_has_about_six_million_weights():
    count = sum(p.numel() for p in UNetDiscriminator(UNetDiscriminatorConfig()).parameters())
    assert 6_200_000 < count < 6_400_000


@pytest.mark.parametrize(
    ("padding", "side", "sides"),
    [
        ("valid", 256, [126, 61, 29, 26]),
        ("valid", 128, [62, 29, 13, 10]),
        ("valid", 64, [30, 13, 5, 2]),
        ("same", 32, [16, 8, 4, 4]),
        ("auto", 128, [62, 29, 13, 10]),
        ("auto", 64, [30, 13, 5, 2]),
        ("auto", 32, [16, 8, 4, 4]),
    ],
)
def test_encoder_maps_have_the_sizes_of_the_specification(padding, side, sides):
    (output,) = small_unet(padding=padding)(torch.rand(1, 3, side, side))
    assert [tuple(features.shape[-2:]) for features in output.features] == [(s, s) for s in sides]
    assert output.score.shape == (1, 1, sides[-1], sides[-1])


def test_the_full_size_encoder_has_the_channels_of_the_specification():
    for config in (UNetDiscriminatorConfig(), PatchDiscriminatorConfig()):
        with torch.device("meta"):
            (output,) = build_discriminator(config)(torch.rand(1, 3, 256, 256))
        assert [features.shape[1] for features in output.features] == [64, 128, 256, 512]
        assert output.score.shape == (1, 1, 26, 26)


def test_the_frame_of_61_pixels_is_the_smallest_for_valid_convolutions():
    small_unet(padding="valid")(torch.rand(1, 3, 61, 61))
    with pytest.raises(ValueError, match="60 pixels are too small for a discriminator of 4 blocks without padding"):
        small_unet(padding="valid")(torch.rand(1, 3, 60, 61))


@pytest.mark.parametrize("side", [4, 8, 15])
def test_a_frame_that_is_too_small_is_refused_with_a_way_out(side):
    with pytest.raises(
        ValueError, match=f"frames of {side} pixels are too small for a discriminator of 4 blocks.*fewer blocks"
    ):
        small_unet()(torch.rand(1, 3, side, 64))


@pytest.mark.parametrize("side", [4, 8, 20, 60])
def test_a_patch_discriminator_refuses_a_frame_that_is_too_small(side):
    judge = PatchDiscriminator(PatchDiscriminatorConfig(**SMALL))
    with pytest.raises(ValueError, match="too small"):
        judge(torch.rand(1, 3, side, side))


# Conditioning on keypoints


@pytest.mark.parametrize("kind", [PatchDiscriminatorConfig, UNetDiscriminatorConfig])
def test_conditioning_asks_for_the_keypoints_it_was_made_for(kind):
    judge = build_discriminator(kind(num_keypoints=5, **SMALL))
    frames = torch.rand(1, 3, 64, 64)
    with pytest.raises(ValueError, match="conditioned on 5 keypoints, but got 0"):
        judge(frames)
    with pytest.raises(ValueError, match="conditioned on 5 keypoints, but got 4"):
        judge(frames, some_keypoints(4))
    assert judge(frames, some_keypoints(5))[0].score.shape == (1, 1, 2, 2)


@pytest.mark.parametrize("kind", [PatchDiscriminatorConfig, UNetDiscriminatorConfig])
def test_keypoints_matter_but_get_no_gradient(kind):
    torch.manual_seed(0)
    judge = build_discriminator(kind(num_keypoints=2, **SMALL))
    frames, here, there = torch.rand(1, 3, 64, 64, requires_grad=True), some_keypoints(2), some_keypoints(2)
    (output,) = judge(frames, here)
    assert not torch.allclose(output.score, judge(frames, there)[0].score)
    pixels = 0 if output.pixel_score is None else output.pixel_score.sum()
    (output.score.sum() + pixels).backward()
    assert here.position.grad is None
    assert frames.grad is not None


def test_keypoints_are_ignored_where_the_frame_is_judged_alone():
    judge, frames = small_unet(), torch.rand(1, 3, 64, 64)
    assert torch.equal(judge(frames)[0].score, judge(frames, some_keypoints(7))[0].score)


# Patch discriminators


def test_there_is_one_patch_output_a_scale():
    torch.manual_seed(0)
    judge = PatchDiscriminator(PatchDiscriminatorConfig(scales=(1.0, 0.5), **SMALL))
    full, half = judge(torch.rand(1, 3, 256, 256))
    assert full.score.shape == (1, 1, 26, 26)
    assert half.score.shape == (1, 1, 10, 10)
    assert full.pixel_score is None
    assert [f.shape[-1] for f in half.features] == [62, 29, 13, 10]
    assert {name.split(".")[1] for name, _ in judge.named_parameters()} == {"1", "0-5"}


@pytest.mark.parametrize(
    "settings", [{"scales": ()}, {"num_blocks": 0}, {"block_expansion": 0}, {"num_keypoints": -1}, {"max_features": 0}]
)
def test_settings_that_make_no_network_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        PatchDiscriminatorConfig(**settings)


# What flows


def test_spectral_norm_makes_the_largest_singular_value_one():
    judge = small_unet(spectral_norm=True)
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter.mul_(5.0)
        for _ in range(40):
            judge(torch.rand(1, 3, 64, 64))
    convolutions = [m for m in judge.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    assert len(convolutions) == 4 + 1 + 4 + 1
    for conv in convolutions:
        weight = conv.weight.detach().numpy()
        if isinstance(conv, torch.nn.ConvTranspose2d):
            weight = weight.swapaxes(0, 1)
        largest = np.linalg.svd(weight.reshape(weight.shape[0], -1), compute_uv=False)[0]
        assert largest == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize("place", [(0, 0), (31, 40), (63, 63)])
def test_each_pixel_score_teaches_the_encoder(place):
    judge = small_unet()
    judge(torch.rand(1, 3, 64, 64))[0].pixel_logit[0, 0, *place].backward()
    for block in judge.encoder.down_blocks:
        assert block.conv.weight.grad.abs().sum() > 0
    assert judge.encoder.conv.weight.grad is None  # the head of the patch scores takes no part


def test_the_patch_scores_do_not_teach_the_decoder():
    judge = small_unet()
    judge(torch.rand(1, 3, 64, 64))[0].score.sum().backward()
    assert all(parameter.grad is None for parameter in judge.up_blocks.parameters())


@pytest.mark.parametrize("side", [32, 128])
@pytest.mark.parametrize("share", [(0.25, 0.25), (0.25, 0.75), (0.5, 0.5), (0.75, 0.3)])
def test_a_pixel_score_depends_most_on_the_frame_around_it(share, side):
    judge = small_unet()
    row, col = (round(s * side) for s in share)
    frames = torch.full((1, 3, side, side), 0.5) + 0.1 * torch.rand(1, 3, side, side)
    disturbed = frames.clone()
    reach = side // 16
    disturbed[..., row - reach : row + reach, col - reach : col + reach] += 0.2
    with torch.no_grad():
        change = (judge(disturbed)[0].pixel_logit - judge(frames)[0].pixel_logit)[0, 0].abs().numpy()
    y, x = np.mgrid[0:side, 0:side]
    distance = np.maximum(np.abs(y - row), np.abs(x - col))
    # Instance norm carries a little of every change everywhere; most of it stays where it happened.
    assert change[distance <= side / 8].mean() > 1.5 * change[distance > 3 * side / 8].mean()

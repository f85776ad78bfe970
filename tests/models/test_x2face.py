"""X2Face: whole-pixel lookups worked out by hand, shares of several sources, batches, sizes and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.geometry import coordinate_grid, warp
from prioritycut.models.base import Animator, KeypointAnimator
from prioritycut.models.x2face import X2Face, X2FaceConfig, confidence_shares, lookup_grid

TINY = X2FaceConfig(frame_size=32, block_expansion=4, max_features=16, num_levels=4, bottleneck=6)


def tiny_x2face(**settings) -> X2Face:
    torch.manual_seed(0)
    return X2Face(replace(TINY, **settings)).eval()


class Answer(nn.Module):
    """A network that answers what a function says."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, frames: Tensor) -> Tensor:
        return self.answer(frames)


def still(channels: int) -> Answer:
    """A network that moves nothing; its confidences are 0."""
    return Answer(lambda frames: torch.zeros_like(frames[:, :1]).repeat(1, channels, 1, 1))


def shifting(columns: int, *, tanhs: int, channels: int = 2) -> Answer:
    """A network that makes each pixel look `columns` pixels to its right."""

    def answer(frames: Tensor) -> Tensor:
        offset = torch.tensor(2 * columns / (frames.shape[-1] - 1), dtype=torch.float64)
        for _ in range(tanhs):
            offset = offset.atanh()
        raw = torch.zeros_like(frames[:, :1]).repeat(1, channels, 1, 1)
        raw[:, 0] = offset
        return raw

    return Answer(answer)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frame_size": 40}, "multiple of 16 .*take fewer levels"),
        ({"num_levels": 1}, "num_levels must be at least 2"),
        ({"bottleneck": 0}, "bottleneck must be at least 1"),
        ({"block_expansion": 0}, "block_expansion must be at least 1"),
        ({"confidence_floor": -0.1}, "confidence_floor must not be negative"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_way_out(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **settings)


def test_a_config_survives_its_json():
    assert config_from_json(X2FaceConfig, config_to_json(TINY), where="here") == TINY


def test_x2face_is_an_animator_without_keypoints():
    assert isinstance(tiny_x2face(), Animator)
    assert not isinstance(tiny_x2face(), KeypointAnimator)


@pytest.mark.parametrize(("size", "levels"), [(64, 6), (128, 7), (256, 8)])
@torch.no_grad()
def test_output_has_the_frames_size_and_range_at_every_level(size, levels):
    animator = tiny_x2face(frame_size=size, num_levels=levels)
    output = animator(torch.rand(2, 3, size, size), torch.rand(2, 3, size, size))
    assert output.prediction.shape == (2, 3, size, size)
    assert output.prediction.min() >= 0
    assert output.prediction.max() <= 1
    assert output.motion.deformation.shape == (2, size, size, 2)
    assert output.motion.occlusion_map is None
    assert output.motion.background_mask is None


@torch.no_grad()
def test_frames_of_another_multiple_of_the_levels_work_too():
    output = tiny_x2face()(torch.rand(1, 3, 48, 80), torch.rand(1, 3, 48, 80))
    assert output.prediction.shape == (1, 3, 48, 80)


# Lookup


@torch.no_grad()
def test_networks_that_answer_nothing_give_the_source_back():
    animator, source = tiny_x2face(), torch.rand(2, 3, 32, 32)
    for network in (animator.embedding, animator.driving):
        network.up[0].conv.weight.zero_()
    output = animator(source, torch.rand(2, 3, 32, 32))
    torch.testing.assert_close(output.prediction, source, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.motion.deformation, coordinate_grid(32, 32).expand(2, 32, 32, 2))


def test_an_offset_is_never_more_than_half_the_frame():
    raw = torch.full((1, 2, 4, 4), 100.0)
    offset = lookup_grid(raw) - coordinate_grid(4, 4)
    torch.testing.assert_close(offset, torch.ones(1, 4, 4, 2))


@torch.no_grad()
def test_both_networks_lookups_add_up_and_what_lies_outside_is_black():
    animator, source = tiny_x2face(), torch.rand(1, 3, 32, 32)
    animator.embedding = shifting(3, tanhs=1, channels=3)
    animator.driving = shifting(5, tanhs=2)
    output = animator(source, source)
    wanted = torch.zeros_like(source)
    wanted[..., :24] = source[..., 8:]
    torch.testing.assert_close(output.prediction, wanted, atol=1e-4, rtol=0)
    # The deformation leads through the embedded face into the source, outside of it included.
    torch.testing.assert_close(warp(source, output.motion.deformation), wanted, atol=1e-4, rtol=0)
    xs = output.motion.deformation[0, 0, :, 0]
    torch.testing.assert_close(xs, coordinate_grid(32, 32)[0, :, 0] + 2 * 8 / 31, atol=1e-5, rtol=0)


# Several sources


@torch.no_grad()
def test_source_frames_are_averaged_by_exp_of_their_confidence_plus_a_tenth():
    animator, views = tiny_x2face(), torch.rand(2, 3, 3, 32, 32)
    # Each pixel's confidence is ten times its red, minus five.
    animator.embedding = Answer(
        lambda frames: torch.cat([torch.zeros_like(frames[:, :2]), 10 * frames[:, :1] - 5], dim=1)
    )
    face = animator.encode(views).face.numpy()
    stored = views.double().numpy()
    weights = np.exp(10 * stored[:, :, :1] - 5) + 0.1
    np.testing.assert_allclose(face, (weights * stored).sum(1) / weights.sum(1), atol=1e-5)


@torch.no_grad()
def test_one_frame_shown_several_times_is_one_frame():
    animator, source = tiny_x2face(), torch.rand(2, 1, 3, 32, 32)
    once, thrice = animator.encode(source), animator.encode(source.expand(-1, 3, -1, -1, -1))
    torch.testing.assert_close(thrice.face, once.face, atol=1e-5, rtol=0)


@torch.no_grad()
def test_several_frames_of_one_source_serve_a_clip():
    animator = tiny_x2face()
    output = animator.render(animator.encode(torch.rand(1, 3, 3, 32, 32)), torch.rand(5, 3, 32, 32))
    assert output.prediction.shape == (5, 3, 32, 32)
    assert output.motion.deformation.shape == (5, 32, 32, 2)


@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_no_confidence_is_too_large_or_too_small(floor):
    confidence = torch.tensor([1e4, -1e4, 0.0]).view(1, 3, 1, 1).requires_grad_()
    shares = confidence_shares(confidence, floor=floor)
    torch.testing.assert_close(shares.flatten(), torch.tensor([1.0, 0.0, 0.0]))
    shares[0, 0].sum().backward()
    assert confidence.grad.isfinite().all()


def test_where_no_frame_is_confident_the_floor_shares_alike():
    shares = confidence_shares(torch.full((1, 4, 1, 1), -1e4), floor=0.1)
    torch.testing.assert_close(shares, torch.full((1, 4, 1, 1), 0.25))


# Batches and gradients


@torch.no_grad()
def test_a_face_embedded_once_is_rendered_as_if_embedded_for_each_frame():
    animator, source, driving = tiny_x2face(), torch.rand(1, 3, 32, 32), torch.rand(4, 3, 32, 32)
    once = animator.render(animator.encode(source[:, None]), driving)
    each = animator(source.expand(4, -1, -1, -1), driving)
    torch.testing.assert_close(once.prediction, each.prediction, atol=1e-5, rtol=0)
    torch.testing.assert_close(once.motion.deformation, each.motion.deformation, atol=1e-5, rtol=0)


@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other():
    animator, source, driving = tiny_x2face(), torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    together = animator(source, driving)
    for i in range(3):
        alone = animator(source[i : i + 1], driving[i : i + 1])
        torch.testing.assert_close(alone.prediction, together.prediction[i : i + 1], atol=1e-5, rtol=0)


def test_every_parameter_learns_from_the_photometric_loss():
    animator = tiny_x2face().train()
    source, driving = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    encoded = animator.encode(torch.stack([source, driving.flip(-1)], dim=1))
    (animator.render(encoded, driving).prediction - driving).abs().mean().backward()
    for name, parameter in animator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name

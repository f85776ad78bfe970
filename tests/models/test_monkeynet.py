"""Monkey-Net: keypoints and blobs derived anew in numpy, peaked heatmaps, shifts, batches, judges and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.geometry import coordinate_grid, warp
from prioritycut.models.base import Discriminator, EncodingAnimator, PairDetector
from prioritycut.models.fomm import HourglassConfig
from prioritycut.models.monkeynet import (
    MonkeyNet,
    MonkeyNetConfig,
    MonkeyNetDiscriminator,
    MonkeyNetDiscriminatorConfig,
)
from prioritycut.models.monkeynet.keypoints import keypoint_heatmaps, keypoints_of, widened
from prioritycut.outputs import Keypoints

TINY_HOURGLASS = HourglassConfig(block_expansion=4, num_blocks=2, max_features=16, scale_factor=0.5)
TINY = MonkeyNetConfig(
    frame_size=32,
    num_keypoints=3,
    detector=TINY_HOURGLASS,
    dense_motion=TINY_HOURGLASS,
    block_expansion=4,
    max_features=16,
    num_blocks=3,
    num_refinement_blocks=1,
)
TINY_JUDGE = MonkeyNetDiscriminatorConfig(num_keypoints=3, block_expansion=4, max_features=16, num_blocks=3)


def tiny_monkeynet(**settings) -> MonkeyNet:
    torch.manual_seed(0)
    animator = MonkeyNet(replace(TINY, **settings)).eval()
    # A new network's head is zero; a trained one's is not.
    torch.nn.init.normal_(animator.generator.dense_motion_module.head.weight, std=0.1)
    return animator


def random_keypoints(seed: int, batch: int = 2, points: int = 3) -> Keypoints:
    rng = np.random.default_rng(seed)
    position = rng.uniform(-0.8, 0.8, (batch, points, 2))
    root = 0.2 * np.eye(2) + 0.1 * rng.normal(size=(batch, points, 2, 2))
    covariance = root @ root.swapaxes(-1, -2) + 0.01 * np.eye(2)
    return Keypoints(torch.from_numpy(position).float(), covariance=torch.from_numpy(covariance).float())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frame_size": 100}, "take fewer blocks or another scale"),
        ({"num_blocks": 6}, "the generator: 6 halvings at scale 1 .* multiple of 64, got 32"),
        ({"detector": replace(TINY_HOURGLASS, num_blocks=5)}, "detector: 5 halvings at scale 0.5"),
        ({"num_keypoints": 0}, "num_keypoints must be at least 1"),
        ({"num_refinement_blocks": -1}, "num_refinement_blocks must not be negative"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"smallest_variance": 0.0}, "smallest_variance must be positive"),
        ({"keypoint_scale": 0.3}, "keypoint_scale must be 1, 0.5, 0.25 or 0.125"),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_way_out(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **settings)


@pytest.mark.parametrize("config", [TINY, TINY_JUDGE])
def test_a_config_survives_its_json(config):
    assert config_from_json(type(config), config_to_json(config), where="here") == config


@pytest.mark.parametrize(("size", "blocks", "halvings"), [(64, 5, 4), (128, 6, 5), (256, 7, 5)])
@torch.no_grad()
def test_output_has_the_frames_size_and_range_at_every_size(size, blocks, halvings):
    hourglass = replace(TINY_HOURGLASS, num_blocks=halvings, scale_factor=0.25)
    animator = tiny_monkeynet(frame_size=size, num_blocks=blocks, detector=hourglass, dense_motion=hourglass)
    assert isinstance(animator, EncodingAnimator)
    source = torch.rand(2, 3, size, size)
    output = animator(source, source.flip(-1))
    assert output.prediction.shape == (2, 3, size, size)
    assert output.prediction.min() >= 0
    assert output.prediction.max() <= 1
    assert output.motion.deformation.shape == (2, size // 4, size // 4, 2)
    assert output.motion.occlusion_map is None
    background = output.motion.background_mask
    assert background.shape == (2, 1, size // 4, size // 4)
    assert background.min() >= 0
    assert background.max() <= 1
    keypoints = animator.detect(source)
    assert keypoints.position.shape == (2, 3, 2)
    assert keypoints.covariance.shape == (2, 3, 2, 2)
    assert keypoints.jacobian is None


# Keypoints


def test_a_keypoint_is_the_mean_and_covariance_of_its_heatmap():
    heatmap = np.random.default_rng(0).random((2, 3, 6, 9))
    heatmap /= heatmap.sum((2, 3), keepdims=True)
    keypoints = keypoints_of(torch.from_numpy(heatmap).float(), smallest_variance=0.001)
    ys, xs = np.meshgrid(np.linspace(-1, 1, 6), np.linspace(-1, 1, 9), indexing="ij")
    points = np.stack([xs, ys], -1).reshape(-1, 2)
    for batch, k in np.ndindex(2, 3):
        weights = heatmap[batch, k].flatten()
        np.testing.assert_allclose(keypoints.position[batch, k], weights @ points, atol=1e-5)
        wanted = np.cov(points.T, aweights=weights, ddof=0)
        np.testing.assert_allclose(keypoints.covariance[batch, k], wanted, atol=5e-5)


def planted(rows: int, cols: int, *pixels: tuple[int, int]) -> Tensor:
    """A heatmap shared by some pixels."""
    heatmap = torch.zeros(1, 1, rows, cols)
    for row, col in pixels:
        heatmap[..., row, col] = 1 / len(pixels)
    return heatmap


@pytest.mark.parametrize(
    ("rows", "cols", "pixels"),
    [
        (16, 16, [(8, 8)]),
        (15, 15, [(7, 7)]),  # the very centre: both variances are equal to the bit
        (16, 16, [(0, 0)]),
        (64, 64, [(63, 0)]),
        (8, 8, [(3, 3)]),
        (4, 4, [(1, 2)]),
        (16, 16, [(8, 8), (8, 9)]),
        (64, 64, [(i, i) for i in range(64)]),
        (16, 16, [(0, 15), (15, 0)]),
    ],
)
def test_a_heatmap_peaked_on_a_pixel_or_a_line_gives_finite_keypoints_blobs_and_gradients(rows, cols, pixels):
    heatmap = planted(rows, cols, *pixels).requires_grad_()
    keypoints = keypoints_of(heatmap, smallest_variance=0.001)
    blobs = keypoint_heatmaps(keypoints, rows, cols, norm=1.0)
    (blobs.square().sum() + keypoints.covariance.sum()).backward()
    assert np.linalg.eigvalsh(keypoints.covariance.detach().double()).min() >= 0.001 * (1 - 1e-2)
    assert blobs.isfinite().all()
    # The mean of the pixels may lie between them.
    assert blobs.max() >= 0.1
    assert heatmap.grad.isfinite().all()


def test_a_whole_step_is_finite_when_every_heatmap_is_one_pixel():
    animator = tiny_monkeynet(temperature=1e-6).train()
    source, driving = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    start, end = animator.detect(source), animator.detect(driving)
    eigenvalues = np.linalg.eigvalsh(end.covariance.detach().double())
    np.testing.assert_allclose(eigenvalues.min(-1), 0.001, rtol=1e-2)
    (animator.render(source, start, end).prediction - driving).square().mean().backward()
    for name, parameter in animator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_covariance_that_is_wide_enough_stays_as_it_is():
    covariance = random_keypoints(0).covariance
    assert torch.equal(widened(covariance, 0.001), covariance)


def test_a_narrow_covariance_is_scaled_until_its_narrow_side_is_wide_enough():
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    narrow = turn @ np.diag([0.0005, 0.02]) @ turn.T
    ours = widened(torch.from_numpy(narrow).float(), 0.001)
    np.testing.assert_allclose(ours, 2 * narrow, rtol=1e-3)


def test_a_blob_has_the_shape_of_its_covariance():
    keypoints = random_keypoints(1)
    blobs = keypoint_heatmaps(keypoints, 5, 7, norm=100.0)
    for batch, k, row, col in np.ndindex(2, 3, 5, 7):
        offset = np.array([2 * col / 6 - 1, 2 * row / 4 - 1]) - keypoints.position[batch, k].numpy()
        precision = np.linalg.inv(keypoints.covariance[batch, k].double().numpy())
        wanted = np.exp(-0.5 * offset @ precision @ offset) / 100
        assert blobs[batch, k, row, col].item() == pytest.approx(wanted, abs=1e-6)


def test_keypoints_without_a_covariance_are_refused_with_a_way_out():
    bare = Keypoints(torch.zeros(1, 3, 2))
    with pytest.raises(ValueError, match=r"need.* a covariance.*take them from `detect`"):
        tiny_monkeynet().render(torch.rand(1, 3, 32, 32), bare, bare)


# Motion


def test_a_new_network_leaves_a_still_object_where_it_is():
    torch.manual_seed(0)
    full_size = replace(TINY, dense_motion=replace(TINY_HOURGLASS, scale_factor=1.0))
    animator, source, keypoints = MonkeyNet(full_size).eval(), torch.rand(2, 3, 32, 32), random_keypoints(0)
    motion = animator.dense_motion(source, keypoints, keypoints).motion
    torch.testing.assert_close(motion.deformation, coordinate_grid(32, 32).expand(2, 32, 32, 2))
    torch.testing.assert_close(animator.generator.warped(source, motion), source, atol=1e-5, rtol=0)
    # A bias of 2 for the background beside three keypoints.
    assert motion.background_mask.min().item() == pytest.approx(np.exp(2) / (np.exp(2) + 3))


@torch.no_grad()
def test_the_background_stays_whatever_the_keypoints_do():
    animator = tiny_monkeynet()
    head = animator.generator.dense_motion_module.head
    head.weight.zero_()
    head.bias[0] = 100.0
    motion = animator.dense_motion(torch.rand(2, 3, 32, 32), random_keypoints(0), random_keypoints(1)).motion
    torch.testing.assert_close(motion.deformation, coordinate_grid(16, 16).expand(2, 16, 16, 2))
    torch.testing.assert_close(motion.background_mask, torch.ones(2, 1, 16, 16))


@torch.no_grad()
def test_what_a_keypoint_shows_in_the_source_appears_where_it_is_in_the_driving_frame():
    animator, source = tiny_monkeynet(), torch.zeros(1, 3, 33, 33)
    source[..., 8, 4] = 1.0  # x = -0.75, y = -0.5
    spread = 0.1 * torch.eye(2).expand(1, 3, 2, 2)
    start = Keypoints(torch.tensor([[[0.0, 0.0], [-0.75, -0.5], [0.0, 0.0]]]), covariance=spread)
    end = Keypoints(torch.tensor([[[0.0, 0.0], [0.25, 0.5], [0.0, 0.0]]]), covariance=spread)
    head = animator.generator.dense_motion_module.head
    head.weight.zero_()
    head.bias[2] = 100.0  # the second keypoint's motion, everywhere
    motion = animator.generator.dense_motion_module(torch.zeros(1, 3, 32, 32), start, end).motion
    shift = motion.deformation - coordinate_grid(32, 32)
    torch.testing.assert_close(shift, torch.tensor([-1.0, -1.0]).expand(1, 32, 32, 2), atol=1e-5, rtol=0)
    moved = warp(source, coordinate_grid(33, 33)[None] + shift[:, :1, :1])
    assert moved[0, 0].argmax().item() == 24 * 33 + 20  # x = 0.25, y = 0.5


@torch.no_grad()
def test_the_correction_is_added_to_the_blend_of_shifts():
    animator = tiny_monkeynet()
    start, end = random_keypoints(2), random_keypoints(3)
    dense = animator.dense_motion(torch.rand(2, 3, 32, 32), start, end)
    shifts = np.concatenate([np.zeros((2, 1, 2)), (start.position - end.position).numpy()], axis=1)
    blend = np.einsum("bkhw,bkc->bhwc", dense.weights.numpy(), shifts)
    wanted = coordinate_grid(16, 16).numpy() + blend + dense.correction.numpy()
    np.testing.assert_allclose(dense.motion.deformation, wanted, atol=1e-5)
    np.testing.assert_allclose(dense.weights.sum(1), 1, atol=1e-5)
    assert dense.correction.abs().max() > 0


# Batches and gradients


def test_both_frames_of_a_pair_share_the_detectors_batch_statistics():
    source, driving = torch.rand(2, 3, 32, 32), 0.2 * torch.rand(2, 3, 32, 32)
    one_call = tiny_monkeynet().train().detect(torch.cat([source, driving]))
    animator = tiny_monkeynet().train()
    assert isinstance(animator, PairDetector)
    start, end = animator.detect_pair(source, driving)
    torch.testing.assert_close(torch.cat([start.position, end.position]), one_call.position)
    torch.testing.assert_close(torch.cat([start.covariance, end.covariance]), one_call.covariance)
    apart = tiny_monkeynet().train().detect(source)
    assert (apart.position - start.position).abs().max() > 1e-3


@torch.no_grad()
def test_a_source_encoded_once_is_rendered_as_if_encoded_for_each_frame():
    animator, source, driving = tiny_monkeynet(), torch.rand(1, 3, 32, 32), torch.rand(4, 3, 32, 32)
    start, end = animator.detect(source), animator.detect(driving)
    once = animator.render_encoded(animator.encode(source, start), end)
    each = animator(source.expand(4, -1, -1, -1), driving)
    torch.testing.assert_close(once.prediction, each.prediction, atol=1e-5, rtol=0)
    torch.testing.assert_close(once.motion.deformation, each.motion.deformation, atol=1e-5, rtol=0)


@torch.no_grad()
def test_images_of_a_batch_do_not_see_each_other():
    animator, source, driving = tiny_monkeynet(), torch.rand(3, 3, 32, 32), torch.rand(3, 3, 32, 32)
    together = animator(source, driving)
    for i in range(3):
        alone = animator(source[i : i + 1], driving[i : i + 1])
        torch.testing.assert_close(alone.prediction, together.prediction[i : i + 1], atol=1e-5, rtol=0)


def test_every_parameter_learns():
    animator = tiny_monkeynet().train()
    source, driving = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    (animator(source, driving).prediction - driving).abs().mean().backward()
    for name, parameter in animator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_keypoints_keep_their_covariance_when_cut_and_repeated():
    keypoints = random_keypoints(0)
    assert torch.equal(keypoints[1:].covariance, keypoints.covariance[1:])
    assert torch.equal(keypoints[1:].expand(3).covariance, keypoints.covariance[1:].expand(3, -1, -1, -1))


# The discriminator


def tiny_judge() -> MonkeyNetDiscriminator:
    torch.manual_seed(1)
    return MonkeyNetDiscriminator(TINY_JUDGE).eval()


@torch.no_grad()
def test_the_discriminator_gives_one_map_a_block_and_a_score():
    (judged,) = tiny_judge()(torch.rand(2, 3, 32, 32), random_keypoints(0))
    # 32 -> 29, 14 -> 11, 5 -> 2, 1
    assert [tuple(maps.shape) for maps in judged.features] == [(2, 8, 14, 14), (2, 16, 5, 5), (2, 16, 1, 1)]
    assert judged.score.shape == (2, 1, 1, 1)
    assert judged.pixel_score is None


def test_the_discriminator_teaches_keypoints_from_real_frames_too():
    judge, keypoints = tiny_judge(), random_keypoints(0)
    assert isinstance(judge, Discriminator)
    keypoints.position.requires_grad_()
    keypoints.covariance.requires_grad_()
    (judged,) = judge(torch.rand(2, 3, 32, 32), keypoints)
    judged.score.sum().backward()
    assert keypoints.position.grad.abs().sum() > 0
    assert keypoints.covariance.grad.abs().sum() > 0


def test_a_discriminator_without_keypoints_says_what_it_misses():
    with pytest.raises(ValueError, match="beside their keypoints; give the driving ones"):
        tiny_judge()(torch.rand(1, 3, 32, 32))


def test_frames_that_the_discriminator_would_shrink_to_nothing_are_refused():
    replace(TINY_JUDGE, num_blocks=4).check_frame_size(64)
    with pytest.raises(ValueError, match="frames of 32 pixels are too small for a discriminator of 4 blocks"):
        replace(TINY_JUDGE, num_blocks=4).check_frame_size(32)
    with pytest.raises(ValueError, match="take larger frames or fewer blocks"):
        tiny_judge()(torch.rand(1, 3, 16, 16), random_keypoints(0, batch=1))


@torch.no_grad()
def test_frames_are_judged_alone_unless_they_are_said_to_be_a_clip():
    judge, frames, keypoints = tiny_judge(), torch.rand(4, 3, 32, 32), random_keypoints(0, batch=4)
    frames[1] *= 0.1
    (together,) = judge(frames, keypoints)
    (clips,) = judge(frames, keypoints, clip_length=2)
    for i in range(4):
        (alone,) = judge(frames[i : i + 1], keypoints[i : i + 1])
        torch.testing.assert_close(alone.score, together.score[i : i + 1], atol=1e-5, rtol=1e-4)
    (first,) = judge(frames[:2], keypoints[:2], clip_length=2)
    torch.testing.assert_close(clips.features[1][:2], first.features[1], atol=1e-5, rtol=1e-4)
    assert (clips.features[1] - together.features[1])[:2].abs().max() > 1e-2

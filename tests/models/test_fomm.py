"""The First Order Motion Model: its motions derived anew in numpy, its batches, switches and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from prioritycut.geometry import coordinate_grid, random_transform
from prioritycut.losses import equivariance_jacobian_loss, equivariance_value_loss
from prioritycut.models.base import EncodingAnimator
from prioritycut.models.fomm import Fomm, FommConfig, HourglassConfig, heatmap_differences, sparse_motions
from prioritycut.outputs import Keypoints

TINY_HOURGLASS = HourglassConfig(block_expansion=4, num_blocks=2, max_features=16, scale_factor=0.5)
TINY = FommConfig(
    frame_size=32,
    num_keypoints=3,
    detector=TINY_HOURGLASS,
    dense_motion=TINY_HOURGLASS,
    block_expansion=4,
    max_features=16,
    num_bottleneck_blocks=1,
)


def tiny_fomm(**settings) -> Fomm:
    torch.manual_seed(0)
    return Fomm(replace(TINY, **settings)).eval()


def random_keypoints(seed: int, batch: int = 2, points: int = 3) -> Keypoints:
    rng = np.random.default_rng(seed)
    position = rng.uniform(-0.8, 0.8, (batch, points, 2))
    jacobian = np.eye(2) + 0.3 * rng.normal(size=(batch, points, 2, 2))
    return Keypoints(torch.from_numpy(position).float(), torch.from_numpy(jacobian).float())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"frame_size": 100}, "take fewer blocks or another scale"),
        ({"frame_size": 30}, "multiple of 4"),
        ({"num_keypoints": 0}, "num_keypoints must be at least 1"),
        ({"num_bottleneck_blocks": 0}, "num_bottleneck_blocks must be at least 1"),
        ({"num_down_blocks": -1}, "num_down_blocks must not be negative"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"heatmap_variance": -1.0}, "heatmap_variance must be positive"),
        ({"frame_size": 32, "detector": HourglassConfig(block_expansion=4)}, "multiple of 32"),
        # 32 * 0.125 = 4 can be halved twice, but the 7x7 head needs more than 6.
        (
            {"detector": HourglassConfig(block_expansion=4, num_blocks=2, scale_factor=0.125)},
            "above 6, got 32 [*] 0.125 = 4; take fewer blocks or another scale",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_with_a_way_out(settings, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **settings)


@pytest.mark.parametrize(
    "settings", [{"scale_factor": 0.3}, {"num_blocks": 0}, {"block_expansion": 0}, {"max_features": 0}]
)
def test_an_hourglass_that_cannot_be_built_is_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        HourglassConfig(**{"block_expansion": 4, **settings})


# Motion


def test_equal_keypoints_move_nothing():
    keypoints = random_keypoints(0)
    fomm = tiny_fomm()
    dense = fomm.dense_motion(torch.rand(2, 3, 32, 32), keypoints, keypoints)
    grid = coordinate_grid(16, 16)
    torch.testing.assert_close(dense.sparse_motion, grid.expand(2, 4, 16, 16, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(dense.motion.deformation, grid.expand(2, 16, 16, 2), atol=1e-5, rtol=0)


def test_each_keypoint_moves_the_frame_as_equation_4_says():
    start, end = random_keypoints(1), random_keypoints(2)
    height, width = 5, 7
    motions = sparse_motions(start, end, height, width).numpy()
    assert motions.shape == (2, 4, height, width, 2)
    for batch, row, col in np.ndindex(2, height, width):
        z = np.array([2 * col / (width - 1) - 1, 2 * row / (height - 1) - 1])
        np.testing.assert_allclose(motions[batch, 0, row, col], z, atol=1e-6)
        for k in range(3):
            p_s, j_s = start.position[batch, k].double().numpy(), start.jacobian[batch, k].double().numpy()
            p_d, j_d = end.position[batch, k].double().numpy(), end.jacobian[batch, k].double().numpy()
            wanted = p_s + j_s @ np.linalg.inv(j_d) @ (z - p_d)
            np.testing.assert_allclose(motions[batch, k + 1, row, col], wanted, rtol=1e-3, atol=1e-4)


def test_keypoints_without_jacobians_shift_the_frame():
    start, end = (Keypoints(random_keypoints(seed).position) for seed in (1, 2))
    motions = sparse_motions(start, end, 4, 4)
    shift = (start.position - end.position)[:, :, None, None]
    torch.testing.assert_close(motions[:, 1:], coordinate_grid(4, 4) + shift.expand(2, 3, 4, 4, 2))


def test_heatmap_differences_are_driving_minus_source():
    start, end = Keypoints(torch.tensor([[[-1.0, -1.0]]])), Keypoints(torch.tensor([[[1.0, 1.0]]]))
    difference = heatmap_differences(start, end, 5, 5, variance=0.01)
    assert difference[0, 0].eq(0).all()
    assert difference[0, 1, 4, 4].item() == pytest.approx(1.0)
    assert difference[0, 1, 0, 0].item() == pytest.approx(-1.0)


def test_the_shares_of_all_motions_sum_to_one_and_blend_them():
    start, end = random_keypoints(3), random_keypoints(4)
    dense = tiny_fomm().dense_motion(torch.rand(2, 3, 32, 32), start, end)
    torch.testing.assert_close(dense.weights.sum(1), torch.ones(2, 16, 16))
    assert (dense.weights >= 0).all()
    blend = np.einsum("bkhw,bkhwc->bhwc", dense.weights.detach().numpy(), dense.sparse_motion.detach().numpy())
    np.testing.assert_allclose(dense.motion.deformation.detach().numpy(), blend, atol=1e-5)
    assert torch.equal(dense.motion.background_mask, dense.weights[:, :1])


# Batches, switches, sizes


@torch.no_grad()
def test_one_encoded_source_serves_a_batch_as_rendering_one_by_one_does():
    fomm = tiny_fomm()
    source, driving = torch.rand(1, 3, 32, 32), torch.rand(5, 3, 32, 32)
    start, end = random_keypoints(5, batch=1), random_keypoints(6, batch=5)
    together = fomm.render_encoded(fomm.encode(source, start), end)
    alone = [fomm.render(source, start, end[i : i + 1]) for i in range(5)]
    for get in (lambda o: o.prediction, lambda o: o.motion.deformation, lambda o: o.motion.occlusion_map):
        torch.testing.assert_close(get(together), torch.cat([get(one) for one in alone]), atol=1e-5, rtol=0)
    repeated = fomm.render(
        source.expand(5, -1, -1, -1),
        Keypoints(start.position.expand(5, -1, -1), start.jacobian.expand(5, -1, -1, -1)),
        end,
    )
    torch.testing.assert_close(together.prediction, repeated.prediction, atol=1e-5, rtol=0)
    found = fomm.detect(driving)
    torch.testing.assert_close(found[2:3].position, fomm.detect(driving[2:3]).position, atol=1e-5, rtol=0)


@torch.no_grad()
def test_calling_the_model_is_detecting_and_rendering():
    fomm = tiny_fomm()
    source, driving = torch.rand(2, 2, 3, 32, 32)
    output = fomm(source, driving)
    wanted = fomm.render(source, fomm.detect(source), fomm.detect(driving))
    assert torch.equal(output.prediction, wanted.prediction)
    assert isinstance(fomm, EncodingAnimator)


@torch.no_grad()
def test_predictions_and_maps_lie_in_their_ranges():
    output = tiny_fomm()(*torch.rand(2, 2, 3, 32, 32))
    assert output.prediction.shape == (2, 3, 32, 32)
    for values in (output.prediction, output.motion.occlusion_map, output.motion.background_mask):
        assert ((values >= 0) & (values <= 1)).all()


@torch.no_grad()
def test_a_fresh_detector_sees_no_local_deformation():
    jacobian = tiny_fomm().detect(torch.rand(2, 3, 32, 32)).jacobian
    torch.testing.assert_close(jacobian, torch.eye(2).expand(2, 3, 2, 2))


@torch.no_grad()
def test_switches_leave_out_what_they_name():
    frames = torch.rand(2, 1, 3, 32, 32)
    blind = tiny_fomm(estimate_occlusion_map=False)(*frames)
    assert blind.motion.occlusion_map is None
    assert blind.motion.background_mask is not None
    stiff = tiny_fomm(estimate_jacobian=False)
    assert stiff.detect(frames[0]).jacobian is None
    assert stiff(*frames).prediction.shape == (1, 3, 32, 32)
    assert not any("jacobian" in name for name, _ in stiff.named_parameters())
    shared = tiny_fomm(single_jacobian_map=True)
    assert shared.kp_detector.jacobian.weight.shape[0] == 4
    assert shared.detect(frames[0]).jacobian.shape == (1, 3, 2, 2)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(32, 48), (64, 32), (24, 40)])
def test_frames_that_are_not_square_work_where_they_fit(height, width):
    output = tiny_fomm()(*torch.rand(2, 1, 3, height, width))
    assert output.prediction.shape == (1, 3, height, width)
    assert output.motion.deformation.shape == (1, height // 2, width // 2, 2)


@torch.no_grad()
def test_the_other_sampling_convention_makes_another_picture():
    frames = torch.rand(2, 1, 3, 32, 32)
    assert not torch.allclose(tiny_fomm()(*frames).prediction, tiny_fomm(align_corners=False)(*frames).prediction)


def test_a_combined_loss_teaches_every_weight():
    fomm = tiny_fomm().train()
    source, driving = torch.rand(2, 4, 3, 32, 32)
    transform = random_transform(4, generator=torch.Generator().manual_seed(0))
    start, end, moved = fomm.detect(source), fomm.detect(driving), fomm.detect(transform.frames(driving))
    loss = (fomm.render(source, start, end).prediction - driving).abs().mean()
    loss = loss + equivariance_value_loss(end, moved, transform) + equivariance_jacobian_loss(end, moved, transform)
    loss.backward()
    for name, parameter in fomm.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if parameter.ndim > 1:  # a bias before a norm or a softmax has no effect by nature
            assert parameter.grad.abs().max() > 0, name

"""Coordinates, judged by numpy: rolls, inverses, formulas and finite differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from prioritycut.geometry import (
    SmoothTransform,
    coordinate_grid,
    expected_position,
    gaussian_heatmaps,
    inverse_2x2,
    random_transform,
    resize_deformation,
    warp,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def double(transform: SmoothTransform) -> SmoothTransform:
    return SmoothTransform(transform.affine.double(), transform.control_points.double(), transform.weights.double())


def test_the_grid_runs_from_corner_centre_to_corner_centre():
    xs, ys = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 3))
    np.testing.assert_allclose(coordinate_grid(3, 5).numpy(), np.stack([xs, ys], -1), atol=1e-7)


def test_a_side_of_one_pixel_has_its_centre_at_zero():
    assert coordinate_grid(1, 1).tolist() == [[[0.0, 0.0]]]
    assert coordinate_grid(1, 3)[0].tolist() == [[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize(("height", "width"), [(5, 5), (9, 17), (1, 5)])
def test_the_identity_grid_returns_the_frame_bit_for_bit(height, width):
    # Sizes of 2^n + 1 have grid points that floating point holds exactly.
    frames = torch.rand(2, 3, height, width, generator=generator())
    grid = coordinate_grid(height, width).expand(2, -1, -1, -1)
    assert torch.equal(warp(frames, grid), frames)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (31, 45), (256, 256)])
def test_the_identity_grid_returns_the_frame_at_any_size(height, width):
    frames = torch.rand(1, 3, height, width, generator=generator())
    torch.testing.assert_close(warp(frames, coordinate_grid(height, width)[None]), frames, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("down", "right"), [(0, 3), (2, 0), (-1, 4)])
def test_a_shift_by_whole_pixels_rolls_the_frame(down, right):
    height, width = 17, 33
    frames = torch.rand(1, 3, height, width, generator=generator())
    shift = torch.tensor([2 * right / (width - 1), 2 * down / (height - 1)])
    moved = warp(frames, (coordinate_grid(height, width) - shift)[None])
    wanted = np.roll(frames.numpy(), (down, right), (2, 3))
    inside = (..., slice(4, -4), slice(4, -4))
    np.testing.assert_allclose(moved.numpy()[inside], wanted[inside], atol=1e-5)


def test_what_lies_outside_the_frame_is_black_unless_told_otherwise():
    frames, far = torch.full((1, 1, 5, 5), 0.5), torch.full((1, 1, 1, 2), 3.0)
    assert warp(frames, far).item() == 0.0
    assert warp(frames, far, padding_mode="border").item() == 0.5


def test_the_other_convention_puts_the_ends_at_the_outer_edges():
    frames = torch.rand(1, 1, 4, 4, generator=generator())
    edge = torch.tensor([-1.0, -1.0]).view(1, 1, 1, 2)
    centre = torch.tensor([-0.75, -0.75]).view(1, 1, 1, 2)
    assert warp(frames, edge).item() == frames[0, 0, 0, 0].item()
    # At the frame's outermost corner only a quarter of the sample lies inside.
    assert warp(frames, edge, align_corners=False).item() == pytest.approx(frames[0, 0, 0, 0].item() / 4)
    assert warp(frames, centre, align_corners=False).item() == frames[0, 0, 0, 0].item()


def test_half_precision_frames_are_looked_up_exactly():
    frames = torch.rand(1, 1, 257, 257, generator=generator()).bfloat16()
    looked_up = warp(frames, coordinate_grid(257, 257)[None])
    assert looked_up.dtype == torch.bfloat16
    assert torch.equal(looked_up, frames)


def test_an_enlarged_identity_stays_the_identity_within_the_border():
    enlarged = resize_deformation(coordinate_grid(4, 4)[None], 8, 8)[0, 1:-1, 1:-1]
    # Half-pixel centres: pixel i of eight lies at (i + 0.5) / 2 - 0.5 of four.
    line = 2 * ((np.arange(1, 7) + 0.5) / 2 - 0.5) / 3 - 1
    np.testing.assert_allclose(enlarged.numpy(), np.stack(np.meshgrid(line, line), -1), atol=1e-6)


def test_the_inverse_is_numpys():
    matrices = np.random.default_rng(0).normal(size=(3, 7, 2, 2))
    np.testing.assert_allclose(inverse_2x2(torch.from_numpy(matrices)).numpy(), np.linalg.inv(matrices), rtol=1e-9)


def test_the_inverse_is_differentiable():
    matrix = (torch.eye(2, dtype=torch.float64) + 0.1).expand(2, 2, 2).clone().requires_grad_()
    assert torch.autograd.gradcheck(inverse_2x2, (matrix,))


def test_a_heatmap_of_a_single_pixel_is_expected_there():
    heatmap = torch.zeros(1, 2, 5, 9)
    heatmap[0, 0, 1, 6] = 1.0
    heatmap[0, 1, 4, 0] = 1.0
    assert expected_position(heatmap).tolist() == [[[0.5, -0.5], [-1.0, 1.0]]]


def test_the_expected_position_is_the_weighted_mean():
    heatmap = np.random.default_rng(1).dirichlet(np.ones(12), size=(2, 3)).reshape(2, 3, 3, 4)
    x, y = np.linspace(-1, 1, 4), np.linspace(-1, 1, 3)
    wanted = np.stack([(heatmap.sum(2) * x).sum(-1), (heatmap.sum(3) * y).sum(-1)], -1)
    np.testing.assert_allclose(expected_position(torch.from_numpy(heatmap)).numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("variance", [0.01, 0.3])
def test_blobs_follow_their_formula(variance):
    position = np.random.default_rng(2).uniform(-1, 1, (2, 3, 2))
    y, x = np.mgrid[0:6, 0:8]
    x, y = 2 * x / 7 - 1, 2 * y / 5 - 1
    px, py = position[..., 0, None, None], position[..., 1, None, None]
    wanted = np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * variance))
    given = gaussian_heatmaps(torch.from_numpy(position), 6, 8, variance=variance)
    np.testing.assert_allclose(given.numpy(), wanted, rtol=1e-9, atol=1e-300)


# Smooth transforms


def test_a_transform_without_deviation_is_the_identity():
    position = torch.rand(2, 5, 2, generator=generator()) * 2 - 1
    for bending in (0.0, 1e-30):
        transform = random_transform(2, sigma_affine=0.0, sigma_bending=bending, generator=generator())
        assert torch.equal(transform.points(position), position)
        identity = torch.eye(2).expand(2, 5, 2, 2)
        torch.testing.assert_close(transform.jacobian(position), identity, atol=1e-20, rtol=0)


def test_points_follow_their_formula():
    transform = double(random_transform(2, sigma_bending=0.3, generator=generator(1)))
    position = np.random.default_rng(3).uniform(-1, 1, (2, 4, 2))
    affine, centres, weights = (
        part.numpy() for part in (transform.affine, transform.control_points, transform.weights)
    )
    for image in range(2):
        for point in range(4):
            z = position[image, point]
            radius = np.abs(z - centres).sum(-1)
            bending = (weights[image] * radius**2 * np.log(radius + 1e-6)).sum()
            wanted = affine[image, :, :2] @ z + affine[image, :, 2] + bending
            given = transform.points(torch.from_numpy(position))[image, point]
            np.testing.assert_allclose(given.numpy(), wanted, rtol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_the_jacobian_agrees_with_central_differences(seed):
    transform = double(random_transform(3, sigma_affine=0.3, sigma_bending=0.2, generator=generator(seed)))
    position = torch.rand(3, 20, 2, generator=generator(100 + seed), dtype=torch.float64) * 2 - 1
    step = 1e-6
    columns = []
    for axis in torch.eye(2, dtype=torch.float64):
        difference = transform.points(position + step * axis) - transform.points(position - step * axis)
        columns.append(difference / (2 * step))
    torch.testing.assert_close(transform.jacobian(position), torch.stack(columns, -1), atol=1e-6, rtol=1e-6)


def test_an_affine_jacobian_is_its_matrix():
    transform = random_transform(2, sigma_affine=0.4, sigma_bending=0.0, generator=generator(4))
    jacobian = transform.jacobian(torch.rand(2, 6, 2))
    assert torch.equal(jacobian, transform.affine[:, None, :, :2].expand(2, 6, 2, 2))


@pytest.mark.parametrize("seed", range(4))
def test_a_dot_is_seen_where_the_transform_says(seed):
    # Pixel z of the transformed frame shows the frame at T(z): a blob at T(z) must be brightest at z.
    side = 101
    transform = random_transform(1, generator=generator(seed))
    place = torch.tensor([[[0.3, -0.2]]])
    shown = transform.frames(gaussian_heatmaps(transform.points(place), side, side, variance=0.003))
    row, col = np.unravel_index(int(shown.argmax()), (side, side))
    assert 2 * col / (side - 1) - 1 == pytest.approx(0.3, abs=0.021)
    assert 2 * row / (side - 1) - 1 == pytest.approx(-0.2, abs=0.021)


def test_the_same_seed_draws_the_same_transform():
    first, again, other = (random_transform(2, generator=generator(seed)) for seed in (5, 5, 6))
    assert torch.equal(first.affine, again.affine)
    assert torch.equal(first.weights, again.weights)
    assert not torch.equal(first.affine, other.affine)


def test_deviations_are_as_asked():
    transform = random_transform(4000, sigma_affine=0.05, sigma_bending=0.005, generator=generator(7))
    deviation = transform.affine - torch.eye(2, 3)
    assert deviation.std().item() == pytest.approx(0.05, rel=0.03)
    assert abs(deviation.mean().item()) < 0.002
    assert transform.weights.shape == (4000, 25)
    assert transform.weights.std().item() == pytest.approx(0.005, rel=0.03)

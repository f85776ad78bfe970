"""Training of the puppets' detectors: what it learns from, what it does to frames, and that it learns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import fft, ndimage

from prioritycut.data.puppets import LANDMARKS, generate_puppet
from prioritycut.detector_training import (
    CastConfig,
    DetectorTraining,
    HeldOut,
    IdentityTraining,
    KeypointTraining,
    measure_identity,
    measure_keypoints,
    train_detectors,
)
from prioritycut.detector_training.cast import background_of, draw_cast, place_before, within
from prioritycut.detector_training.config import DegradationConfig, OptimizerConfig
from prioritycut.detector_training.degradation import blur, coarsen_blocks, degrade, move
from prioritycut.detector_training.fitting import fit_identity, identity_loss, keypoint_loss, schedule
from prioritycut.detector_training.measuring import equal_error_threshold
from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.puppet_networks import (
    EmbeddingNetworkConfig,
    KeypointNetworkConfig,
    SeenPoints,
    cell_centres,
)
from prioritycut.metrics.detectors.puppets import PuppetKeypointDetector

GENTLE = DegradationConfig(
    rotation=0, coarse_probability=0, blur_probability=0, block_probability=0, noise=0, light=0, tint=0
)
TINY = DetectorTraining(
    cast=CastConfig(characters=12, takes=2),
    keypoints=KeypointTraining(
        network=KeypointNetworkConfig(landmarks=LANDMARKS, width=12, max_features=24, halvings=3),
        degradation=GENTLE,
        optimizer=OptimizerConfig(steps=100, batch_size=8, learning_rate=1e-2),
    ),
    identity=IdentityTraining(
        network=EmbeddingNetworkConfig(widths=(8, 8, 16, 16), features=16),
        degradation=GENTLE,
        optimizer=OptimizerConfig(steps=30, batch_size=8),
    ),
    precision="32-true",
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def short(config: DetectorTraining, steps: int) -> DetectorTraining:
    """The same training, cut off after some steps."""
    keypoints = replace(config.keypoints, optimizer=replace(config.keypoints.optimizer, steps=steps))
    identity = replace(config.identity, optimizer=replace(config.identity.optimizer, steps=steps))
    return replace(config, keypoints=keypoints, identity=identity)


def test_a_short_training_finds_landmarks_better_than_their_mean_position(tmp_path: Path) -> None:
    (file,) = train_detectors(TINY, tmp_path, which="keypoints")
    figures = measure_keypoints(PuppetKeypointDetector(file), HeldOut(clips=6), frames=6)
    cast = draw_cast(TINY.cast, 64)
    mean = (cast.position * cast.visible[..., None]).sum((0, 1)) / cast.visible.sum((0, 1))[..., None]
    errors = []
    for index in range(6):
        clip = generate_puppet(figures.held_out.seed, index, frames=6)
        errors.append(((clip.position + 1) * 31.5 - mean).norm(dim=-1)[clip.visible])
    assert figures.error.mean < 0.8 * torch.cat(errors).mean()


def test_a_short_training_lowers_the_loss_of_identity() -> None:
    losses = list[float]()
    fit_identity(draw_cast(TINY.cast, 64), TINY, advance=lambda step, loss: losses.append(loss))
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    config = short(replace(TINY, cast=CastConfig(characters=3, takes=1)), 2)
    first = train_detectors(config, tmp_path / "first")
    again = train_detectors(config, tmp_path / "again")
    other = train_detectors(replace(config, seed=1), tmp_path / "other")
    assert [path.name for path in first] == ["puppet-keypoints.safetensors", "puppet-identity.safetensors"]
    for one, two, three in zip(first, again, other, strict=True):
        assert one.read_bytes() == two.read_bytes()
        assert one.read_bytes() != three.read_bytes()


def test_a_folder_that_cannot_be_written_is_an_error_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="taken"):
        train_detectors(short(TINY, 1), tmp_path / "taken" / "inside")


def test_detectors_are_judged_on_a_cast_that_they_did_not_learn_from() -> None:
    assert DetectorTraining().cast.seed != HeldOut().seed


def test_the_background_is_what_the_frames_show_beside_the_puppet() -> None:
    clip = generate_puppet(3, 5, frames=2)
    beside = ~(torch.nn.functional.max_pool2d(clip.foreground, 5, 1, 2) > 0)
    background = background_of(3, 5, 64).expand_as(clip.frames)
    assert beside.any()
    torch.testing.assert_close(clip.frames[beside.expand_as(clip.frames)], background[beside.expand_as(clip.frames)])


def test_a_swapped_background_leaves_nothing_of_the_old_one() -> None:
    """A puppet drawn before two backgrounds is the same picture after both were swapped for a third."""
    clip = generate_puppet(3, 5, frames=1)
    inside = within(clip.foreground)
    third = background_of(3, 6, 64)[None]
    swapped = place_before(clip.frames, inside, third)
    assert (swapped == third)[(clip.foreground == 0).expand_as(swapped)].all()
    assert (swapped == clip.frames)[inside.expand_as(swapped)].all()
    assert inside.sum() < clip.foreground.sum()


def test_landmarks_move_with_the_picture() -> None:
    """A soft dot stands for a landmark: its centre of mass after the motion is where the landmark is said to be."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    centre = torch.tensor([[[40.0, 24.0]], [[20.0, 35.0]], [[30.0, 30.0]]])
    dots = torch.stack([torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8) for cx, cy in centre[:, 0].tolist()])
    moved = move(
        dots[:, None].expand(-1, 3, -1, -1),
        centre,
        torch.ones(3, 1, dtype=torch.bool),
        DegradationConfig(shift=6, scale=0.2, rotation=25),
        generator=generator(),
    )
    for frame, position, before in zip(moved.frames, moved.position, centre, strict=True):
        row, col = ndimage.center_of_mass(frame[0].numpy())
        torch.testing.assert_close(position[0], torch.tensor([col, row], dtype=torch.float32), atol=0.05, rtol=0)
        assert (position[0] - before[0]).norm() > 0.5


def test_a_landmark_that_leaves_the_frame_is_no_longer_visible() -> None:
    frames, shown = torch.zeros(64, 3, 64, 64), torch.ones(64, 2, dtype=torch.bool)
    position = torch.tensor([[31.5, 31.5], [0.0, 31.5]]).expand(64, -1, -1)
    config = DegradationConfig(shift=6, scale=0, rotation=0)
    moved = move(frames, position, shown, config, generator=generator())
    assert moved.visible[:, 0].all()
    assert torch.equal(moved.visible[:, 1], moved.position[:, 1, 0] >= -0.5)
    assert not moved.visible[:, 1].all()


def test_the_blur_is_scipy_s() -> None:
    frames = torch.rand(2, 3, 32, 32, generator=generator())
    blurred = blur(frames, torch.tensor([0.7, 1.3]))
    for frame, result, sigma in zip(frames, blurred, (0.7, 1.3), strict=True):
        expected = ndimage.gaussian_filter(frame.numpy(), (0, sigma, sigma), mode="nearest", radius=(0, 4, 4))
        torch.testing.assert_close(result, torch.tensor(expected), atol=1e-5, rtol=0)


def test_blocks_are_rounded_in_the_cosine_basis_of_jpeg() -> None:
    frames = torch.rand(1, 3, 16, 16, generator=generator())
    result = coarsen_blocks(frames, torch.full((1, 1, 1, 1), 0.2))
    coefficients = fft.dctn(result[0, 1, 8:, :8].numpy(), norm="ortho")
    steps = 0.2 * (1 + 3 * (np.arange(8)[:, None] + np.arange(8)) / 14)
    np.testing.assert_allclose(coefficients / steps, np.round(coefficients / steps), atol=1e-3)
    torch.testing.assert_close(coarsen_blocks(frames, torch.zeros(1, 1, 1, 1)), frames, atol=1e-5, rtol=0)


def test_without_strength_frames_stay_as_they_are() -> None:
    frames = torch.rand(2, 3, 64, 64, generator=generator())
    plain = replace(GENTLE, shift=0, scale=0)
    torch.testing.assert_close(degrade(frames, plain, generator=generator()), frames)
    position, shown = torch.rand(2, 19, 2) * 63, torch.ones(2, 19, dtype=torch.bool)
    moved = move(frames, position, shown, plain, generator=generator())
    torch.testing.assert_close(moved.frames, frames, atol=1e-5, rtol=0)
    torch.testing.assert_close(moved.position, position, atol=1e-4, rtol=0)


def test_degraded_frames_remain_frames() -> None:
    frames = torch.rand(8, 3, 64, 64, generator=generator())
    degraded = degrade(frames, DegradationConfig(), generator=generator())
    assert degraded.min() >= 0
    assert degraded.max() <= 1
    assert not torch.equal(degraded, frames)


def seen_at(position: torch.Tensor, visibility: float) -> SeenPoints:
    heat = torch.full((1, 1, 32, 32), -30.0)
    heat[0, 0, int(position[1] // 2), int(position[0] // 2)] = 0
    return SeenPoints(
        position[None, None], torch.full((1, 1), visibility), heat.flatten(2).log_softmax(-1).view_as(heat)
    )


def test_a_pixel_of_distance_costs_one() -> None:
    config = KeypointTraining(heatmap_weight=0, visibility_weight=0)
    shown = torch.ones(1, 1, dtype=torch.bool)
    loss = keypoint_loss(seen_at(torch.tensor([30.0, 20.0]), 0.0), torch.tensor([[[33.0, 24.0]]]), shown, config)
    assert loss.item() == pytest.approx(5.0, abs=1e-4)


def test_a_landmark_beyond_the_frame_counts_for_visibility_alone() -> None:
    config = KeypointTraining()
    hidden = torch.zeros(1, 1, dtype=torch.bool)
    loss = keypoint_loss(seen_at(torch.tensor([30.0, 20.0]), 0.0), torch.tensor([[[-9.0, 24.0]]]), hidden, config)
    assert loss.item() == pytest.approx(np.log(2), abs=1e-4)


def test_cells_of_a_heatmap_lie_between_the_pixels_that_they_pool() -> None:
    assert cell_centres(32)[:2].tolist() == [0.5, 2.5]
    assert cell_centres(32)[-1] == 62.5


def test_the_margin_is_taken_from_the_right_character_s_cosine() -> None:
    config = IdentityTraining(sharpness=10.0, margin=0.25)
    embedding, centres = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    loss = identity_loss(embedding, centres, torch.tensor([0]), config)
    # Cosines 1 and 0; the right one counts as 0.75.
    assert loss.item() == pytest.approx(np.log(1 + np.exp(-7.5)), rel=1e-4)


def test_the_learning_rate_rises_and_falls_to_nothing() -> None:
    assert schedule(0.025, 0.05) == pytest.approx(0.5)
    assert schedule(0.05, 0.05) == pytest.approx(1.0)
    assert schedule(1.0, 0.05) == pytest.approx(0.0)


def test_the_equal_error_rate_of_a_worked_example() -> None:
    """One of four genuine pairs lies among the impostors and one of four impostors among the genuine: a quarter."""
    genuine, impostor = np.array([0.1, 0.2, 0.3, 0.8]), np.array([0.25, 0.6, 0.7, 0.9])
    threshold = equal_error_threshold(genuine, impostor)
    assert (genuine > threshold).mean() == (impostor <= threshold).mean() == 0.25


class PerfectMemory:
    """Knows a puppet by the colours of its background: right about frames, fooled by swapped backgrounds."""

    tool = Tool(role="identity", name="corner", version="")

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        return frames[:, :, 0, 0] * 2 - 1


def test_swapped_backgrounds_unmask_a_network_that_looks_at_the_scenery() -> None:
    kept = measure_identity(PerfectMemory(), HeldOut(clips=6))
    swapped = measure_identity(PerfectMemory(), HeldOut(clips=6, other_backgrounds=True))
    assert kept.equal_error_rate.mean < 0.05
    assert swapped.equal_error_rate.mean > 0.3
    assert (kept.genuine_pairs, kept.impostor_pairs) == (6 * 28, 15 * 64)

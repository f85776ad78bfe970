"""Where the motion is known: the moving area, and maps as finders of holes."""

import math

import pytest
import torch

from prioritycut.data.puppets import generate_puppet
from prioritycut.evaluation.truth import average_precision, correlation, moving_area, puppet_truth, truth_metrics
from prioritycut.geometry import coordinate_grid
from prioritycut.outputs import MotionOutput


def test_average_precision_of_a_worked_example() -> None:
    # Ranked by score: found, missed, found, missed. Precision at the two finds: 1/1 and 2/3, each half of the recall.
    scores, positive = torch.tensor([0.9, 0.8, 0.7, 0.1]), torch.tensor([True, False, True, False])
    assert average_precision(scores, positive) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    # Without any order all share one step: the precision is the share of positives.
    assert average_precision(torch.zeros(4), positive) == pytest.approx(0.5)
    assert math.isnan(average_precision(scores, torch.zeros(4, dtype=torch.bool)))


def test_correlation_is_that_of_numpy() -> None:
    import numpy as np

    first, second = torch.rand(2, 100, generator=torch.Generator().manual_seed(0))
    assert correlation(first, second) == pytest.approx(np.corrcoef(first, second)[0, 1], abs=1e-6)


def test_what_moved_by_more_than_half_a_pixel_moves() -> None:
    grid = coordinate_grid(9, 9).expand(2, -1, -1, -1).clone()
    grid[0, :, :4, 0] += 0.49 * 2 / 8
    grid[1, :, :4, 0] += 0.51 * 2 / 8
    area = moving_area(grid)
    assert not area[0].any()
    assert area[1, 0, :, :4].all()
    assert not area[1, 0, :, 4:].any()


def test_a_map_that_knows_the_holes_is_perfect_and_a_constant_one_is_chance() -> None:
    clip = generate_puppet(1, 5, frames=12, size=64)
    truth = puppet_truth(clip, 0, 12)
    grid = coordinate_grid(64, 64).expand(12, -1, -1, -1)
    source = clip.frames[:1].expand(12, -1, -1, -1)
    perfect = MotionOutput(grid, (~truth.occluded).float())
    found = truth_metrics(clip.frames, clip.frames, source, perfect, truth)
    blind = truth_metrics(source, clip.frames, source, MotionOutput(grid, torch.full((12, 1, 64, 64), 0.5)), truth)
    hidden = [number for number, share in enumerate(found["area_occluded"]) if share > 0]
    assert hidden  # the clip turns its head
    for number in range(12):
        if number in hidden:
            assert found["occlusion_average_precision"][number] == pytest.approx(1)
            assert found["occlusion_correlation"][number] == pytest.approx(1)
            assert blind["occlusion_average_precision"][number] == pytest.approx(blind["area_occluded"][number])
        else:
            assert math.isnan(found["occlusion_average_precision"][number])
    # Frame 0 is the source itself: nothing moves, nothing is hidden, nothing is measured.
    assert math.isnan(found["L1_moving"][0])
    # Copying the source, and measuring the copy.
    assert blind["L1_moving"][1:] == pytest.approx(blind["L1_moving_copy"][1:], nan_ok=True)
    assert max(found["L1_moving"][1:]) == 0

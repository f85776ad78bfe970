"""AKD and MKR against worked examples of the public evaluation code and a slow second derivation."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch

from prioritycut.metrics import average_keypoint_distance, missing_keypoint_rate
from prioritycut.metrics.keypoint import keypoint_distances, missing_keypoints

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())
NAN = math.nan
PROTOCOLS = ("reference", "corrected")


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Arguments as they reach the function in use, where nobody checks shapes first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def body(rows: list[dict[str, Any]]) -> torch.Tensor:
    """Joints of a golden table, by clip and frame."""
    rows = sorted(rows, key=lambda row: (row["file_name"], row["frame_number"]))
    frames = torch.full((len(rows), 18, 2), NAN, dtype=torch.float64)
    for frame, row in zip(frames, rows, strict=True):
        for joint, place in row["detected"].items():
            frame[int(joint)] = torch.tensor(place)
    return frames


def face(rows: list[dict[str, Any]]) -> torch.Tensor:
    rows = sorted(rows, key=lambda row: (row["file_name"], row["frame_number"]))
    return torch.tensor([row["value"] or [[NAN, NAN]] * 3 for row in rows], dtype=torch.float64)


def random_pair(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keypoints of which many are missing, in some frames all."""
    rng = np.random.default_rng(seed)
    predicted, target = rng.uniform(0, 256, (2, 60, 5, 2))
    for points in (predicted, target):
        points[rng.uniform(size=(60, 5)) < rng.choice([0.1, 0.5, 0.9], (60, 1))] = NAN
        points[rng.uniform(size=60) < 0.1] = NAN
    return torch.from_numpy(predicted), torch.from_numpy(target)


def slow(
    predicted: torch.Tensor, target: torch.Tensor, protocol: str
) -> tuple[list[float | None], list[float | None], list[str]]:
    """Distance, missing share and outcome of each frame, point by point."""
    distances, shares, outcomes = list[float | None](), list[float | None](), list[str]()
    for guess, truth in zip(predicted.tolist(), target.tolist(), strict=True):
        there = [i for i, (x, _) in enumerate(truth) if not math.isnan(x)]
        common = [i for i in there if not math.isnan(guess[i][0])]
        apart = list[float]()
        for i in common:
            dx, dy = guess[i][0] - truth[i][0], guess[i][1] - truth[i][1]
            apart += [math.hypot(dx, dy)] if protocol == "corrected" else [abs(dx), abs(dy)]
        distances.append(sum(apart) / len(apart) if common else None)
        shares.append((len(there) - len(common)) / len(there) if there else None)
        outcomes.append("without" if not there else "measured" if common else "failed")
    return distances, shares, outcomes


def mean(values: list[float | None]) -> float:
    kept = [value for value in values if value is not None]
    return sum(kept) / len(kept)


def listed(values: torch.Tensor) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def test_worked_example_of_faces() -> None:
    example = GOLDEN["face_akd"]
    result = average_keypoint_distance(face(example["generated"]), face(example["gt"]))
    assert result.value == pytest.approx(example["akd"], rel=1e-12)
    assert listed(result.values) == pytest.approx([1, 5 / 3, None])
    assert (result.frames, result.failures, result.without_target) == (2, 1, 0)


def test_worked_example_of_bodies() -> None:
    example = GOLDEN["body_akd_mkr"]
    predicted, target = body(example["generated"]), body(example["gt"])
    distance = average_keypoint_distance(predicted, target)
    assert distance.value == pytest.approx(example["akd"], rel=1e-12)
    assert listed(distance.values) == pytest.approx([4 / 3, None, None, 3.5])
    assert (distance.frames, distance.failures, distance.without_target) == (2, 1, 1)
    missing = missing_keypoint_rate(predicted, target)
    assert missing.value == pytest.approx(example["mkr"], rel=1e-12)
    assert listed(missing.values) == pytest.approx([0.25, 1, None, 0])
    # In frame 1 a joint was found, though none that the target has.
    assert (missing.frames, missing.failures, missing.without_target) == (3, 0, 1)


def test_the_corrected_distance_is_euclidean() -> None:
    target = torch.tensor([[[10.0, 10.0], [50.0, 50.0]]])
    predicted = target + torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])
    assert average_keypoint_distance(predicted, target, "corrected").value == pytest.approx((5 + 1) / 2)
    assert average_keypoint_distance(predicted, target, "reference").value == pytest.approx((3 + 4 + 0 + 1) / 4)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(4))
def test_frames_count_as_they_do_point_by_point(protocol: Any, seed: int) -> None:
    predicted, target = random_pair(seed)
    distances, shares, outcomes = slow(predicted, target, protocol)
    distance = average_keypoint_distance(predicted, target, protocol)
    missing = missing_keypoint_rate(predicted, target, protocol)
    assert listed(distance.values) == pytest.approx(distances)
    assert listed(missing.values) == pytest.approx(shares)
    assert distance.value == pytest.approx(mean(distances))
    assert missing.value == pytest.approx(mean(shares))
    for name, count in (("measured", distance.frames), ("failed", distance.failures)):
        assert count == outcomes.count(name) > 0
    assert distance.without_target == missing.without_target == outcomes.count("without") > 0
    kept = np.array([value for value in distances if value is not None])
    assert distance.ci95 == pytest.approx(1.96 * kept.std(ddof=1) / math.sqrt(len(kept)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_frame_where_nothing_was_found_is_all_missing_and_a_failure(protocol: Any) -> None:
    target = torch.rand(4, 3, 2)
    predicted = target.clone()
    predicted[1:] = NAN
    target[3] = NAN
    missing = missing_keypoint_rate(predicted, target, protocol)
    assert listed(missing.values) == [0, 1, 1, None]
    assert (missing.frames, missing.failures, missing.without_target) == (3, 2, 1)
    assert missing.failure_rate == pytest.approx(2 / 3)


def test_failures_are_a_share_of_the_frames_whose_target_shows_something() -> None:
    target = torch.rand(5, 3, 2)
    predicted = target.clone()
    predicted[:2] = NAN
    target[4] = NAN
    result = average_keypoint_distance(predicted, target)
    assert (result.frames, result.failures, result.without_target) == (2, 2, 1)
    assert result.failure_rate == pytest.approx(result.failures / (result.frames + result.failures)) == 0.5


def test_what_was_not_found_gets_no_distance() -> None:
    target = torch.full((2, 4, 2), 100.0)
    predicted = target + 1
    everything = average_keypoint_distance(predicted, target).value
    predicted[0, :3] = NAN
    assert average_keypoint_distance(predicted, target).value == everything
    predicted[:] = NAN
    nothing = average_keypoint_distance(predicted, target)
    assert math.isnan(nothing.value)
    assert (nothing.frames, nothing.failures, nothing.failure_rate) == (0, 2, 1.0)


def test_a_point_of_which_a_coordinate_is_missing_is_missing() -> None:
    target = torch.tensor([[[1.0, 1.0], [2.0, 2.0]]])
    predicted = torch.tensor([[[NAN, 1.0], [3.0, 3.0]]])
    assert keypoint_distances(predicted, target).tolist() == [1]
    assert missing_keypoints(predicted, target).tolist() == [0.5]
    assert keypoint_distances(predicted.flip(-1), target).tolist() == [1]


def test_no_frames_have_no_value() -> None:
    result = average_keypoint_distance(torch.zeros(0, 5, 2), torch.zeros(0, 5, 2))
    assert math.isnan(result.value)
    assert math.isnan(result.failure_rate)
    assert (result.frames, result.failures, result.without_target) == (0, 0, 0)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("metric", [average_keypoint_distance, missing_keypoint_rate])
def test_refuses_points_that_do_not_correspond_and_protocols_that_do_not_exist(metric: Any) -> None:
    points = torch.rand(3, 5, 2)
    for other in (points[:2], points[:, :4], points[0], torch.rand(3, 5, 3)):
        with pytest.raises(ValueError, match="must both be frames x points x 2"):
            metric(points, other)
    with pytest.raises(ValueError, match="must both be frames x points x 2"):
        metric(torch.rand(3, 5, 3), torch.rand(3, 5, 3))
    with pytest.raises(ValueError, match="protocol must be 'reference' or 'corrected', got 'exact'"):
        metric(points, points, "exact")

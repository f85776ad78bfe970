"""AED against worked examples of the public evaluation code."""

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

from prioritycut.metrics import average_euclidean_distance
from prioritycut.metrics.identity import identity_distances

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())["aed"]


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Arguments as they reach the function in use, where nobody checks shapes first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def embeddings(rows: list[dict[str, Any]]) -> torch.Tensor:
    rows = sorted(rows, key=lambda row: (row["file_name"], row["frame_number"]))
    return torch.tensor([row["value"][0] for row in rows], dtype=torch.float64)


def test_worked_example_in_both_protocols() -> None:
    predicted, target = embeddings(GOLDEN["generated"]), embeddings(GOLDEN["gt"])
    squares = average_euclidean_distance(predicted, target)
    assert squares.value == pytest.approx(GOLDEN["aed_squared_reference"], rel=1e-12)
    assert squares.values.tolist() == pytest.approx([0.08, 0, 2])
    euclidean = average_euclidean_distance(predicted, target, "corrected")
    assert euclidean.value == pytest.approx(GOLDEN["aed_true_euclidean"], rel=1e-12)
    assert euclidean.values.tolist() == pytest.approx([0.28284271, 0, 1.41421356])
    assert (squares.frames, squares.failures, squares.without_target) == (3, 0, 0)


def test_the_distance_is_numpys_norm() -> None:
    rng = np.random.default_rng(0)
    predicted, target = rng.normal(size=(2, 20, 128))
    norms = np.linalg.norm(predicted - target, axis=1)
    given = torch.from_numpy(predicted), torch.from_numpy(target)
    np.testing.assert_allclose(identity_distances(*given, "corrected"), norms, rtol=1e-12)
    np.testing.assert_allclose(identity_distances(*given, "reference"), norms**2, rtol=1e-12)
    result = average_euclidean_distance(*given, "corrected")
    assert result.ci95 == pytest.approx(1.96 * norms.std(ddof=1) / math.sqrt(20))


@pytest.mark.parametrize("protocol", ["reference", "corrected"])
def test_frames_where_nobody_was_found_are_counted_and_get_no_distance(protocol: Any) -> None:
    target = torch.zeros(5, 4)
    predicted = torch.full((5, 4), 0.5)
    predicted[1:3] = math.nan
    target[2:4] = math.nan
    result = average_euclidean_distance(predicted, target, protocol)
    # Found in both; not in the prediction; in neither; not in the target; found in both.
    assert result.values.isnan().tolist() == [False, True, True, True, False]
    assert (result.frames, result.failures, result.without_target) == (2, 1, 2)
    assert result.failure_rate == pytest.approx(1 / 3)
    assert result.value == 1.0


@pytest.mark.usefixtures("unchecked")
def test_refuses_embeddings_of_different_networks_and_protocols_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match=r"must both be frames x features, got \(2, 128\) and \(2, 512\)"):
        average_euclidean_distance(torch.rand(2, 128), torch.rand(2, 512))
    with pytest.raises(ValueError, match="frames x features"):
        average_euclidean_distance(torch.rand(128), torch.rand(128))
    with pytest.raises(ValueError, match="protocol must be"):
        average_euclidean_distance(torch.rand(2, 4), torch.rand(2, 4), "squared")

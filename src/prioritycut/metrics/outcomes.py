"""What a metric over detections gives: one value a frame, and how often there was none to give.

A distance to what was not found is never invented. So a method that draws nothing recognizable in the hard frames is
measured on the easy ones only: read the failures beside the value, always.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from jaxtyping import Bool, Float
from torch import Tensor

from prioritycut.metrics.intervals import confidence_interval

MetricProtocol: TypeAlias = Literal["reference", "corrected"]
"""`reference` counts exactly as the public evaluation code does; `corrected` gives the metrics what their names say."""

Outcome: TypeAlias = Literal["measured", "failed", "without target"]
"""Of a frame. `failed`: the target shows something that the detector did not find in the prediction. `without target`:
it found nothing in the target, so that there is nothing to compare."""


@dataclass(frozen=True, slots=True, eq=False)
class DetectionMetric:
    """A metric over detections, in one or many clips.

    Attributes:
        value: Mean over the frames that have a value; nan if none has.
        ci95: Half of the normal 95% interval over frames; nan for fewer than two.
        frames: Frames that have a value.
        failures: Frames where the target shows something and the prediction does not.
        without_target: Frames where nothing was found in the target; they are left out.
        values: One a frame, in order; NaN where there is none.
    """

    value: float
    ci95: float
    frames: int
    failures: int
    without_target: int
    values: Float[Tensor, " frames"]

    @property
    def failure_rate(self) -> float:
        """Share of failures among the frames whose target shows something, in [0, 1]; nan if none does.

        It is failures / (frames + failures), except for the missing keypoint rate, whose failures have a value.
        """
        shown = len(self.values) - self.without_target
        return self.failures / shown if shown else math.nan


def classify_frames(found: Bool[Tensor, " frames"], target_found: Bool[Tensor, " frames"]) -> tuple[Outcome, ...]:
    """What became of each frame.

    Args:
        found: Whether what the target shows was found in the prediction.
        target_found: Whether the target shows anything.
    """
    return tuple(
        "without target" if not shown else "measured" if seen else "failed"
        for seen, shown in zip(found.tolist(), target_found.tolist(), strict=True)
    )


def detection_metric(values: Float[Tensor, " frames"], outcomes: Sequence[Outcome]) -> DetectionMetric:
    """Sum up per-frame values (NaN: none) and what became of their frames."""
    interval = confidence_interval(values)
    return DetectionMetric(
        value=interval.mean,
        ci95=interval.ci95,
        frames=interval.observations,
        failures=outcomes.count("failed"),
        without_target=outcomes.count("without target"),
        values=values,
    )


def check_detections(predicted: Tensor, target: Tensor, protocol: MetricProtocol, layout: str) -> None:
    """Refuse detections that cannot be compared.

    Raises:
        ValueError: They differ in shape, are not of the layout, such as "frames x points x 2", or the protocol is
            unknown.
    """
    if protocol not in get_args(MetricProtocol):
        raise ValueError(f"protocol must be 'reference' or 'corrected', got {protocol!r}")
    axes = layout.split(" x ")
    fits = target.ndim == len(axes) and all(
        size == int(axis) for size, axis in zip(target.shape, axes, strict=True) if axis.isdigit()
    )
    if predicted.shape != target.shape or not fits:
        raise ValueError(
            f"predicted and target must both be {layout}, got {tuple(predicted.shape)} and {tuple(target.shape)}; "
            "use one detector for both and match their frames first"
        )

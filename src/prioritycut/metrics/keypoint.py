"""AKD and MKR: are the parts of the object where they should be, and are they there at all?

Keypoints are `frames points 2`, xy in pixels, NaN for points that the detector did not find. A point counts as missing
if either coordinate is NaN. (The public code looks at x alone, but its tables have both coordinates or neither.)
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from prioritycut.metrics.outcomes import (
    DetectionMetric,
    MetricProtocol,
    check_detections,
    classify_frames,
    detection_metric,
)

FrameKeypoints = Float[Tensor, "frames points 2"]
PerFrame = Float[Tensor, " frames"]


def average_keypoint_distance(
    predicted: FrameKeypoints, target: FrameKeypoints, protocol: MetricProtocol = "reference"
) -> DetectionMetric:
    """AKD: how far the keypoints of the prediction are from the target's, mean over frames; 0 is best.

    The result's failures are frames whose target has points of which the prediction has none. No distance can be had
    there, so they lower nothing and raise nothing: judge a method by `.value` and `.failure_rate` together.

    Args:
        predicted, target: xy, NaN for what was not found.
        protocol: See `keypoint_distances`.

    Raises:
        ValueError: The shapes differ or the protocol is unknown.

    Source: FOMM (Siarohin et al., NeurIPS 2019), section 4; counted as in SPEC 8.1.
    """
    values = keypoint_distances(predicted, target, protocol)
    return detection_metric(values, classify_frames(~values.isnan(), _found(target).any(1)))


def missing_keypoint_rate(
    predicted: FrameKeypoints, target: FrameKeypoints, protocol: MetricProtocol = "reference"
) -> DetectionMetric:
    """MKR: which share of the target's keypoints was not found in the prediction, mean over frames, in [0, 1].

    The result's failures are frames where nothing at all was found in the prediction. Unlike those of the distances
    they have a value, 1, in both protocols: the public code gives it too, and only does not say how often.

    Args:
        predicted, target: xy, NaN for what was not found.
        protocol: Both count alike.

    Raises:
        ValueError: The shapes differ or the protocol is unknown.
    """
    values = missing_keypoints(predicted, target, protocol)
    return detection_metric(values, classify_frames(_found(predicted).any(1), _found(target).any(1)))


def keypoint_distances(
    predicted: FrameKeypoints, target: FrameKeypoints, protocol: MetricProtocol = "reference"
) -> PerFrame:
    """Distance of the keypoints that were found in both, frame by frame; NaN for frames without such a point.

    Args:
        predicted, target: xy, NaN for what was not found.
        protocol: `reference` is the mean absolute difference of the coordinates, (|dx| + |dy|) / 2 averaged over the
            points, as the public code has it; `corrected` is the mean Euclidean distance, which is twice that for a
            shift along an axis and sqrt(2) times that for one along a diagonal.

    Raises:
        ValueError: The shapes differ or the protocol is unknown.
    """
    check_detections(predicted, target, protocol, "frames x points x 2")
    predicted, target = predicted.cpu().double(), target.cpu().double()
    difference = predicted - target
    distance = difference.abs().mean(-1) if protocol == "reference" else difference.norm(dim=-1)
    common = _found(predicted) & _found(target)
    return distance.where(common, 0.0).sum(1) / common.sum(1)


def missing_keypoints(
    predicted: FrameKeypoints, target: FrameKeypoints, protocol: MetricProtocol = "reference"
) -> PerFrame:
    """Share of the target's keypoints that the prediction lacks, frame by frame; NaN where the target has none.

    Points that only the prediction has cost nothing. Arguments and errors as for `missing_keypoint_rate`.
    """
    check_detections(predicted, target, protocol, "frames x points x 2")
    found, wanted = _found(predicted.cpu()), _found(target.cpu())
    return (wanted & ~found).sum(1).double() / wanted.sum(1)


def _found(keypoints: FrameKeypoints) -> Bool[Tensor, "frames points"]:
    return ~keypoints.isnan().any(-1)

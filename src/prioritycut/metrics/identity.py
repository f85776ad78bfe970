"""AED: does the prediction show the same person?

Embeddings are `frames features`; a frame whose embedding holds a NaN is one where nobody was found.
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

Embeddings = Float[Tensor, "frames features"]


def average_euclidean_distance(
    predicted: Embeddings, target: Embeddings, protocol: MetricProtocol = "reference"
) -> DetectionMetric:
    """AED: how far the identity of the prediction is from the target's, mean over frames; 0 is best.

    The result's failures are frames whose target shows somebody and whose prediction does not. They have no distance
    and are not in the mean: judge a method by `.value` and `.failure_rate` together.

    Args:
        predicted, target: One embedding a frame, NaN where nobody was found.
        protocol: See `identity_distances`.

    Raises:
        ValueError: The shapes differ or the protocol is unknown.

    Source: FOMM (Siarohin et al., NeurIPS 2019), section 4; counted as in SPEC 8.1.
    """
    values = identity_distances(predicted, target, protocol)
    return detection_metric(values, classify_frames(_found(predicted), _found(target)))


def identity_distances(
    predicted: Embeddings, target: Embeddings, protocol: MetricProtocol = "reference"
) -> Float[Tensor, " frames"]:
    """Distance of the embeddings, frame by frame; NaN where nobody was found in the prediction or the target.

    Args:
        predicted, target: One embedding a frame, NaN where nobody was found.
        protocol: `reference` is the *sum of squared differences*, as the public code has it in spite of the name;
            `corrected` is the Euclidean distance, its root. The mean of the one says nothing about the mean of the
            other.

    Raises:
        ValueError: The shapes differ or the protocol is unknown.
    """
    check_detections(predicted, target, protocol, "frames x features")
    squares = (predicted.cpu().double() - target.cpu().double()).square().sum(1)
    return squares if protocol == "reference" else squares.sqrt()


def _found(embeddings: Embeddings) -> Bool[Tensor, " frames"]:
    return ~embeddings.isnan().any(1)

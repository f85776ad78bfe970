"""Frames of one clip in, its metrics out. It knows neither models nor files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from prioritycut.evaluation.protocol import Protocol
from prioritycut.metrics import (
    average_euclidean_distance,
    average_keypoint_distance,
    l1,
    masked_psnr,
    masked_ssim,
    missing_keypoint_rate,
    psnr,
    ssim,
)
from prioritycut.metrics.detectors.base import IdentityNetwork, KeypointDetector
from prioritycut.metrics.outcomes import DetectionMetric, MetricProtocol
from prioritycut.outputs import Clip, Frames
from prioritycut.results import ClipResult, Tally, tally

Mask: TypeAlias = Float[Tensor, "batch 1 height width"]


class ClipMeter:
    """Takes a clip's frames in batches, in order, and keeps numbers, never frames."""

    def __init__(
        self, protocol: Protocol, keypoints: KeypointDetector | None = None, identity: IdentityNetwork | None = None
    ) -> None:
        self.protocol, self.keypoints, self.identity = protocol, keypoints, identity
        self.frames = 0
        self.size: tuple[int, int] | None = None
        self._values = dict[str, list[float]]()
        self._points = list[tuple[Tensor, Tensor]]()
        self._embeddings = list[tuple[Tensor, Tensor]]()

    def add(
        self,
        prediction: Frames,
        target: Frames,
        masks: Mapping[str, Mask],
        extra: Mapping[str, list[float]],
        *,
        written: bool = False,
    ) -> None:
        """Measure a batch.

        Args:
            prediction, target: On one device, in [0, 1].
            masks: By name: `salient`, `top_10`, ...; 1 where the masked metrics look, which `non` and the name turns
                round.
            extra: More metrics by key, one value a frame; nan where there is none.
            written: Whether the prediction was read from a file, where it was cut off to 8 bit levels; it is not cut
                off once more.
        """
        self.frames += len(target)
        self.size = (target.shape[2], target.shape[3])
        self._keep({"L1": l1(prediction, target).tolist()})
        if self.protocol.levels == "png":
            prediction, target = quantize(prediction, down=not written), quantize(target, down=False)
        self._keep(self._picture_metrics(prediction, target, masks))
        self._keep(extra)
        if self.keypoints is not None:
            self._points.append((self.keypoints(prediction).cpu(), self.keypoints(target).cpu()))
        if self.identity is not None:
            self._embeddings.append((self.identity(prediction).cpu(), self.identity(target).cpu()))

    def _keep(self, found: Mapping[str, list[float]]) -> None:
        for key, values in found.items():
            self._values.setdefault(key, []).extend(values)

    def _picture_metrics(self, prediction: Frames, target: Frames, masks: Mapping[str, Mask]) -> dict[str, list[float]]:
        window = self.protocol.ssim
        found = {
            "PSNR_all": psnr(prediction, target).tolist(),
            "SSIM_all": ssim(prediction, target, window=window).tolist(),
        }
        for name, given in masks.items():
            mask = given.to(target)
            found[f"area_{name}"] = mask.mean((1, 2, 3)).tolist()
            for label, area in ((name, mask), (f"non{name}", 1 - mask)):
                found[f"PSNR_{label}"] = masked_psnr(prediction, target, area).tolist()
                found[f"SSIM_{label}"] = masked_ssim(prediction, target, area, window=window).tolist()
        return found

    def forget_masked(self, name: str) -> None:
        """Drop what was measured with a mask that turned out not to fit."""
        self._values = {key: values for key, values in self._values.items() if not key.endswith(name)}

    def result(self, name: str) -> ClipResult:
        """All of the clip's metrics so far."""
        metrics = {
            key: tally(values, skipped=sum(value != value for value in values))  # nan differs from itself
            for key, values in self._values.items()
        }
        if self._points:
            metrics |= keypoint_tallies(*_joined(self._points))
        if self._embeddings:
            metrics |= identity_tallies(*_joined(self._embeddings))
        return ClipResult(name=name, frames=self.frames, metrics=metrics, size=self.size)


def _joined(pairs: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    return torch.cat([predicted for predicted, _ in pairs]), torch.cat([target for _, target in pairs])


PROTOCOLS: tuple[tuple[MetricProtocol, str], ...] = (("reference", ""), ("corrected", "_corrected"))
"""Both ways to count, and what the keys of the second end with."""


def keypoint_tallies(
    predicted: Float[Tensor, "frames points 2"], target: Float[Tensor, "frames points 2"]
) -> dict[str, Tally]:
    """AKD and MKR of one clip in both protocols."""
    metrics = (("AKD", average_keypoint_distance), ("MKR", missing_keypoint_rate))
    return {
        key + suffix: _tally_found(metric(predicted, target, protocol))
        for protocol, suffix in PROTOCOLS
        for key, metric in metrics
    }


def identity_tallies(
    predicted: Float[Tensor, "frames features"], target: Float[Tensor, "frames features"]
) -> dict[str, Tally]:
    """AED of one clip in both protocols."""
    return {
        "AED" + suffix: _tally_found(average_euclidean_distance(predicted, target, protocol))
        for protocol, suffix in PROTOCOLS
    }


def _tally_found(found: DetectionMetric) -> Tally:
    return tally(found.values.tolist(), failures=found.failures, skipped=found.without_target)


def quantize(frames: Clip, *, down: bool) -> Clip:
    """Frames as 8 bit files would give them back.

    Args:
        frames: RGB, clamped to [0, 1].
        down: To the level below, as the public evaluation code writes predictions; else to the nearest, which leaves
            alone what came from an 8 bit file.
    """
    levels = frames.clamp(0, 1) * 255
    return (levels.floor() if down else levels.round()) / 255

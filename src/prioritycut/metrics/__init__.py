"""The paper's metrics as functions on tensors, for our models and anyone's. This room knows no model and no file format
of clips; it needs PyTorch and NumPy, and detectors bring what they need when they are first used.

- `pixel`: how alike two frames are, whole or under a mask. One value an image.
- `keypoint`, `identity`: how far what a detector finds in the prediction is from what it finds in the target, in two
  named protocols, with the frames in which it finds nothing counted (`outcomes`).
- `intervals`: how far a mean, or the difference of two methods, may be from the truth.
- `records`: detections that were computed elsewhere.
- `detectors`: the detectors as plug-ins.
"""

from __future__ import annotations

from prioritycut.metrics.identity import average_euclidean_distance
from prioritycut.metrics.intervals import cluster_bootstrap, confidence_interval, paired_difference
from prioritycut.metrics.keypoint import average_keypoint_distance, missing_keypoint_rate
from prioritycut.metrics.outcomes import DetectionMetric
from prioritycut.metrics.pixel import l1, masked_l1, masked_psnr, masked_ssim, psnr, ssim
from prioritycut.metrics.records import Record, match_records, read_records

__all__ = [
    "DetectionMetric",
    "Record",
    "average_euclidean_distance",
    "average_keypoint_distance",
    "cluster_bootstrap",
    "confidence_interval",
    "l1",
    "masked_l1",
    "masked_psnr",
    "masked_ssim",
    "match_records",
    "missing_keypoint_rate",
    "paired_difference",
    "psnr",
    "read_records",
    "ssim",
]

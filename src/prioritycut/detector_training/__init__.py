"""The puppets' own detectors: trained on ground truth, measured on a cast that nobody trained on.

Three casts that share nobody: animators learn from cast 0, detectors from cast 2, and both are judged on cast 1.
"""

from prioritycut.detector_training.card import DetectorFigures, measure_detectors
from prioritycut.detector_training.config import CastConfig, DetectorTraining, IdentityTraining, KeypointTraining
from prioritycut.detector_training.measuring import (
    HeldOut,
    IdentityFigures,
    KeypointFigures,
    measure_identity,
    measure_keypoints,
)
from prioritycut.detector_training.training import Which, train_detectors

__all__ = [
    "CastConfig",
    "DetectorFigures",
    "DetectorTraining",
    "HeldOut",
    "IdentityFigures",
    "IdentityTraining",
    "KeypointFigures",
    "KeypointTraining",
    "Which",
    "measure_detectors",
    "measure_identity",
    "measure_keypoints",
    "train_detectors",
]

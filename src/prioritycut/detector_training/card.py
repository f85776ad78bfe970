"""The figures of the detectors' model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prioritycut.detector_training.measuring import (
    HeldOut,
    IdentityFigures,
    KeypointFigures,
    measure_identity,
    measure_keypoints,
)
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.detectors.puppets import (
    IDENTITY_WEIGHTS,
    KEYPOINTS_WEIGHTS,
    PuppetIdentityNetwork,
    PuppetKeypointDetector,
)

CLIPS, CHARACTERS = 64, 200
"""Held-out clips that the keypoints' card is measured on, and characters that the identities' is."""


@dataclass(frozen=True, kw_only=True)
class DetectorFigures:
    """What the model card says.

    Attributes:
        keypoint_detector, identity_network: Which weights were measured.
        keypoints, identity: The figures on frames as they are, blurred, of twice the size, and with every puppet put
            before the background of another.
    """

    keypoint_detector: Tool
    identity_network: Tool
    keypoints: dict[str, KeypointFigures]
    identity: dict[str, IdentityFigures]


def conditions(clips: int) -> dict[str, HeldOut]:
    """The kinds of held-out frames that a card tells of."""
    return {
        "as_drawn": HeldOut(clips=clips),
        "blurred": HeldOut(clips=clips, blur=1.0),
        "twice_as_large": HeldOut(clips=clips, size=128),
        "other_backgrounds": HeldOut(clips=clips, other_backgrounds=True),
    }


def measure_detectors(
    folder: Path = KEYPOINTS_WEIGHTS.parent,
    *,
    clips: int = CLIPS,
    characters: int = CHARACTERS,
    advance: Callable[[int], None] = lambda done: None,
) -> DetectorFigures:
    """Measure both detectors on held-out puppets; `config_to_json` of the result is the card's file.

    Args:
        folder: Where `train_detectors` wrote both; by default the shipped ones.
        clips: Held-out clips, of 32 frames each, for keypoints.
        characters: Held-out characters for identity.
        advance: Told the conditions done so far, of eight.

    Raises:
        UserError: A file is missing or broken.
    """
    detector = PuppetKeypointDetector(folder / KEYPOINTS_WEIGHTS.name)
    network = PuppetIdentityNetwork(folder / IDENTITY_WEIGHTS.name)
    keypoints, identity = dict[str, KeypointFigures](), dict[str, IdentityFigures]()
    for name, held_out in conditions(clips).items():
        keypoints[name] = measure_keypoints(detector, held_out)
        advance(len(keypoints))
    for name, held_out in conditions(characters).items():
        identity[name] = measure_identity(network, held_out)
        advance(len(keypoints) + len(identity))
    return DetectorFigures(
        keypoint_detector=detector.tool, identity_network=network.tool, keypoints=keypoints, identity=identity
    )

"""The tools by name: which there are for each role, and how a choice on the command line becomes one.

Each is imported where it is built, so that nobody needs the packages of those that were not chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

import torch

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import IdentityNetwork, KeypointDetector, Segmenter
from prioritycut.metrics.salient import ClosedFormMatting, Matting

T = TypeVar("T")
Files: TypeAlias = tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A tool that was chosen.

    Attributes:
        name: As in the tables here.
        weights: The files that the user brings, for tools whose weights do not come with a package.
    """

    name: str
    weights: Files = ()


def parse_choice(text: str) -> Choice:
    """Read `NAME`, `NAME=WEIGHTS` or `NAME=WEIGHTS,WEIGHTS`. Whether there is such a tool, its builder says.

    Raises:
        UserError: A name or a path is empty.
    """
    name, separator, listed = text.strip().partition("=")
    paths = [path.strip() for path in listed.split(",")] if separator else []
    if not name.strip() or not all(paths):
        raise UserError(f"{text!r}: not a choice of a tool; write NAME, NAME=WEIGHTS or NAME=WEIGHTS,WEIGHTS")
    return Choice(name.strip(), tuple(Path(path).expanduser() for path in paths))


@dataclass(frozen=True, slots=True)
class _Entry(Generic[T]):
    """How a tool is made.

    Attributes:
        build: From the user's files and the device. A tool that needs a file says itself which one and where to get it.
        most_files: How many files it can use; 0 for one whose weights come with a package.
    """

    build: Callable[[Files, torch.device], T]
    most_files: int = 0


def build_keypoint_detector(choice: Choice, device: torch.device) -> KeypointDetector:
    """Make a keypoint detector, for AKD and MKR.

    Raises:
        UserError: There is none of that name, its package is absent, or its weights are missing or unfit.
    """
    return _build(KEYPOINT_DETECTORS, choice, device, "keypoint detector")


def build_identity_network(choice: Choice, device: torch.device) -> IdentityNetwork:
    """Make an identity network, for AED. Raises UserError as `build_keypoint_detector`."""
    return _build(IDENTITY_NETWORKS, choice, device, "identity network")


def build_segmenter(choice: Choice, device: torch.device) -> Segmenter:
    """Make a segmenter, for salient masks. Raises UserError as `build_keypoint_detector`."""
    return _build(SEGMENTERS, choice, device, "segmenter")


def build_matting(choice: Choice, device: torch.device) -> Matting | None:
    """Make a matting, for salient masks; `None` for "none". Raises UserError as `build_keypoint_detector`."""
    return _build(MATTINGS, choice, device, "matting")


def _build(table: Mapping[str, _Entry[T]], choice: Choice, device: torch.device, role: str) -> T:
    entry = table.get(choice.name)
    if entry is None:
        raise UserError(f"{choice.name}: no such {role}; choose one of {', '.join(table)}")
    given = len(choice.weights)
    if given > entry.most_files:
        files = "file" if given == 1 else "files"
        allowed = f"at most {entry.most_files}" if entry.most_files else "none"
        raise UserError(f"{choice.name}: {given} weights {files} given, but it takes {allowed}")
    return entry.build(choice.weights, device)


def _mediapipe_face(weights: Files, device: torch.device) -> KeypointDetector:
    from prioritycut.metrics.detectors.mediapipe import MediapipeFace

    return MediapipeFace()


def _mediapipe_pose(weights: Files, device: torch.device) -> KeypointDetector:
    from prioritycut.metrics.detectors.mediapipe import MediapipePose

    return MediapipePose()


def _mediapipe_selfie(weights: Files, device: torch.device) -> Segmenter:
    from prioritycut.metrics.detectors.mediapipe import MediapipeSelfie

    return MediapipeSelfie()


def _dlib_face(weights: Files, device: torch.device) -> KeypointDetector:
    from prioritycut.metrics.detectors.dlib import DlibFace

    return DlibFace()


def _dlib_identity(weights: Files, device: torch.device) -> IdentityNetwork:
    from prioritycut.metrics.detectors.dlib import DlibIdentity

    return DlibIdentity()


def _puppet_keypoints(weights: Files, device: torch.device) -> KeypointDetector:
    from prioritycut.metrics.detectors.puppets import PuppetKeypointDetector

    return PuppetKeypointDetector(*weights, device=device)


def _puppet_identity(weights: Files, device: torch.device) -> IdentityNetwork:
    from prioritycut.metrics.detectors.puppets import PuppetIdentityNetwork

    return PuppetIdentityNetwork(*weights, device=device)


def _fan(weights: Files, device: torch.device) -> KeypointDetector:
    from prioritycut.metrics.detectors.fan import FanDetector

    return FanDetector.load(weights, device)


def _part_affinity(weights: Files, device: torch.device) -> KeypointDetector:
    from prioritycut.metrics.detectors.part_affinity import PartAffinityDetector

    return PartAffinityDetector.load(weights, device)


def _openface(weights: Files, device: torch.device) -> IdentityNetwork:
    from prioritycut.metrics.detectors.openface import OpenFaceNetwork

    return OpenFaceNetwork.load(weights, device)


def _market1501(weights: Files, device: torch.device) -> IdentityNetwork:
    from prioritycut.metrics.detectors.market1501 import Market1501Network

    return Market1501Network.load(weights, device)


def _deeplab(weights: Files, device: torch.device) -> Segmenter:
    from prioritycut.metrics.detectors.deeplab import DeepLabSegmenter

    return DeepLabSegmenter.load(weights, device)


def _closed_form(weights: Files, device: torch.device) -> Matting | None:
    return ClosedFormMatting()


def _fba(weights: Files, device: torch.device) -> Matting | None:
    from prioritycut.metrics.detectors.fba import FbaMatting

    return FbaMatting.load(weights, device)


def _no_matting(weights: Files, device: torch.device) -> Matting | None:
    return None


KEYPOINT_DETECTORS: Mapping[str, _Entry[KeypointDetector]] = {
    "mediapipe-face": _Entry(_mediapipe_face),
    "mediapipe-pose": _Entry(_mediapipe_pose),
    "dlib-68": _Entry(_dlib_face),
    "puppets": _Entry(_puppet_keypoints, most_files=1),
    "fan": _Entry(_fan, most_files=2),
    "part-affinity": _Entry(_part_affinity, most_files=1),
}
IDENTITY_NETWORKS: Mapping[str, _Entry[IdentityNetwork]] = {
    "dlib-identity": _Entry(_dlib_identity),
    "puppets": _Entry(_puppet_identity, most_files=1),
    "openface": _Entry(_openface, most_files=1),
    "market-1501": _Entry(_market1501, most_files=1),
}
SEGMENTERS: Mapping[str, _Entry[Segmenter]] = {
    "mediapipe-selfie": _Entry(_mediapipe_selfie),
    "deeplabv3plus": _Entry(_deeplab, most_files=1),
}
MATTINGS: Mapping[str, _Entry[Matting | None]] = {
    "closed-form": _Entry(_closed_form),
    "fba": _Entry(_fba, most_files=1),
    "none": _Entry(_no_matting),
}

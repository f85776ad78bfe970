"""How well the puppets' detectors do on puppets that nobody trained on, where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from prioritycut.data.puppets import PuppetClip, generate_puppet
from prioritycut.detector_training.cast import background_of, place_before, to_pixels, within
from prioritycut.detector_training.degradation import blur
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.metrics.detectors.base import IdentityNetwork
from prioritycut.metrics.detectors.puppets import PuppetKeypointDetector
from prioritycut.metrics.intervals import Interval, bootstrap_over_clips, cluster_bootstrap
from prioritycut.outputs import Clip

WITHIN = 1.5
"""Pixels of a 64-pixel frame that count as near."""
_REFERENCE_SIZE = 64
_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Which puppets a detector is measured on, and how their frames are altered first."""

    clips: int = 64
    """Clips for keypoints; characters for identity."""
    size: int = 64
    """Height and width of the frames."""
    blur: float = 0.0
    """Standard deviation of a Gaussian that the frames are blurred by, in pixels; 0 leaves them as they are."""
    other_backgrounds: bool = False
    """Whether each frame's puppet is put before the background of another puppet."""
    seed: int = HELD_OUT_SEED
    """The cast: neither animators nor detectors train on this one."""

    def __post_init__(self) -> None:
        if self.clips < 2 or self.blur < 0:
            raise ValueError(f"clips must be at least 2 and blur at least 0, got {self.clips} and {self.blur}")


@dataclass(frozen=True, kw_only=True)
class KeypointFigures:
    """How near the keypoint detector comes. Intervals are 95%, by bootstrap over clips.

    Attributes:
        frames: Frames in all.
        error: Mean Euclidean distance over all visible landmarks, judged visible or not, in pixels of a frame of
            64; 0 is exact.
        near: Share of the visible landmarks within 1.5 such pixels; 1 is all.
        worst_landmark: Name of the one with the largest mean error.
        worst_error: Its error.
        precision: Share of the landmarks judged visible that are.
        recall: Share of the visible landmarks judged so.
        hidden_left_out: Share of the hidden landmarks that are judged hidden.
    """

    held_out: HeldOut
    frames: int
    error: Interval
    near: Interval
    worst_landmark: str
    worst_error: float
    precision: Interval
    recall: Interval
    hidden_left_out: Interval


@dataclass(frozen=True, kw_only=True)
class IdentityFigures:
    """How well embeddings tell puppets apart.

    A pair of frames is taken for the same puppet if their embeddings are nearer than a threshold.

    Attributes:
        frames_each: Frames of each character, at different times of two takes.
        genuine_pairs: Pairs of different frames of the same character.
        impostor_pairs: Pairs of frames of different ones.
        equal_error_rate: Share of the genuine pairs refused and of the impostor pairs accepted at the threshold where
            the two are equal; 0 is perfect, 0.5 is chance. The 95% interval is the bootstrap over characters, the
            threshold held.
        threshold: That distance.
    """

    held_out: HeldOut
    frames_each: int
    genuine_pairs: int
    impostor_pairs: int
    equal_error_rate: Interval
    threshold: float


def measure_keypoints(detector: PuppetKeypointDetector, held_out: HeldOut, *, frames: int = 32) -> KeypointFigures:
    """Compare a detector with the truth on the first `frames` frames of held-out clips.

    Args:
        detector: Of puppets' landmarks.
        held_out: On whom.
        frames: Length of each clip.
    """
    distances, visible, judged = list[Tensor](), list[Tensor](), list[Tensor]()
    for index in range(held_out.clips):
        clip = generate_puppet(held_out.seed, index, frames=frames, size=held_out.size)
        position, probability = detector.locate(_altered(clip, index, held_out))
        missed = (position - to_pixels(clip.position, held_out.size)).norm(dim=-1)
        distances.append(missed * _REFERENCE_SIZE / held_out.size)
        visible.append(clip.visible)
        judged.append(probability >= 0.5)
    distance, seen, said = torch.stack(distances), torch.stack(visible), torch.stack(judged)
    by_landmark = (distance * seen).sum((0, 1)) / seen.sum((0, 1)).clamp(min=1)
    return KeypointFigures(
        held_out=held_out,
        frames=held_out.clips * frames,
        error=_mean_where(distance, seen),
        near=_mean_where((distance <= WITHIN).float(), seen),
        worst_landmark=detector.landmarks[int(by_landmark.argmax())],
        worst_error=by_landmark.max().item(),
        precision=_mean_where(seen.float(), said),
        recall=_mean_where(said.float(), seen),
        hidden_left_out=_mean_where((~said).float(), ~seen),
    )


TIMES = (0, 10, 20, 30)
"""Frames of a take that identity is measured on: far enough apart to differ in pose."""
TAKES = 2


def measure_identity(network: IdentityNetwork, held_out: HeldOut) -> IdentityFigures:
    """Compare all pairs of frames of held-out characters, each at four times of two takes.

    Args:
        network: Gives embeddings; it may be any.
        held_out: On whom.
    """
    embeddings = list[Tensor]()
    for index in range(held_out.clips):
        takes = [
            generate_puppet(held_out.seed, index, frames=1, size=held_out.size, first_frame=time, take=take)
            for take in range(TAKES)
            for time in TIMES
        ]
        embeddings.append(network(torch.cat([_altered(take, index, held_out, salt=n) for n, take in enumerate(takes)])))
    distance = _distances(torch.stack(embeddings))
    characters, each = held_out.clips, len(embeddings[0])
    first, second = np.triu_indices(each, 1)
    own = distance.reshape(characters, each, characters, each).transpose(0, 2, 1, 3)
    genuine = np.stack([own[person, person][first, second] for person in range(characters)])
    impostor = np.stack([np.delete(own[person], person, axis=0).ravel() for person in range(characters)])
    threshold = equal_error_threshold(genuine.ravel(), impostor.ravel())
    # Each character has as many pairs of either kind, so the mean of their rates is the rate over all pairs.
    rates = ((genuine > threshold).mean(1) + (impostor <= threshold).mean(1)) / 2
    return IdentityFigures(
        held_out=held_out,
        frames_each=each,
        genuine_pairs=genuine.size,
        impostor_pairs=impostor.size // 2,  # each was seen from both sides
        equal_error_rate=cluster_bootstrap(rates, range(characters)),
        threshold=threshold,
    )


def equal_error_threshold(genuine: NDArray[np.floating], impostor: NDArray[np.floating]) -> float:
    """The distance at which as large a share of genuine pairs is refused as of impostor pairs is accepted.

    A pair is accepted if its distance is at most the threshold. With few pairs the two shares may not meet: then it is
    the distance where they differ least.

    Args:
        genuine: Distances between two frames of the same puppet.
        impostor: Distances between two frames of different ones.
    """
    candidates = np.unique(np.concatenate([genuine, impostor]))
    refused = 1 - np.searchsorted(np.sort(genuine), candidates, side="right") / len(genuine)
    accepted = np.searchsorted(np.sort(impostor), candidates, side="right") / len(impostor)
    return float(candidates[np.abs(refused - accepted).argmin()])


def _altered(clip: PuppetClip, index: int, held_out: HeldOut, *, salt: int = 0) -> Clip:
    """A clip's frames as `held_out` wants them; `salt` varies whose background it gets."""
    frames = clip.frames
    if held_out.other_backgrounds:
        # Of the same cast but beyond the measured characters, so that no two of these share one.
        other = held_out.clips * (1 + salt) + index
        behind = background_of(held_out.seed, other, held_out.size)
        frames = place_before(frames, within(clip.foreground), behind.expand_as(frames))
    if held_out.blur:
        frames = blur(frames, torch.full((len(frames),), held_out.blur))
    return frames


def _distances(embeddings: Float[Tensor, "characters each features"]) -> NDArray[np.floating]:
    """Euclidean, between all frames of all characters."""
    flat = embeddings.flatten(0, 1).double()
    return torch.cdist(flat, flat).numpy()


def _mean_where(values: Float[Tensor, "clips time points"], counted: Bool[Tensor, "clips time points"]) -> Interval:
    totals = (values.double() * counted).sum((1, 2))
    return bootstrap_over_clips(totals.numpy(), counted.sum((1, 2)).double().numpy())

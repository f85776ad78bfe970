"""What an animator and a discriminator are. Someone else's joins by having these methods; it inherits nothing."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from prioritycut.outputs import AnimationOutput, DiscriminatorOutput, Frames, Keypoints


@runtime_checkable
class Animator(Protocol):
    """Moves the object of a source frame as a driving frame shows it."""

    def __call__(self, source: Frames, driving: Frames) -> AnimationOutput:
        """Frames of equal batch and size, RGB in [0, 1]."""
        ...


@runtime_checkable
class KeypointAnimator(Animator, Protocol):
    """An animator whose motion is told by keypoints, so that motion can be transferred relatively."""

    def detect(self, frames: Frames) -> Keypoints:
        """Find the keypoints of each frame."""
        ...

    def render(self, source: Frames, start: Keypoints, end: Keypoints) -> AnimationOutput:
        """Move `source` from its own keypoints `start` to the driving keypoints `end`."""
        ...


@runtime_checkable
class PairDetector(KeypointAnimator, Protocol):
    """A keypoint animator that was trained with both frames of a pair in one call: they share batch statistics."""

    def detect_pair(self, source: Frames, driving: Frames) -> tuple[Keypoints, Keypoints]:
        """Find the keypoints of source and driving frames."""
        ...


@runtime_checkable
class EncodingAnimator(KeypointAnimator, Protocol):
    """A keypoint animator that can do the source's share of the work once for many driving frames."""

    def encode(self, source: Frames, start: Keypoints) -> Any:
        """Everything that depends on the source alone; opaque to the caller."""
        ...

    def render_encoded(self, encoded: Any, end: Keypoints) -> AnimationOutput:
        """Render as `render` would. One encoded source serves any number of driving keypoints."""
        ...


@runtime_checkable
class Discriminator(Protocol):
    """Judges frames."""

    def __call__(self, frames: Frames, keypoints: Keypoints | None = None) -> tuple[DiscriminatorOutput, ...]:
        """One output a scale. `keypoints` are the driving ones, for those that are conditioned on them."""
        ...

"""What an animator is. A model of someone else joins by having these methods; it inherits nothing."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from prioritycut.outputs import AnimationOutput, Frames, Keypoints


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
class EncodingAnimator(KeypointAnimator, Protocol):
    """A keypoint animator that can do the source's share of the work once for many driving frames."""

    def encode(self, source: Frames, start: Keypoints) -> Any:
        """Everything that depends on the source alone; opaque to the caller."""
        ...

    def render_encoded(self, encoded: Any, end: Keypoints) -> AnimationOutput:
        """Render as `render` would. One encoded source serves any number of driving keypoints."""
        ...

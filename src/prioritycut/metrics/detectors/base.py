"""What a detector is: a small protocol for each of three roles. One of someone else joins by having the method.

A detector looks at frames as the evaluator has them, RGB in [0, 1] at any size, one of them or a batch, and says NaN
where it found nothing. It never raises because of what a picture shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from prioritycut.outputs import Frames

Role: TypeAlias = Literal["keypoints", "identity", "salient", "top-p"]
"""What a tool is for: AKD and MKR, AED, salient masks, masks of the most occluded pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Which program or network a number stands on. Numbers of different tools are never put into one column."""

    role: Role
    name: str
    """As a person names it on the command line: "mediapipe-face", "dlib", "puppets", "fan"."""
    version: str
    """Of the package or of the weights (the first 12 digits of their SHA-256): another version is another tool."""
    note: str = ""
    """What a reader must know, such as where it differs from the paper's tool, or a licence."""

    @property
    def label(self) -> str:
        """Name and version in one."""
        return f"{self.name} {self.version}".strip()


@runtime_checkable
class KeypointDetector(Protocol):
    """Finds the parts of the one object that matters in each frame."""

    @property
    def tool(self) -> Tool: ...

    def __call__(self, frames: Frames) -> Float[Tensor, "batch points 2"]:
        """xy in pixels of the frame, from the centre of its first pixel; NaN for points that were not found."""
        ...


@runtime_checkable
class IdentityNetwork(Protocol):
    """Says who is in each frame, as a vector."""

    @property
    def tool(self) -> Tool: ...

    def __call__(self, frames: Frames) -> Float[Tensor, "batch features"]:
        """One embedding an image; all NaN where nobody was found."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Says where the salient object is."""

    @property
    def tool(self) -> Tool: ...

    def __call__(self, frames: Frames) -> Float[Tensor, "batch 1 height width"]:
        """Probability in [0, 1] that a pixel belongs to the object; 0 background."""
        ...

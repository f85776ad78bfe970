"""The nouns that every room speaks: what models give and regularizers, losses and reports take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float, Int
from torch import Tensor

Frames: TypeAlias = Float[Tensor, "batch 3 height width"]
"""RGB frames in [0, 1]."""

Clip: TypeAlias = Float[Tensor, "time 3 height width"]
"""The frames of one video in order, RGB in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Keypoints:
    """Where a model sees the parts of an object, and how the object is deformed around each.

    Attributes:
        position: xy in [-1, 1]; -1 is the centre of the first column (row), +1 of the last.
        jacobian: Derivative of the motion from an abstract reference frame to this frame at each keypoint;
            `None` for models that give none.
        covariance: Spread of each keypoint's heatmap around its position, in squared [-1, 1] units, symmetric;
            `None` for models that give none.

    Source: FOMM (Siarohin et al., NeurIPS 2019), section 3.1; for the covariance Monkey-Net (Siarohin et al., CVPR
    2019), section 3.1.
    """

    position: Float[Tensor, "batch points 2"]
    jacobian: Float[Tensor, "batch points 2 2"] | None = None
    covariance: Float[Tensor, "batch points 2 2"] | None = None

    def __getitem__(self, index: slice | Int[Tensor, " some"]) -> Keypoints:
        """Keypoints of some of the batch."""
        jacobian = None if self.jacobian is None else self.jacobian[index]
        covariance = None if self.covariance is None else self.covariance[index]
        return Keypoints(self.position[index], jacobian, covariance)

    def expand(self, batch: int) -> Keypoints:
        """Keypoints of batch 1 repeated (no copy); others as they are."""
        if self.position.shape[0] == batch:
            return self
        jacobian = None if self.jacobian is None else self.jacobian.expand(batch, -1, -1, -1)
        covariance = None if self.covariance is None else self.covariance.expand(batch, -1, -1, -1)
        return Keypoints(self.position.expand(batch, -1, -1), jacobian, covariance)

    def detach(self) -> Keypoints:
        """The same numbers, through which no gradient flows."""
        jacobian = None if self.jacobian is None else self.jacobian.detach()
        covariance = None if self.covariance is None else self.covariance.detach()
        return Keypoints(self.position.detach(), jacobian, covariance)


@dataclass(frozen=True, slots=True)
class MotionOutput:
    """How the source must move to look like the driving frame, at the model's own resolution.

    Attributes:
        deformation: For each pixel of the driving frame the xy in [-1, 1] where the source shows it.
        occlusion_map: 0 where the source does not show the pixel and it must be painted, 1 where it does.
            `None` says that the model does not estimate the map.
        background_mask: Probability in [0, 1] that the pixel belongs to the background; `None` as above.
        weights: Share of each motion that a model blends at the pixel; they sum to 1, and the first is the
            background's, which is the background mask. `None` as above.
    """

    deformation: Float[Tensor, "batch rows cols 2"]
    occlusion_map: Float[Tensor, "batch 1 rows cols"] | None = None
    background_mask: Float[Tensor, "batch 1 rows cols"] | None = None
    weights: Float[Tensor, "batch motions rows cols"] | None = None


@dataclass(frozen=True, slots=True)
class AnimationOutput:
    """A generated frame and the motion that it was made with.

    Attributes:
        prediction: The generated frames, in [0, 1].
        motion: The motion that warped the source.
    """

    prediction: Float[Tensor, "batch 3 height width"]
    motion: MotionOutput


@dataclass(frozen=True, slots=True)
class DiscriminatorOutput:
    """What a discriminator says of frames.

    Attributes:
        score: Realness by patch, before any sigmoid; with least squares 0 means fake and 1 real.
        features: The output of every encoder block, shallow to deep, for feature matching.
        pixel_score: Realness by pixel in [0, 1] (0 fake, 1 real) at the size of the frame, or any number from a decoder
            that was told to leave out its sigmoid; `None` for a discriminator without a decoder.
        pixel_logit: The same before its sigmoid, which logistic and hinge losses take.
    """

    score: Float[Tensor, "batch 1 patch_rows patch_cols"]
    features: tuple[Float[Tensor, "batch _channels _rows _cols"], ...]
    pixel_score: Float[Tensor, "batch 1 height width"] | None = None
    pixel_logit: Float[Tensor, "batch 1 height width"] | None = None

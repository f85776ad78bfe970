"""The kinds of regularizer: each a small config. `draw_mask` tells what each one cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from prioritycut.geometry import resize_map
from prioritycut.outputs import Frames, MotionOutput
from prioritycut.regularizers.masks import (
    Denominator,
    Map,
    Mask,
    Selection,
    box_mask,
    dominant_background,
    priority_cut_mask,
    random_mask,
)


def maps_at_frame_size(motion: MotionOutput, height: int, width: int, *, user: str) -> tuple[Map, Map]:
    """The occlusion map and the background mask, detached and at the frame's size (ambiguity A3).

    Raises:
        ValueError: The motion lacks one of them; the message names the map and what works without it.
    """
    missing = [
        name
        for name, value in (
            ("occlusion map", motion.occlusion_map),
            ("background mask", motion.background_mask),
        )
        if value is None
    ]
    if missing or motion.occlusion_map is None or motion.background_mask is None:
        raise ValueError(
            f"{user} needs an {' and a '.join(missing)}, which this model does not estimate; "
            "CutMix, Cutout and Mixup work with any model"
        )
    occlusion, background = motion.occlusion_map.detach(), motion.background_mask.detach()
    return resize_map(occlusion, height, width), resize_map(background, height, width)


@dataclass(frozen=True, kw_only=True)
class _ForegroundCut:
    """What PriorityCut and its control have in common: how many pixels of the foreground are cut."""

    fraction: tuple[float, float] = (0.0, 1.0)
    """The share of the foreground is drawn uniformly from this range; equal ends fix it (A4)."""
    fraction_per: Literal["sample", "batch"] = "sample"
    """Whether each image draws its own share, or all of a batch have one (A4)."""
    threshold: float | Literal["argmax"] = 0.9
    """A pixel whose background probability lies above is never cut; `argmax` never cuts one where the background's
    weight is the largest of all motions' (A1)."""
    denominator: Denominator = "foreground"
    """What the share is a share of (A2)."""
    selection: Selection = "exact"
    """Exactly that share, or every pixel up to that quantile: more, where many are equally occluded (A2)."""

    def __post_init__(self) -> None:
        low, high = self.fraction
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError(f"fraction must be a range within [0, 1], got {self.fraction}")
        if self.threshold != "argmax" and not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"threshold must lie in [0, 1] or be argmax, got {self.threshold}")


@dataclass(frozen=True, kw_only=True)
class PriorityCut(_ForegroundCut):
    """Cut the most occluded foreground pixels."""

    kind: Literal["priority-cut"] = "priority-cut"
    mask_resolution: Literal["image", "occlusion"] = "image"
    """Where pixels are chosen: at the frame's size, or at the maps' (then cut in blocks) (A3)."""


@dataclass(frozen=True, kw_only=True)
class RandomCut(_ForegroundCut):
    """The control: as many pixels as PriorityCut would cut, uniformly placed."""

    kind: Literal["random-cut"] = "random-cut"


@dataclass(frozen=True, kw_only=True)
class CutMix:
    """Cut a random box."""

    kind: Literal["cutmix"] = "cutmix"
    inversion_probability: float = 0.5
    """Chance that the mask is inverted, so that the box is real and its surroundings fake (U-Net GAN's habit)."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.inversion_probability <= 1.0:
            raise ValueError(f"inversion_probability must lie in [0, 1], got {self.inversion_probability}")


@dataclass(frozen=True, kw_only=True)
class Cutout:
    """Black out a random box of the real frame; its pixel scores shall be 0 there (ambiguity A15)."""

    kind: Literal["cutout"] = "cutout"


@dataclass(frozen=True, kw_only=True)
class Mixup:
    """Blend the whole frames with one random weight an image (ambiguity A15)."""

    kind: Literal["mixup"] = "mixup"


Regularizer: TypeAlias = PriorityCut | RandomCut | CutMix | Cutout | Mixup


@torch.no_grad()
def draw_mask(regularizer: Regularizer, motion: MotionOutput, frames: Frames, *, generator: torch.Generator) -> Mask:
    """Draw the mask of one regularized step.

    Args:
        regularizer: Which pixels to cut.
        motion: The generator's motion for these frames; only PriorityCut and its control look at it.
        frames: The real (or fake) frames, for batch, size and device.
        generator: A CPU generator; the draw is the same on every device.
    """
    batch, _, height, width = frames.shape
    device = frames.device
    match regularizer:
        case PriorityCut() | RandomCut():
            coarse = isinstance(regularizer, PriorityCut) and regularizer.mask_resolution == "occlusion"
            occlusion, background, threshold = _maps_for(regularizer, motion, height, width, coarse=coarse)
            low, high = regularizer.fraction
            draws = batch if regularizer.fraction_per == "sample" else 1
            share = (low + (high - low) * torch.rand(draws, generator=generator)).expand(batch)
            mask = priority_cut_mask(
                occlusion,
                background,
                share.to(device),
                threshold=threshold,
                denominator=regularizer.denominator,
                selection=regularizer.selection,
            )
            if isinstance(regularizer, RandomCut):
                return random_mask(mask.flatten(1).sum(1), height, width, generator=generator)
            if mask.shape[-2:] != (height, width):
                return F.interpolate(mask.float(), size=(height, width)).bool()
            return mask
        case CutMix():
            mask = box_mask(batch, height, width, generator=generator, device=device)
            inverted = torch.rand(batch, generator=generator) < regularizer.inversion_probability
            return mask ^ inverted.to(device)[:, None, None, None]
        case Cutout():
            return box_mask(batch, height, width, generator=generator, device=device)
        case Mixup():
            weight = torch.rand(batch, generator=generator).to(device, frames.dtype)
            return weight[:, None, None, None].expand(-1, 1, height, width)


def _maps_for(
    regularizer: PriorityCut | RandomCut, motion: MotionOutput, height: int, width: int, *, coarse: bool
) -> tuple[Map, Map, float]:
    """Occlusion map and background, and above which of its values a pixel is never cut; `coarse` at the maps' size."""
    user = type(regularizer).__name__
    if coarse and motion.occlusion_map is not None:
        height, width = motion.occlusion_map.shape[-2:]
    occlusion, background = maps_at_frame_size(motion, height, width, user=user)
    if regularizer.threshold != "argmax":
        return occlusion, background, regularizer.threshold
    if motion.weights is None:
        raise ValueError(
            f"{user} with threshold 'argmax' needs the weights of all motions, which this model does not give; "
            "give a number as its threshold"
        )
    return occlusion, dominant_background(resize_map(motion.weights.detach(), height, width)), 0.5


def partner(
    regularizer: Regularizer, fake: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch channels height width"]:
    """What the real frame (or its scores) is mixed with: the fake one, or for Cutout nothing at all."""
    return torch.zeros_like(fake) if isinstance(regularizer, Cutout) else fake

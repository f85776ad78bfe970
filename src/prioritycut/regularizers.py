"""Discriminator regularizers: which pixels to cut, how to mix, what consistency asks. Nothing here is learned.

This room knows no model. It takes frames, a `MotionOutput` and pixel scores, so it serves networks that we did
not write. The smallest use needs three functions:

    mask = priority_cut_mask(occlusion, background, fraction)
    mixed = mix(real, fake, mask)
    loss = consistency_loss(scores(mixed), scores(real), scores(fake), mask)

Masks carry no gradient. True (or 1) means that the pixel comes from the *fake* frame, always.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from prioritycut.geometry import resize_map
from prioritycut.outputs import Frames, MotionOutput

Map: TypeAlias = Float[Tensor, "batch 1 height width"]
BoolMask: TypeAlias = Bool[Tensor, "batch 1 height width"]
Mask: TypeAlias = BoolMask | Map
"""From fake: True/False for a cut, a constant between 0 and 1 for Mixup."""

Denominator: TypeAlias = Literal["foreground", "image"]


def foreground_mask(background: Map, *, threshold: float = 0.9) -> BoolMask:
    """True where a pixel is not confidently background: its probability is not above `threshold`.

    Uncertain pixels count as foreground (ambiguity A1).

    Source: PriorityCut, section 3.3 (the complement of the binary mask of equation 2).
    """
    return ~(background > threshold)


@torch.no_grad()
def priority_cut_mask(
    occlusion: Map,
    background: Map,
    fraction: float | list[float] | Shaped[Tensor, " batch"] | Shaped[Tensor, ""],
    *,
    threshold: float = 0.9,
    denominator: Denominator = "foreground",
) -> BoolMask:
    """Mark the most occluded share of each image's foreground.

    Args:
        occlusion: 0 where the source does not show the pixel and it must be painted, 1 where it does.
        background: Probability in [0, 1] that a pixel belongs to the background.
        fraction: Share to mark, in [0, 1]: one for all images, or one an image.
        threshold: A pixel whose background probability lies strictly above is never marked.
        denominator: What `fraction` is a share of: the image's foreground pixels, or all its pixels
            (ambiguity A2; never more pixels than the foreground has).

    Returns:
        True where the pixel is cut, that is, taken from the fake frame. Exactly floor(fraction * N) pixels an
        image, in double precision, capped by its foreground; equally occluded pixels are taken in row-major order. An
        image without foreground gets an empty mask. No image depends on its neighbours in the batch.

    Raises:
        ValueError: `fraction` lies outside [0, 1] or has another length than the batch.

    Source: PriorityCut, section 3.3 and equation 2 in the form of SPEC section 2.
    """
    batch, _, height, width = occlusion.shape
    shares = _fractions(fraction, batch, occlusion.device)
    foreground = foreground_mask(background, threshold=threshold).flatten(1)
    foreground_pixels = foreground.sum(1)
    if denominator == "foreground":
        pixels = foreground_pixels
    elif denominator == "image":
        pixels = torch.full_like(foreground_pixels, height * width)
    else:
        raise ValueError(f"denominator must be 'foreground' or 'image', got {denominator!r}")
    budget = (shares * pixels).floor().long().minimum(foreground_pixels)
    # Small is occluded; what is confidently background comes after everything, even after a nan.
    order = occlusion.flatten(1).nan_to_num(nan=1.0).masked_fill(~foreground, math.inf)
    return _smallest(order, budget).view(batch, 1, height, width)


def _fractions(
    fraction: float | list[float] | Shaped[Tensor, " batch"] | Shaped[Tensor, ""], batch: int, device: torch.device
) -> Float[Tensor, " batch"]:
    # Double precision: floor() of a share of a large image must not depend on float32's rounding.
    shares = torch.as_tensor(fraction, dtype=torch.float64, device=device)
    if shares.ndim not in (0, 1) or (shares.ndim == 1 and shares.shape[0] != batch):
        raise ValueError(f"fraction must be a number or one number an image ({batch}), got {tuple(shares.shape)}")
    if not bool(((shares >= 0) & (shares <= 1)).all()):
        raise ValueError(f"fraction must lie in [0, 1], got {fraction}")
    return shares.expand(batch)


def _smallest(values: Float[Tensor, "batch pixels"], count: Tensor) -> Bool[Tensor, "batch pixels"]:
    """True at the `count` smallest values of each row, earlier ones first where values are equal."""
    order = values.argsort(dim=1, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(values.shape[1], device=values.device).expand_as(order)
    )
    return rank < count[:, None]


@torch.no_grad()
def random_mask(count: Tensor, height: int, width: int, *, generator: torch.Generator) -> BoolMask:
    """Mark `count` pixels of each image, uniformly placed: the control for PriorityCut's choice of pixels.

    Args:
        count: Pixels to mark, one whole number an image.
        height, width: Size of the masks.
        generator: A CPU generator; the draw is the same on every device.
    """
    noise = torch.rand(count.shape[0], height * width, generator=generator).to(count.device)
    return _smallest(noise, count).view(-1, 1, height, width)


@torch.no_grad()
def box_mask(
    batch: int,
    height: int,
    width: int,
    *,
    generator: torch.Generator,
    device: torch.device | str | None = None,
) -> BoolMask:
    """Mark one random box an image, as CutMix does.

    lambda ~ U(0, 1); the sides are sqrt(1 - lambda) of the image's, the centre is uniform over the image, and what
    lies outside of it is lost.

    Source: CutMix (Yun et al., ICCV 2019), equation 2; SPEC section 6.5.
    """
    kept, centre_y, centre_x = torch.rand(3, batch, generator=generator)
    ratio = (1 - kept).sqrt()
    rows = _within(height, centre_y, ratio)
    cols = _within(width, centre_x, ratio)
    return (rows[:, :, None] & cols[:, None, :])[:, None].to(device)


def _within(size: int, centre: Tensor, ratio: Tensor) -> Bool[Tensor, "batch size"]:
    middle = (centre * size).floor()
    half = (ratio * size).floor() / 2
    start, end = (middle - half).floor().clamp(0, size), (middle + half).floor().clamp(0, size)
    pixel = torch.arange(size)
    return (pixel >= start[:, None]) & (pixel < end[:, None])


def mix(
    real: Float[Tensor, "batch channels height width"],
    fake: Float[Tensor, "batch channels height width"],
    from_fake: Mask,
) -> Float[Tensor, "batch channels height width"]:
    """(1 - M) * real + M * fake: the fake where the mask is True, the real elsewhere; a blend for Mixup.

    Works on frames and on pixel scores alike. Both come from the same driving frame, so there is no seam.

    Source: PriorityCut, equation 3.
    """
    if from_fake.dtype == torch.bool:
        # A choice, not a product: what is not chosen cannot leak in, not even a NaN.
        return torch.where(from_fake, fake, real)
    return (1 - from_fake) * real + from_fake * fake


def consistency_loss(mixed_scores: Map, real_scores: Map, fake_scores: Map, from_fake: Mask) -> Float[Tensor, ""]:
    """Ask the discriminator to score a mixed frame as it scored the two that it was cut from.

    Mean over batch and pixels of (D(mix(real, fake)) - mix(D(real), D(fake)))^2, on the decoder's scores. The
    gradient flows through all three; detach the scores to make a fixed target of them.

    Source: PriorityCut, equation 5; U-Net GAN (Schönfeld et al., CVPR 2020).
    """
    return F.mse_loss(mixed_scores, mix(real_scores, fake_scores, from_fake))


def mix_probability(epoch: float, *, warmup_epochs: float, maximum: float = 0.5) -> float:
    """Chance that a discriminator step is regularized: `maximum` * min(1, epoch / warmup), epochs from 0.

    Source: PriorityCut, section 4.1 (after U-Net GAN); the length of the ramp is ambiguity A6.
    """
    return maximum if warmup_epochs <= 0 else maximum * min(1.0, epoch / warmup_epochs)


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


# The kinds of regularizer: each a small config. `draw_mask` tells what each one cuts.


@dataclass(frozen=True, kw_only=True)
class PriorityCut:
    """Cut the most occluded foreground pixels."""

    kind: Literal["priority-cut"] = "priority-cut"
    fraction: tuple[float, float] = (0.0, 1.0)
    """The share of the foreground is drawn uniformly from this range for each image; equal ends fix it (A4)."""
    threshold: float = 0.9
    """A pixel whose background probability lies above is never cut (A1)."""
    denominator: Denominator = "foreground"
    """What the share is a share of (A2)."""
    mask_resolution: Literal["image", "occlusion"] = "image"
    """Where pixels are chosen: at the frame's size, or at the maps' (then cut in blocks) (A3)."""

    def __post_init__(self) -> None:
        _check_priority(self.fraction, self.threshold)


@dataclass(frozen=True, kw_only=True)
class RandomCut:
    """The control: as many pixels as PriorityCut would cut, uniformly placed."""

    kind: Literal["random-cut"] = "random-cut"
    fraction: tuple[float, float] = (0.0, 1.0)
    threshold: float = 0.9
    denominator: Denominator = "foreground"

    def __post_init__(self) -> None:
        _check_priority(self.fraction, self.threshold)


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


def _check_priority(fraction: tuple[float, float], threshold: float) -> None:
    low, high = fraction
    if not 0.0 <= low <= high <= 1.0:
        raise ValueError(f"fraction must be a range within [0, 1], got {fraction}")
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"threshold must lie in [0, 1], got {threshold}")


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
            occlusion, background = maps_at_frame_size(motion, height, width, user=type(regularizer).__name__)
            low, high = regularizer.fraction
            share = low + (high - low) * torch.rand(batch, generator=generator)
            if isinstance(regularizer, PriorityCut) and regularizer.mask_resolution == "occlusion":
                occlusion, background = maps_at_frame_size(motion, *_map_size(motion), user="PriorityCut")
            mask = priority_cut_mask(
                occlusion,
                background,
                share.to(device),
                threshold=regularizer.threshold,
                denominator=regularizer.denominator,
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


def _map_size(motion: MotionOutput) -> tuple[int, int]:
    assert motion.occlusion_map is not None  # maps_at_frame_size saw to it
    return motion.occlusion_map.shape[2], motion.occlusion_map.shape[3]


def partner(
    regularizer: Regularizer, fake: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch channels height width"]:
    """What the real frame (or its scores) is mixed with: the fake one, or for Cutout nothing at all."""
    return torch.zeros_like(fake) if isinstance(regularizer, Cutout) else fake

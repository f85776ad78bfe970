"""Which pixels: masks from maps, boxes, and chance. True means that the pixel comes from the fake frame."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

Map: TypeAlias = Float[Tensor, "batch 1 height width"]
BoolMask: TypeAlias = Bool[Tensor, "batch 1 height width"]
Mask: TypeAlias = BoolMask | Map
"""From fake: True/False for a cut, a constant between 0 and 1 for Mixup."""

Denominator: TypeAlias = Literal["foreground", "image"]
Selection: TypeAlias = Literal["exact", "quantile"]


def foreground_mask(background: Map, *, threshold: float = 0.9) -> BoolMask:
    """True where a pixel is not confidently background: its probability is not above `threshold`.

    Uncertain pixels count as foreground (ambiguity A1).

    Source: PriorityCut, section 3.3 (the complement of the binary mask of equation 2).
    """
    return ~(background > threshold)


def dominant_background(weights: Float[Tensor, "batch motions height width"]) -> Map:
    """1 where the background's weight is the largest of all motions', 0 elsewhere; a draw counts as foreground.

    Args:
        weights: Share of each motion at each pixel, the background's first.

    Source: the other reading of PriorityCut, section 3.3 (ambiguity A1).
    """
    return (weights[:, :1] > weights[:, 1:].amax(1, keepdim=True)).to(weights.dtype)


@torch.no_grad()
def priority_cut_mask(
    occlusion: Map,
    background: Map,
    fraction: float | list[float] | Shaped[Tensor, " batch"] | Shaped[Tensor, ""],
    *,
    threshold: float = 0.9,
    denominator: Denominator = "foreground",
    selection: Selection = "exact",
) -> BoolMask:
    """Mark the most occluded share of each image's foreground.

    Args:
        occlusion: 0 where the source does not show the pixel and it must be painted, 1 where it does.
        background: Probability in [0, 1] that a pixel belongs to the background.
        fraction: Share to mark, in [0, 1]: one for all images, or one an image.
        threshold: A pixel whose background probability lies strictly above is never marked.
        denominator: What `fraction` is a share of: the image's foreground pixels, or all its pixels
            (ambiguity A2; never more pixels than the foreground has).
        selection: `exact` takes equally occluded pixels in row-major order, so that the count is the share;
            `quantile` takes all that are as occluded as the last one of these, which may be more pixels.

    Returns:
        True where the pixel is cut, that is, taken from the fake frame. Exactly floor(fraction * N) pixels an
        image, in double precision, capped by its foreground (at least as many for `quantile`). An image without
        foreground gets an empty mask. No image depends on its neighbours in the batch.

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
    chosen = _smallest(order, budget) if selection == "exact" else _up_to(order, budget)
    return chosen.view(batch, 1, height, width)


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


def _up_to(values: Float[Tensor, "batch pixels"], count: Tensor) -> Bool[Tensor, "batch pixels"]:
    """True at every value of a row that is no larger than its `count`-th smallest one; nowhere where that is 0."""
    quantile = values.sort(dim=1).values.gather(1, (count[:, None] - 1).clamp_min(0))
    return (values <= quantile) & (count[:, None] > 0)


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

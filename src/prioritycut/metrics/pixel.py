"""L1, PSNR and SSIM of frames, and their masked forms: batched, on any device, one value an image.

Everything is reckoned in double precision (single on Apple's GPUs, which have no other), whatever the frames come in:
the variances of SSIM are differences of nearly equal numbers, and in single precision a flat bright image is off by
1e-4. Colour planes go through a few at a time, so that memory grows little with the batch.

A mask is laid on both images, which turns what it leaves out into equal black, and the mean is taken over *all* pixels.
So a small mask gives a high score: masked values compare methods under one mask, never one mask with another. An image
whose mask is empty has no value: NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from prioritycut.outputs import Frames

Mask: TypeAlias = Bool[Tensor, "batch 1 height width"] | Float[Tensor, "batch 1 height width"]
"""True (1) where the pixel counts; an alpha in [0, 1] counts it in part. The inverse mask is 1 - mask."""
PerImage: TypeAlias = Float[Tensor, " batch"]
Window: TypeAlias = Literal["uniform7", "gaussian11"]
WINDOW_SIDES: dict[Window, int] = {"uniform7": 7, "gaussian11": 11}
"""Pixels of SSIM's window; smaller frames have no SSIM."""

LOWEST_ERROR = 1e-10
"""Mean squared error below which PSNR sees no difference: it is at most 100 dB."""
STABILIZERS = (0.01**2, 0.03**2)
"""C1 and C2 of SSIM for a data range of 1."""


def l1(prediction: Frames, target: Frames) -> PerImage:
    """Mean absolute difference over all pixels and colours, in [0, 1]; 0 for equal images.

    Args:
        prediction, target: RGB in [0, 1].

    Raises:
        ValueError: The images differ in shape, or are not floating point RGB.
    """
    return _by_colour(_absolute_error, prediction, target).mean(1)


def psnr(prediction: Frames, target: Frames) -> PerImage:
    """Peak signal-to-noise ratio 10 log10(1 / MSE) of each image, in dB over RGB; higher is better, 100 at most.

    The mean over images is a mean of decibels, as the paper's code has it, not the decibels of a mean error.

    Args:
        prediction, target: RGB in [0, 1].

    Raises:
        ValueError: See `l1`.
    """
    return _decibels(_by_colour(_squared_error, prediction, target))


def ssim(prediction: Frames, target: Frames, *, window: Window = "uniform7") -> PerImage:
    """Structural similarity, mean over pixels and colours, in [-1, 1]; 1 for equal images.

    Args:
        prediction, target: RGB in [0, 1].
        window: `uniform7` weighs 7 x 7 pixels alike and takes the sample covariance (n - 1), as scikit-image does by
            default; `gaussian11` is the original's Gaussian of sigma 1.5 cut to 11 x 11, with the population
            covariance (n). Only pixels whose window lies inside the image count.

    Raises:
        ValueError: See `l1`; or the images are smaller than the window.

    Source: Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004), eq. 13.
    """
    return _by_colour(_similarity(window, prediction), prediction, target).mean(1)


def masked_l1(prediction: Frames, target: Frames, mask: Mask) -> PerImage:
    """`l1` of the images times the mask, over all pixels; NaN where the mask is empty.

    Raises:
        ValueError: See `masked_psnr`.
    """
    return _by_colour(_absolute_error, prediction, target, mask).mean(1)


def masked_psnr(prediction: Frames, target: Frames, mask: Mask) -> PerImage:
    """`psnr` of the images times the mask, over all pixels; NaN where the mask is empty.

    The squared errors under a binary mask and under its inverse add up to the unmasked one's.

    Args:
        prediction, target: RGB in [0, 1].
        mask: What counts of each image: bool, or alpha in [0, 1].

    Raises:
        ValueError: The images differ in shape or are not floating point RGB; the mask has another size, or is neither
            bool nor floating point.
    """
    return _decibels(_by_colour(_squared_error, prediction, target, mask))


def masked_ssim(prediction: Frames, target: Frames, mask: Mask, *, window: Window = "uniform7") -> PerImage:
    """`ssim` of the images times the mask, over all pixels; NaN where the mask is empty.

    Where no pixel of a window is under the mask, both images are black and alike: such pixels count 1.

    Raises:
        ValueError: See `masked_psnr`; or the images are smaller than the window.
    """
    return _by_colour(_similarity(window, prediction), prediction, target, mask).mean(1)


def _by_colour(
    metric: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, target: Tensor, mask: Tensor | None = None
) -> Float[Tensor, "batch 3"]:
    """A metric of single colour planes, `planes height width`, for each colour of each image."""
    _check(prediction, target, mask)
    first, second = prediction.flatten(0, 1), target.flatten(0, 1)
    image = torch.arange(len(first), device=first.device) // 3
    values = list[Tensor]()
    for part in _parts(first):
        x, y = _precise(first[part]), _precise(second[part])
        if mask is not None:
            weight = mask[image[part], 0]
            x, y = x * weight, y * weight
        values.append(metric(x, y))
    by_colour = torch.cat(values).view(-1, 3)
    if mask is None:
        return by_colour
    return by_colour.masked_fill(~mask.flatten(1).any(1, keepdim=True), math.nan)


def _parts(planes: Tensor) -> list[slice]:
    # On a processor what stays in its cache is up to twice as fast; a GPU wants more at once.
    budget = 2**16 if planes.device.type == "cpu" else 2**23
    step = max(1, budget // max(1, math.prod(planes.shape[1:])))
    return [slice(start, start + step) for start in range(0, max(1, len(planes)), step)]


def _precise(values: Tensor) -> Tensor:
    return values.float() if values.device.type == "mps" else values.double()


def _absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).abs().mean((1, 2))


def _squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).square().mean((1, 2))


def _decibels(squared_error: Float[Tensor, "batch 3"]) -> PerImage:
    return -10 * squared_error.mean(1).clamp_min(LOWEST_ERROR).log10()


def _similarity(window: Window, frames: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    """SSIM with a window, which must fit into the frames."""
    if window == "uniform7":
        weights, correction = (1 / 7,) * 7, 49 / 48
    elif window == "gaussian11":
        bell = [math.exp(-0.5 * (offset / 1.5) ** 2) for offset in range(-5, 6)]
        weights, correction = tuple(height / sum(bell) for height in bell), 1.0
    else:
        raise ValueError(f"window must be 'uniform7' or 'gaussian11', got {window!r}")
    side, size = WINDOW_SIDES[window], tuple(frames.shape[-2:])
    if min(size, default=side) < side:
        raise ValueError(
            f"SSIM with {window} needs frames of at least {side}x{side} pixels, got {'x'.join(map(str, size))}; "
            "give larger frames or leave SSIM out"
        )
    return partial(_structural_similarity, weights=weights, correction=correction)


def _structural_similarity(
    prediction: Tensor, target: Tensor, *, weights: tuple[float, ...], correction: float
) -> Tensor:
    """SSIM with a window of the same weights along rows and columns; `correction` is what the covariance of all of
    the window's pixels must be multiplied by."""
    products = (prediction, target, prediction.square() + target.square(), prediction * target)
    mean_x, mean_y, squares, product = _smooth(torch.stack(products), weights).unbind()
    means = mean_x * mean_y
    squared_means = mean_x.square() + mean_y.square()
    covariance = correction * (product - means)
    variances = correction * (squares - squared_means)
    c1, c2 = STABILIZERS
    luminance = (2 * means + c1) / (squared_means + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    return (luminance * structure).mean((1, 2))


def _smooth(maps: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Weighted mean around each pixel whose window lies inside: along rows, then along columns.

    Shifted sums, because PyTorch's convolutions in double precision are several times slower on a processor.
    """
    for axis in (-2, -1):
        size = maps.shape[axis] - len(weights) + 1
        smooth = maps.narrow(axis, 0, size) * weights[0]
        for offset, weight in enumerate(weights[1:], start=1):
            smooth.add_(maps.narrow(axis, offset, size), alpha=weight)
        maps = smooth
    return maps


def _check(prediction: Tensor, target: Tensor, mask: Tensor | None) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction is {_shape(prediction)} and target {_shape(target)}; bring them to one size and number first"
        )
    if prediction.ndim != 4 or prediction.shape[1] != 3:
        raise ValueError(f"frames must be batch x 3 x height x width, got {_shape(prediction)}; permute or stack them")
    if not (prediction.is_floating_point() and target.is_floating_point()):
        raise ValueError(
            f"frames must be floating point in [0, 1], got {prediction.dtype} and {target.dtype}; divide by 255"
        )
    if mask is None:
        return
    wanted = (prediction.shape[0], 1, *prediction.shape[2:])
    if mask.shape != wanted:
        raise ValueError(
            f"mask is {_shape(mask)} but the frames need {'x'.join(map(str, wanted))}; resize it, one a frame"
        )
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise ValueError(f"mask must be bool or alpha in [0, 1], got {mask.dtype}; compare it with 0 or divide by 255")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))

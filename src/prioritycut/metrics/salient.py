"""Salient masks: where the object is that a viewer looks at, with soft borders where hair and motion blur are.

A segmenter says roughly where the object is, a band around its border is left open (the trimap), and matting settles
the band from the colours. Masks are made once, from the ground truth, and every method is measured under the same.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import Protocol, TypeAlias, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import Segmenter, Tool
from prioritycut.metrics.detectors.packages import import_package, package_version
from prioritycut.outputs import Clip, Frames

Masks: TypeAlias = Float[Tensor, "batch 1 height width"]
"""1 where a pixel belongs to the object, 0 where it is background, in between where both show in it."""

RADIUS_AT_256 = 10


@runtime_checkable
class Matting(Protocol):
    """Settles the open band of a trimap."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def __call__(self, frames: Frames, trimaps: Masks) -> Masks:
        """The share in [0, 1] that the object has in each pixel.

        Args:
            frames: RGB in [0, 1].
            trimaps: 1 certainly the object, 0 certainly background, 0.5 open.
        """
        ...


class ClosedFormMatting:
    """Closed-form matting, as the package pymatting solves it, on the CPU.

    Its first use after the installation compiles for half a minute.

    Where nothing certain is left on one side, the equations have a constant solution: all of the other side.

    Attributes:
        name: "closed-form".
        version: Of pymatting.

    Source: Levin, Lischinski & Weiss, A closed-form solution to natural image matting, CVPR 2006.
    """

    name = "closed-form"

    def __init__(self) -> None:
        """Raises UserError where pymatting is not installed."""
        self.version = package_version("pymatting", user=self.name)

    @torch.no_grad()
    def __call__(self, frames: Frames, trimaps: Masks) -> Masks:
        """As `Matting`. Raises UserError where the solver does not come to an end."""
        alphas = [self._settle(frame, trimap) for frame, trimap in zip(frames, trimaps[:, 0], strict=True)]
        return torch.stack(alphas)[:, None] if alphas else torch.empty_like(trimaps)

    def _settle(
        self, frame: Float[Tensor, "3 height width"], trimap: Float[Tensor, "height width"]
    ) -> Float[Tensor, "height width"]:
        certain = trimap[trimap != 0.5]
        if certain.numel() in (0, trimap.numel()):
            return trimap
        if bool((certain == certain[0]).all()):
            return certain[0].expand_as(trimap).clone()
        solver = import_package("pymatting.alpha.estimate_alpha_cf", user=self.name)
        try:
            with redirect_stdout(io.StringIO()):  # where it has to try twice, it prints
                alpha = solver.estimate_alpha_cf(
                    frame.permute(1, 2, 0).clamp(0, 1).cpu().double().numpy(), trimap.cpu().double().numpy()
                )
        except ValueError as error:
            raise UserError(
                f"{self.name}: a frame's border was not settled ({error}); use another matting or none"
            ) from error
        return torch.from_numpy(alpha).to(trimap)


def default_radius(height: int, width: int) -> int:
    """Width of the open band in pixels: 10 at 256 (SPEC, A18), and the same share of other frames' shorter side."""
    return max(1, round(RADIUS_AT_256 * min(height, width) / 256))


def trimap(mask: Bool[Tensor, "batch 1 height width"], radius: int = RADIUS_AT_256, erode: bool = False) -> Masks:
    """Leave a band around each object open.

    Args:
        mask: True on the object.
        radius: The band holds the background pixels within this many rows and columns of the object (a square of
            2 radius + 1); 0 leaves nothing open.
        erode: Whether the object loses its outermost pixels (a 3x3 square) before. The frame's edge takes none.

    Returns:
        1 on the object, 0.5 in the band, 0 elsewhere. A mask that is all False or all True gives all 0 or all 1; the
        tool that the paper names refuses both.

    Raises:
        ValueError: `radius` is negative.

    Source: SPEC section 8 and A18.
    """
    if radius < 0:
        raise ValueError(f"radius must be at least 0, got {radius}")
    certain = ~_dilate(~mask, 1) if erode else mask
    return (certain.float() + _dilate(certain, radius).float()) / 2


def _dilate(mask: Bool[Tensor, "batch 1 height width"], radius: int) -> Bool[Tensor, "batch 1 height width"]:
    return F.max_pool2d(mask.float(), 2 * radius + 1, stride=1, padding=radius).bool()


@torch.no_grad()
def matte(frames: Frames, trimaps: Masks, matting: Matting) -> Masks:
    """Settle the open band, and only that: what the trimap holds for certain stays 0 or 1.

    Args:
        frames: RGB in [0, 1].
        trimaps: 1 certainly the object, 0 certainly background, 0.5 open.
        matting: What settles it.
    """
    alpha = matting(frames, trimaps).clamp(0, 1)
    return torch.where(trimaps == 0.5, alpha, trimaps)


@torch.no_grad()
def salient_masks(
    frames: Frames,
    segmenter: Segmenter,
    matting: Matting | None,
    *,
    radius: int | None = None,
    erode: bool = False,
) -> Masks:
    """Masks of the salient object in each frame of the ground truth.

    Args:
        frames: RGB in [0, 1], of the ground truth, not of a prediction.
        segmenter: Says roughly where the object is; above a probability of one half is the object.
        matting: Settles the border; `None` takes the segmenter's mask as it is, 0 or 1.
        radius: Of the open band in pixels; `None` takes `default_radius`.
        erode: As in `trimap`.

    Returns:
        1 on the object, 0 on the background. All 0 where nothing was found; `trivial_masks` counts those.

    Source: SPEC section 8 and A18.
    """
    mask = segmenter(frames) > 0.5
    if matting is None:
        return mask.float()
    if radius is None:
        radius = default_radius(frames.shape[-2], frames.shape[-1])
    return matte(frames, trimap(mask, radius, erode), matting)


def salient_tool(
    segmenter: Segmenter, matting: Matting | None, *, radius: int | None = None, erode: bool = False
) -> Tool:
    """Both tools that a salient mask stands on, as one; another radius, or erosion, makes it another tool."""
    if matting is None:
        return segmenter.tool
    rough = segmenter.tool
    return Tool(
        role="salient",
        name=f"{rough.name}+{matting.name}",
        version="+".join(
            [rough.version, matting.version, *([] if radius is None else [f"radius {radius}"]), *["eroded"] * erode]
        ),
        note=rough.note,
    )


def trivial_masks(masks: Masks) -> tuple[int, int]:
    """How many masks are empty (all 0) and how many are full (all 1)."""
    flat = masks.flatten(1)
    return int((flat == 0).all(1).sum()), int((flat == 1).all(1).sum())


def masks_from_frames(pictures: Clip) -> Float[Tensor, "time 1 height width"]:
    """Masks that were brought as a clip: white on the object, black on the background, grey in between.

    Coloured pictures are averaged over their channels.
    """
    return pictures.mean(1, keepdim=True).clamp(0, 1)

"""Coordinates: grids, the one warp, keypoint heatmaps, 2x2 inverses, random smooth transforms.

Points are xy in [-1, 1]. By default -1 and +1 are the *centres* of the first and last pixel
(`align_corners=True`): the identity grid then samples every pixel exactly where it is. Weights that were
trained with the other convention carry a switch; everything here takes it by name.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def coordinate_grid(
    height: int, width: int, *, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "height width 2"]:
    """The xy of every pixel centre; (-1, -1) is the first row and column, (1, 1) the last.

    A side of one pixel has its only centre at 0 (published code divides by zero there).
    """
    ys = _centres(height, device, dtype)
    xs = _centres(width, device, dtype)
    return torch.stack([xs.expand(height, width), ys[:, None].expand(height, width)], dim=-1)


def _centres(count: int, device: torch.device | str | None, dtype: torch.dtype) -> Float[Tensor, " count"]:
    if count == 1:
        return torch.zeros(1, device=device, dtype=dtype)
    # Not linspace: 2 i / (n - 1) - 1 rounds as the published networks do.
    return 2 * (torch.arange(count, device=device, dtype=dtype) / (count - 1)) - 1


def warp(
    frames: Float[Tensor, "batch channels in_rows in_cols"],
    deformation: Float[Tensor, "batch rows cols 2"],
    *,
    align_corners: bool = True,
    padding_mode: str = "zeros",
) -> Float[Tensor, "batch channels rows cols"]:
    """Look up `frames` bilinearly where `deformation` points: result[y, x] = frames at deformation[y, x].

    Args:
        frames: Pictures or feature maps to take from.
        deformation: xy in [-1, 1] per output pixel. The identity grid returns the input.
        align_corners: Whether -1 and +1 are centres of the outermost pixels (True) or their outer edges.
        padding_mode: What lies outside the frame: "zeros", "border" or "reflection".

    Sampling is done in float32 at least: half-precision coordinates would be off by whole pixels.
    """
    exact = frames if frames.dtype == torch.float64 else frames.float()
    looked_up = F.grid_sample(
        exact,
        deformation.to(exact.dtype),
        mode="bilinear",
        padding_mode=padding_mode,
        align_corners=align_corners,
    )
    return looked_up.to(frames.dtype)


def resize_deformation(
    deformation: Float[Tensor, "batch rows cols 2"], height: int, width: int
) -> Float[Tensor, "batch height width 2"]:
    """Bring a deformation to another resolution (bilinear, half-pixel centres, as FOMM does)."""
    if deformation.shape[1:3] == (height, width):
        return deformation
    channels_first = deformation.permute(0, 3, 1, 2)
    return resize_map(channels_first, height, width).permute(0, 2, 3, 1)


def resize_map(
    values: Float[Tensor, "batch channels rows cols"], height: int, width: int
) -> Float[Tensor, "batch channels height width"]:
    """Bring a map to another resolution: bilinear with half-pixel centres (`align_corners=False`)."""
    if values.shape[-2:] == (height, width):
        return values
    return F.interpolate(values, size=(height, width), mode="bilinear", align_corners=False)


def gaussian_heatmaps(
    position: Float[Tensor, "batch points 2"], height: int, width: int, *, variance: float = 0.01
) -> Float[Tensor, "batch points height width"]:
    """One blob per keypoint: exp(-|z - p|^2 / (2 variance)), 1 at the keypoint, towards 0 far from it.

    Source: FOMM, section 3.2.
    """
    grid = coordinate_grid(height, width, device=position.device, dtype=position.dtype)
    squared = ((grid - position[:, :, None, None, :]) ** 2).sum(-1)
    return torch.exp(-0.5 * squared / variance)


def expected_position(
    heatmap: Float[Tensor, "batch points rows cols"],
) -> Float[Tensor, "batch points 2"]:
    """The mean xy under each heatmap (each sums to 1).

    Source: FOMM, section 3.1; the soft-argmax of Monkey-Net.
    """
    grid = coordinate_grid(*heatmap.shape[-2:], device=heatmap.device, dtype=heatmap.dtype)
    return (heatmap[..., None] * grid).sum(dim=(2, 3))


def inverse_2x2(matrix: Float[Tensor, "*batch 2 2"]) -> Float[Tensor, "*batch 2 2"]:
    """The inverse in closed form: exportable, differentiable, and on the device without a solver.

    Gaussian elimination with the larger entry of the first column as pivot, in the order of operations of LAPACK:
    to the last bit its result, with which published keypoint models were trained. (The textbook adjugate over the
    determinant is one bit off, which a warp of a sharp edge shows as 3e-5.)

    A singular matrix gives infinities or nan, as a division by its determinant does.
    """
    a, b, c, d = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 0], matrix[..., 1, 1]
    swapped = c.abs() > a.abs()
    pivot, beside = torch.where(swapped, c, a), torch.where(swapped, d, b)
    below, corner = torch.where(swapped, a, c), torch.where(swapped, b, d)
    factor = below / pivot
    corner_reciprocal, pivot_reciprocal = 1 / (corner - factor * beside), 1 / pivot

    def column(first: Tensor, second: Tensor) -> Tensor:
        lower = (second - factor * first) * corner_reciprocal
        upper = (first - beside * lower) * pivot_reciprocal
        return torch.stack([upper, lower], dim=-1)

    # The columns of the identity, with its rows in the order of the pivots.
    zero, one = swapped.to(matrix.dtype), (~swapped).to(matrix.dtype)
    return torch.stack([column(one, zero), column(zero, one)], dim=-1)


def multiply_2x2(
    left: Float[Tensor, "*#batch 2 2"], right: Float[Tensor, "*#batch 2 2"]
) -> Float[Tensor, "*#batch 2 2"]:
    """Matrix product, written out: mixed precision would round `@` to half, and with it every coordinate."""
    return (left[..., :, :, None] * right[..., None, :, :]).sum(-2)


def apply_2x2(matrix: Float[Tensor, "*#batch 2 2"], vector: Float[Tensor, "*#batch 2"]) -> Float[Tensor, "*#batch 2"]:
    """Matrix times vector, written out for the same reason."""
    return (matrix * vector[..., None, :]).sum(-1)


@dataclass(frozen=True, slots=True)
class SmoothTransform:
    """A random affine map plus a thin-plate bending: T(z) = A z + t + sum_i w_i U(|z - c_i|).

    The bending is added to x and y alike and U(r) = r^2 log(r + 1e-6) with the L1 norm as r, as the published
    FOMM does (a textbook thin plate has the Euclidean norm and two sets of weights).

    Attributes:
        affine: The 2x3 matrices (A | t); (I | 0) with zero weights is the identity.
        control_points: The c_i, xy in [-1, 1]; `None` for an affine map alone.
        weights: The w_i.

    Source: FOMM, section 3.1 (equivariance), and its published transform parameters.
    """

    affine: Float[Tensor, "batch 2 3"]
    control_points: Float[Tensor, "control 2"] | None = None
    weights: Float[Tensor, "batch control"] | None = None

    def points(self, position: Float[Tensor, "batch points 2"]) -> Float[Tensor, "batch points 2"]:
        """T at each point."""
        moved = apply_2x2(self.affine[:, None, :, :2], position) + self.affine[:, None, :, 2]
        if self.control_points is None or self.weights is None:
            return moved
        radius = (position[:, :, None, :] - self.control_points).abs().sum(-1)
        bending = (radius**2 * torch.log(radius + _TINY) * self.weights[:, None, :]).sum(-1, keepdim=True)
        return moved + bending

    def jacobian(self, position: Float[Tensor, "batch points 2"]) -> Float[Tensor, "batch points 2 2"]:
        """dT_i / dz_j at each point, in closed form, differentiable once more."""
        linear = self.affine[:, None, :, :2].expand(-1, position.shape[1], -1, -1)
        if self.control_points is None or self.weights is None:
            return linear
        offset = position[:, :, None, :] - self.control_points
        radius = offset.abs().sum(-1)
        slope = 2 * radius * torch.log(radius + _TINY) + radius**2 / (radius + _TINY)
        gradient = ((slope * self.weights[:, None, :])[..., None] * offset.sign()).sum(2)
        return linear + gradient[:, :, None, :]

    def frames(
        self, frames: Float[Tensor, "batch channels height width"], *, align_corners: bool = True
    ) -> Float[Tensor, "batch channels height width"]:
        """Frames seen through T: result at z is the frame at T(z), mirrored at its borders."""
        height, width = frames.shape[-2:]
        grid = coordinate_grid(height, width, device=frames.device).view(1, -1, 2)
        looked_up = self.points(grid.expand(frames.shape[0], -1, -1)).view(-1, height, width, 2)
        return warp(frames, looked_up, align_corners=align_corners, padding_mode="reflection")


_TINY = 1e-6


def random_transform(
    batch: int,
    *,
    sigma_affine: float = 0.05,
    sigma_bending: float = 0.005,
    control_points: int = 5,
    generator: torch.Generator,
    device: torch.device | str | None = None,
) -> SmoothTransform:
    """Draw a transform for each image of a batch.

    Args:
        batch: How many.
        sigma_affine: Standard deviation added to each entry of the identity (I | 0); 0 leaves it.
        sigma_bending: Standard deviation of the thin-plate weights; 0 leaves the map affine.
        control_points: Control points along each side of their square grid.
        generator: A CPU generator; the draw is the same on every device.
        device: Where the transform shall live.

    Source: FOMM's published settings (SPEC section 5).
    """
    identity = torch.eye(2, 3)
    affine = identity + sigma_affine * torch.randn(batch, 2, 3, generator=generator)
    if sigma_bending == 0.0:
        return SmoothTransform(affine.to(device))
    weights = sigma_bending * torch.randn(batch, control_points**2, generator=generator)
    grid = coordinate_grid(control_points, control_points).view(-1, 2)
    return SmoothTransform(affine.to(device), grid.to(device), weights.to(device))

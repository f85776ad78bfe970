"""Tensors to pictures: maps, deformations, keypoints, labelled sheets. What training and `--explain` show."""

from __future__ import annotations

import colorsys
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from prioritycut.geometry import coordinate_grid, resize_deformation, resize_map
from prioritycut.outputs import Frames, Keypoints


def paint_map(values: Float[Tensor, "batch 1 rows cols"], height: int, width: int) -> Frames:
    """A map in [0, 1] as grey: 0 black, 1 white."""
    return resize_map(values.float(), height, width).clamp(0, 1).expand(-1, 3, -1, -1)


def paint_scores(values: Float[Tensor, "batch 1 rows cols"], height: int, width: int) -> Frames:
    """Pixel scores as heat: 0 (fake) red, 0.5 white, 1 (real) blue."""
    score = resize_map(values.float(), height, width).clamp(0, 1)
    red, blue = torch.clamp(2 - 2 * score, 0, 1), torch.clamp(2 * score, 0, 1)
    return torch.cat([red, torch.minimum(red, blue), blue], dim=1)


def paint_deformation(
    deformation: Float[Tensor, "batch rows cols 2"], height: int, width: int, *, full_scale: float = 0.5
) -> Frames:
    """A deformation as the colour wheel of optical flow: hue is direction, saturation is length.

    White is no motion; full colour is `full_scale` or more, in units where the frame's side is 2.
    """
    moved = resize_deformation(deformation.float(), height, width)
    flow = moved - coordinate_grid(height, width, device=moved.device)
    saturation = (flow.norm(dim=-1) / full_scale).clamp(0, 1)[:, None]
    angle = torch.atan2(flow[..., 1], flow[..., 0])[:, None]
    thirds = torch.tensor([0.0, 2.0, 4.0], device=moved.device).view(1, 3, 1, 1) * torch.pi / 3
    wheel = (0.5 + torch.cos(angle - thirds)).clamp(0, 1)
    return 1 - saturation * (1 - wheel)


def draw_keypoints(frames: Frames, keypoints: Keypoints, *, radius: float = 0.035) -> Frames:
    """Each keypoint as a disc in its own colour with a dark rim; `radius` in units where the side is 2."""
    height, width = frames.shape[-2:]
    grid = coordinate_grid(height, width, device=frames.device)
    scale = max(height, width) / 2  # pixels a unit
    size = max(radius * scale, 1.2)
    drawn = frames
    count = keypoints.position.shape[1]
    for index in range(count):
        distance = (grid - keypoints.position[:, index, None, None, :].float()).norm(dim=-1)[:, None] * scale
        colour = torch.tensor(colorsys.hsv_to_rgb(index / count, 0.75, 1.0), device=frames.device).view(1, 3, 1, 1)
        rim = (size + 1.0 - distance).clamp(0, 1)
        disc = (size - distance).clamp(0, 1)
        drawn = drawn * (1 - 0.8 * rim)
        drawn = drawn * (1 - disc) + colour * disc
    return drawn


LABEL_HEIGHT = 16


def label_bar(labels: list[str], width: int, *, height: int = LABEL_HEIGHT) -> Float[Tensor, "3 rows cols"]:
    """Labels side by side, each in the middle of `width` pixels, white on black; long ones shrink to fit."""
    bar = Image.new("RGB", (width * len(labels), height), "black")
    draw = ImageDraw.Draw(bar)
    for column, label in enumerate(labels):
        size = height * 0.72
        font = ImageFont.load_default(size)
        while draw.textlength(label, font=font) > width - 2 and size > 5:
            size -= 0.5
            font = ImageFont.load_default(size)
        middle = (width * (column + 0.5), height / 2)
        draw.text(middle, label, fill="white", font=font, anchor="mm")
    return picture_to_tensor(bar)


def sheet(panels: list[tuple[str, Frames]]) -> Float[Tensor, "3 rows cols"]:
    """Panels of equal size side by side under their labels, one row for each image of the batch."""
    rows = torch.cat([frames.float().cpu() for _, frames in panels], dim=3)
    picture = torch.cat(list(rows), dim=1)
    bar = label_bar([label for label, _ in panels], panels[0][1].shape[-1])
    return torch.cat([bar, picture], dim=1)


def picture_to_tensor(picture: Image.Image) -> Float[Tensor, "3 rows cols"]:
    """RGB in [0, 1]."""
    data = torch.frombuffer(bytearray(picture.convert("RGB").tobytes()), dtype=torch.uint8)
    return data.view(picture.height, picture.width, 3).permute(2, 0, 1).float() / 255


def save_picture(path: Path, picture: Float[Tensor, "3 rows cols"]) -> None:
    """Write a PNG; a half-written one never stands under `path`."""
    levels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    partial = path.with_name(f".{path.name}.partial")
    try:
        Image.fromarray(levels).save(partial, format="PNG")
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise

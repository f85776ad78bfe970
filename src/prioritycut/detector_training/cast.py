"""The puppets that detectors learn from, drawn once and kept as bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from prioritycut.data.puppets import generate_puppet
from prioritycut.data.puppets.background import paint_background
from prioritycut.data.puppets.looks import draw_looks
from prioritycut.detector_training.config import CastConfig


@dataclass(frozen=True, slots=True)
class Cast:
    """Frames of many characters, and the truth about them.

    Attributes:
        frames: RGB bytes of each character's takes.
        inside: True within the puppet, but for its outermost pixels, where the background shines through.
        position: xy in pixels of the landmarks, from the centre of the first pixel.
        visible: Whether each can be seen.
        background: RGB bytes of what stands behind each character.
    """

    frames: UInt8[Tensor, "characters takes 3 height width"]
    inside: Bool[Tensor, "characters takes 1 height width"]
    position: Float[Tensor, "characters takes points 2"]
    visible: Bool[Tensor, "characters takes points"]
    background: UInt8[Tensor, "characters 3 height width"]


def draw_cast(config: CastConfig, size: int, *, advance: Callable[[int], None] = lambda done: None) -> Cast:
    """Draw one frame of every take of every character.

    Args:
        config: Which puppets.
        size: Height and width of the frames.
        advance: Told the characters done so far.
    """
    frames, inside, position, visible, background = [], [], [], [], []
    for index in range(config.characters):
        takes = [generate_puppet(config.seed, index, frames=1, size=size, take=take) for take in range(config.takes)]
        frames.append(to_bytes(torch.cat([take.frames for take in takes])))
        inside.append(within(torch.cat([take.foreground for take in takes])))
        position.append(to_pixels(torch.cat([take.position for take in takes]), size))
        visible.append(torch.cat([take.visible for take in takes]))
        background.append(to_bytes(background_of(config.seed, index, size)))
        advance(index + 1)
    return Cast(
        torch.stack(frames), torch.stack(inside), torch.stack(position), torch.stack(visible), torch.stack(background)
    )


def background_of(seed: int, index: int, size: int) -> Float[Tensor, "3 size size"]:
    """What stands behind a member of a cast, as if nobody stood before it."""
    looks = draw_looks(np.random.default_rng(np.random.SeedSequence([seed, index, 0, 0])))
    return torch.as_tensor(paint_background(looks, size))


def within(foreground: Float[Tensor, "time 1 height width"]) -> Bool[Tensor, "time 1 height width"]:
    """The foreground without its outermost pixels, which hold some of the old background's colour.

    A pixel at the border of the frame has nothing beside it and stays.
    """
    return -F.max_pool2d(-foreground, 3, stride=1, padding=1) > 0.5


def place_before(
    frames: Float[Tensor, "batch 3 height width"],
    inside: Bool[Tensor, "batch 1 height width"],
    background: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """The puppets of some frames before other backgrounds."""
    return torch.where(inside, frames, background)


def to_bytes(frames: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    return (frames * 255).round().to(torch.uint8)


def to_pixels(position: Float[Tensor, "*batch 2"], size: int) -> Float[Tensor, "*batch 2"]:
    """xy in [-1, 1] as pixels from the centre of the first one; -1 and 1 are the centres of the outermost pixels."""
    return (position + 1) / 2 * (size - 1)

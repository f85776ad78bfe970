"""From a seed to a clip: cast a person, make up its motion, paint its sheets and lay them into frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from prioritycut.data.puppets.background import paint_background
from prioritycut.data.puppets.clip import PuppetClip
from prioritycut.data.puppets.looks import draw_looks
from prioritycut.data.puppets.motion import perform, place_sheet
from prioritycut.data.puppets.parts.stack import paint_puppet
from prioritycut.data.puppets.rendering import find_landmarks, rank_sheet, render_sheets

RATE = 25
"""Frames a second that the motion is made for."""

SMALLEST_SIZE = 64

LARGEST_SIZE = 256
"""Frames are square; below 64 pixels the features of a face melt, above 256 the drawings show no more."""


def generate_puppet(
    seed: int, index: int, *, frames: int = 32, size: int = 64, first_frame: int = 0, take: int = 0
) -> PuppetClip:
    """Draw one puppet's clip.

    Args:
        seed: Which cast of puppets, from 0 to 2**32 - 1; two casts share nobody.
        index: Which member of the cast, likewise.
        frames: How many frames to draw; fewer frames are the beginning of more.
        size: Height and width in pixels, 64 to 256. The drawing and its motion are the same at any size.
        first_frame: Where on the endless path the clip begins, 0 or more.
        take: 0 or more; another take is the same person in front of the same background, moving otherwise.

    Returns:
        The clip. Its frames are ready; the truth about a pair is computed when `PuppetClip.truth` is asked.

    Raises:
        ValueError: An argument lies outside its range.
    """
    _check_range("seed", seed, 0, 2**32 - 1)
    _check_range("index", index, 0, 2**32 - 1)
    _check_range("take", take, 0, 2**32 - 1)
    _check_range("first_frame", first_frame, 0, 2**24)
    _check_range("frames", frames, 1, 2**24)
    _check_range("size", size, SMALLEST_SIZE, LARGEST_SIZE)
    looks = draw_looks(np.random.default_rng(np.random.SeedSequence([seed, index, 0, 0])))
    movements = np.random.default_rng(np.random.SeedSequence([seed, index, 1, take]))
    act = perform(movements, np.arange(first_frame, first_frame + frames, dtype=np.float64))
    scenery = paint_background(looks, size)
    sheets = paint_puppet(looks, size)
    placed = [place_sheet(sheet.mount, act) for sheet in sheets]
    affine = np.stack([np.tile(np.eye(2, 3), (frames, 1, 1)), *(place.affine for place in placed)], axis=1)
    # Rounding takes away the last digits, where the sines of two machines may differ.
    affine = np.round(affine, 6).astype(np.float32)
    rank = np.stack(
        [rank_sheet(number, sheet, place) for number, (sheet, place) in enumerate(zip(sheets, placed, strict=True))]
    )
    picture, layer = render_sheets(scenery, sheets, affine, rank)
    position, visible = find_landmarks(sheets, affine, rank, layer)
    return PuppetClip(
        name=f"puppet-{seed}-{index:06d}" + (f"-take-{take}" if take else ""),
        identity=(seed << 32) + index,
        frames=torch.as_tensor(picture),
        position=torch.as_tensor(position),
        visible=torch.as_tensor(visible),
        foreground=torch.as_tensor((layer > 0).astype(np.float32))[:, None],
        layer=torch.as_tensor(layer),
        affine=torch.as_tensor(affine),
        layer_names=("background", *(sheet.name for sheet in sheets)),
    )


def generate_puppets(clips: int, *, frames: int = 32, size: int = 64, seed: int = 0) -> Iterator[PuppetClip]:
    """Draw the first clips of a cast, one after another, each of another person.

    Args:
        clips: How many, 1 or more. Clip `i` depends on `seed`, `i`, `frames` and `size`, not on `clips`.
        frames: Frames in each, 1 or more.
        size: Height and width in pixels, 64 to 256.
        seed: Which cast, from 0 to 2**32 - 1; two casts share nobody, so one can train and another test.

    Yields:
        What `generate_puppet(seed, i, frames=frames, size=size)` gives.

    Raises:
        ValueError: An argument lies outside its range; raised at the call, not at the first clip.
    """
    _check_range("clips", clips, 1, 2**32)
    _check_range("frames", frames, 1, 2**24)
    _check_range("size", size, SMALLEST_SIZE, LARGEST_SIZE)
    _check_range("seed", seed, 0, 2**32 - 1)
    return (generate_puppet(seed, index, frames=frames, size=size) for index in range(clips))


def _check_range(name: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise ValueError(f"{name} must lie in {lowest} to {highest}, got {value}; choose a number in that range")

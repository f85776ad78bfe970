"""Puppets as files: clips that any program can read, with their ground truth beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from prioritycut.data.clips import DEFAULT_RATE, write_clip
from prioritycut.data.puppets import LANDMARKS, PuppetClip, generate_puppets
from prioritycut.errors import UserError


def write_puppets(
    folder: Path,
    *,
    clips: int,
    frames: int,
    size: int,
    seed: int,
    advance: Callable[[int], None] = lambda done: None,
) -> None:
    """Write `NAME.mp4` and `NAME.npz` for each puppet, and `puppets.json` that says what the arrays are.

    The arrays of a clip: `position` (time, points, 2) in [-1, 1], `visible` (time, points), `foreground` and
    `layer` (time, height, width), `affine` (time, layers, 2, 3). `affine` and `layer` give the motion and the
    occlusion of every pair of frames; `PuppetClip.truth` does so.

    Args:
        folder: Made if missing; files of the same names are replaced.
        clips, frames, size, seed: See `generate_puppets`.
        advance: Told the clips done so far.

    Raises:
        UserError: The folder cannot be written.
        ValueError: A number is out of range.
    """
    drawn = generate_puppets(clips, frames=frames, size=size, seed=seed)
    about = {
        "landmarks": LANDMARKS,
        "rate": int(DEFAULT_RATE),
        "seed": seed,
        "clips": clips,
        "frames": frames,
        "size": size,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for done, clip in enumerate(drawn, start=1):
            write_clip(folder / f"{clip.name}.mp4", clip.frames, rate=DEFAULT_RATE)
            _write_truth(folder / f"{clip.name}.npz", clip)
            advance(done)
        # Last, for it promises that all of them are there.
        (folder / "puppets.json").write_text(json.dumps(about, indent=2))
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be written ({error.strerror}); free space or choose another place"
        ) from error


def _write_truth(path: Path, clip: PuppetClip) -> None:
    partial = path.with_name(f".{path.stem}.partial.npz")
    try:
        np.savez_compressed(
            partial,
            position=clip.position.numpy(),
            visible=clip.visible.numpy(),
            foreground=clip.foreground[:, 0].bool().numpy(),
            layer=clip.layer.numpy(),
            affine=clip.affine.numpy(),
        )
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise

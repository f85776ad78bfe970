"""Copies of clips that are worse in known ways: a metric that does not put them in order measures something else.

    python examples/degraded_copies.py CLIPS OUTPUT [--frames 32] [--size 256]

CLIPS is a folder of clips, or `puppets`. Writes OUTPUT/targets (lossless) and beside it `reencoded` (mp4), `blurred`
(Gaussian), `shifted` (to the right) and `swapped` (each clip shows the next one's subject), for `prioritycut score`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F

from prioritycut.data.clips import fit_square, open_clip, write_clip
from prioritycut.data.layout import clips_in
from prioritycut.data.puppets import generate_puppets
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.outputs import Clip

SHIFT, BLUR = 1 / 64, 1 / 128
"""Pixels to the right, and standard deviation in pixels, as shares of the frame's side."""


def read_first(path: Path, frames: int, size: int) -> Clip:
    with open_clip(path) as reader:
        return torch.stack([fit_square(frame, size) for frame in islice(reader, frames)])


def source_clips(clips: str, frames: int, size: int, limit: int | None) -> Iterator[tuple[str, Clip]]:
    if clips == "puppets":
        for puppet in generate_puppets(limit or 10, frames=frames, size=size, seed=HELD_OUT_SEED):
            yield puppet.name, puppet.frames
        return
    for path in islice(clips_in(Path(clips)), limit):
        if path.suffix in (".mp4", ".gif", ".webm", ".mov") or path.is_dir():
            yield path.stem, read_first(path, frames, size)


def shifted(clip: Clip) -> Clip:
    pixels = round(SHIFT * clip.shape[-1])
    return F.pad(clip, (pixels, 0, 0, 0), mode="replicate")[..., : clip.shape[-1]]


def blurred(clip: Clip) -> Clip:
    sigma = BLUR * clip.shape[-1]
    radius = round(4 * sigma)
    offset = torch.arange(-radius, radius + 1, dtype=torch.float32)
    line = torch.exp(-(offset**2) / (2 * sigma**2))
    line = (line / line.sum()).expand(3, 1, -1)
    padded = F.pad(clip, (radius, radius, radius, radius), mode="replicate")
    rows = F.conv2d(padded, line[:, :, None, :], groups=3)
    return F.conv2d(rows, line[:, :, :, None], groups=3).clamp(0, 1)


DEGRADATIONS: dict[str, Callable[[Clip], Clip]] = {"blurred": blurred, "shifted": shifted}


def write_copies(clips: str, output: Path, *, frames: int, size: int, limit: int | None = None) -> None:
    """Write the targets and all four copies; every clip has the same number of frames."""
    found = list(source_clips(clips, frames, size, limit))
    shortest = min(len(clip) for _, clip in found)
    found = [(name, clip[:shortest]) for name, clip in found]
    for number, (name, clip) in enumerate(found):
        write_clip(output / "targets" / name, clip)
        write_clip(output / "reencoded" / f"{name}.mp4", clip)
        write_clip(output / "swapped" / name, found[(number + 1) % len(found)][1])
        for label, degrade in DEGRADATIONS.items():
            write_clip(output / label / name, degrade(clip))
    print(f"wrote {output}: {len(found)} clips of {shortest} frames at {size}x{size}, five times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips")
    parser.add_argument("output", type=Path)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--limit", type=int, default=None, help="use only so many clips")
    arguments = parser.parse_args()
    write_copies(arguments.clips, arguments.output, frames=arguments.frames, size=arguments.size, limit=arguments.limit)


if __name__ == "__main__":
    main()

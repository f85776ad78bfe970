"""The README's picture: held-out puppets, each moved by another one, with every map.

python examples/picture.py --output docs/pictures/puppets.png [--checkpoint puppets]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from prioritycut.animation import animate_stream, best_start
from prioritycut.checkpoint import load_animator
from prioritycut.data.puppets import generate_puppet
from prioritycut.drawing import save_picture
from prioritycut.evaluation import HELD_OUT_SEED
from prioritycut.explanation import explain_frames

PAIRS = ((14, 9, 30), (22, 5, 10), (41, 2, 5), (10, 12, 15))
"""Source puppet, driving puppet, driving frame."""
LENGTH = 48
"""Driving frames that the best start is looked for in."""


def row(checkpoint: str, source: int, driving: int, frame: int) -> torch.Tensor:
    animator = load_animator(checkpoint)
    size = animator.config.frame_size
    picture = generate_puppet(HELD_OUT_SEED, source, frames=1, size=size).frames[0]
    clip = generate_puppet(HELD_OUT_SEED, driving, frames=LENGTH, size=size).frames
    _, initial = best_start(animator, picture, clip)
    start = animator.detect(picture[None])
    (moved,) = animate_stream(animator, picture, clip[frame : frame + 1], initial=initial)
    (panels,) = explain_frames(picture, start, moved)
    return panels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/pictures/puppets.png"))
    parser.add_argument("--checkpoint", default="puppets")
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    rows = [row(arguments.checkpoint, *pair) for pair in PAIRS]
    # The labels of the first row serve all of them.
    label_height = rows[0].shape[1] - rows[0].shape[2] // 7
    save_picture(arguments.output, torch.cat([rows[0], *(r[:, label_height:] for r in rows[1:])], dim=1))
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    main()

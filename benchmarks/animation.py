"""Frames a second of animation, with the source encoded once and with it encoded for every frame, interleaved.

    python benchmarks/animation.py [--rounds 5] [--frames 64]

Prints a table: median frames a second of both ways and their ratio, for the shipped 64 px model, for a 128 px model
and for the published 256 px size with random weights, and the files-to-file rate of `animate` (decoding, encoding).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from prioritycut.animation import animate_stream
from prioritycut.checkpoint import load_animator
from prioritycut.data.clips import write_clip
from prioritycut.data.puppets import generate_puppet
from prioritycut.drawing import save_picture
from prioritycut.models.fomm import Fomm, FommConfig
from prioritycut.outputs import Clip, Keypoints
from prioritycut.presets import PRESETS
from prioritycut.rendering import RenderOptions, render_files


def encoded_once(animator: Fomm, source: torch.Tensor, driving: Clip) -> None:
    for _ in animate_stream(animator, source, driving, batch_size=8):
        pass


@torch.inference_mode()
def encoded_every_time(animator: Fomm, source: torch.Tensor, driving: Clip) -> None:
    for frame in driving:
        start: Keypoints = animator.detect(source[None])
        animator.render(source[None], start, animator.detect(frame[None]))


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=64)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    models = {
        "puppets (64 px)": load_animator("puppets"),
        "puppets-128": Fomm(PRESETS["puppets-128-prioritycut"].model).eval(),
        "published size (256 px)": Fomm(FommConfig()).eval(),
    }
    print(f"{torch.get_num_threads()} threads; medians of {arguments.rounds} interleaved rounds")
    print(f"{'model':<26}{'encoded once':>14}{'every frame':>14}{'ratio':>8}")
    for name, animator in models.items():
        size = animator.config.frame_size
        clip = generate_puppet(1, 0, frames=max(8, arguments.frames * 64 // size), size=size).frames
        ways = {"once": encoded_once, "every": encoded_every_time}
        rates: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(arguments.rounds + 1):
            for way, work in ways.items():
                rates[way].append(len(clip) / seconds(partial(work, animator, clip[0], clip)))
        once, every = (statistics.median(rates[way][1:]) for way in ways)  # the first round warms up
        print(f"{name:<26}{once:>10.1f} f/s{every:>10.1f} f/s{once / every:>8.2f}")

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        clip = generate_puppet(1, 0, frames=250, size=256).frames
        write_clip(place / "driving.mp4", clip)
        save_picture(place / "source.png", clip[0])
        for explain in (False, True):
            options = RenderOptions(explain=explain)
            spent = seconds(
                lambda options=options: render_files(
                    place / "source.png", place / "driving.mp4", place / "out.mp4", options
                )
            )
            print(f"animate, file to file, 64 px{', with --explain' if explain else ''}: {250 / spent:.1f} f/s")


if __name__ == "__main__":
    main()

"""Frames a second of each metric and detector, batched and one by one, interleaved.

    python benchmarks/metrics.py [--rounds 7] [--frames 64] [--size 256] [--device cpu]

Prints a table: median frames a second of both ways and their ratio. A masked metric counts one mask a frame; the
evaluator asks for up to twelve. Detections are 68 points and 128 features. The detectors' table is that of
`benchmarks/detectors.py`.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

import detectors
from prioritycut.data.puppets import generate_puppet
from prioritycut.metrics import (
    average_euclidean_distance,
    average_keypoint_distance,
    l1,
    masked_psnr,
    masked_ssim,
    missing_keypoint_rate,
    psnr,
    ssim,
)

Work = Callable[..., object]
"""Takes tensors whose first axis is the frames."""


def subjects(frames: int, size: int, device: str) -> dict[str, tuple[Work, tuple[Tensor, ...]]]:
    """Each metric with its arguments."""
    generator = torch.Generator().manual_seed(0)
    clip = generate_puppet(1, 0, frames=frames, size=size)
    target = clip.frames.to(device)
    prediction = (clip.frames + 0.05 * torch.randn(clip.frames.shape, generator=generator)).clamp(0, 1).to(device)
    mask = clip.foreground.to(device)
    points = 256 * torch.rand(2, frames, 68, 2, generator=generator)
    features = torch.randn(2, frames, 128, generator=generator)
    return {
        "L1": (l1, (prediction, target)),
        "PSNR": (psnr, (prediction, target)),
        "SSIM uniform7": (ssim, (prediction, target)),
        "SSIM gaussian11": (partial(ssim, window="gaussian11"), (prediction, target)),
        "masked PSNR": (masked_psnr, (prediction, target, mask)),
        "masked SSIM uniform7": (masked_ssim, (prediction, target, mask)),
        "masked SSIM gaussian11": (partial(masked_ssim, window="gaussian11"), (prediction, target, mask)),
        "AKD": (average_keypoint_distance, (points[0], points[1])),
        "MKR": (missing_keypoint_rate, (points[0], points[1])),
        "AED": (average_euclidean_distance, (features[0], features[1])),
    }


def batched(work: Work, arguments: Sequence[Tensor]) -> None:
    work(*arguments)


def one_by_one(work: Work, arguments: Sequence[Tensor]) -> None:
    for frame in range(len(arguments[0])):
        work(*(argument[frame : frame + 1] for argument in arguments))


def seconds(work: Callable[[], None], device: str) -> float:
    started = time.perf_counter()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    measured = subjects(arguments.frames, arguments.size, arguments.device)

    ways = {"batched": batched, "one by one": one_by_one}
    rates: dict[tuple[str, str], list[float]] = {(name, way): [] for name in measured for way in ways}
    for _ in range(arguments.rounds + 1):
        for name, (work, given) in measured.items():
            for way, run in ways.items():
                spent = seconds(partial(run, work, given), arguments.device)
                rates[name, way].append(arguments.frames / spent)
    print(
        f"{arguments.frames} frames of {arguments.size} px, {torch.get_num_threads()} threads, {arguments.device}; "
        f"medians of {arguments.rounds} interleaved rounds"
    )
    print(f"{'metric':<24}{'batched':>16}{'one by one':>16}{'ratio':>8}")
    for name in measured:
        batch, single = (statistics.median(rates[name, way][1:]) for way in ways)  # the first round warms up
        print(f"{name:<24}{batch:>12,.0f} f/s{single:>12,.0f} f/s{batch / single:>8.2f}")
    print()
    detectors.print_table(3, 8, arguments.size, torch.device(arguments.device), None)


if __name__ == "__main__":
    main()

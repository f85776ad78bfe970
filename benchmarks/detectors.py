"""Frames a second of each detector and matting, batched and one by one, interleaved.

    python benchmarks/detectors.py [--rounds 3] [--frames 8] [--size 256] [--device cpu] [--tools NAME ...]

Prints a table: median frames a second of both ways and their ratio. Frames show NASA's portrait of Eileen Collins,
moved a little. Networks whose weights a user must bring run with random ones, which costs the same (2-D FAN on whole
frames, without its face finder); part-affinity, which looks at each frame ten times, only if it is named.
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
from torch import Tensor, nn

from prioritycut.data.clips import fit_square
from prioritycut.metrics.detectors.deeplab import DeepLabSegmenter, DeepLabV3Plus
from prioritycut.metrics.detectors.fan import FanDetector, FanNetwork
from prioritycut.metrics.detectors.fba import FbaMatting, FbaNetwork
from prioritycut.metrics.detectors.openface import Nn4Small2, OpenFaceNetwork
from prioritycut.metrics.detectors.part_affinity import PartAffinityDetector, PartAffinityNetwork
from prioritycut.metrics.detectors.registry import (
    Choice,
    build_identity_network,
    build_keypoint_detector,
    build_matting,
    build_segmenter,
)
from prioritycut.metrics.detectors.resnet import ResNet
from prioritycut.metrics.salient import Matting, trimap

Look = Callable[[Tensor], object]


def portraits(count: int, size: int) -> Tensor:
    """The portrait's face, a pixel further to the right in each frame."""
    from skimage import data

    picture = torch.from_numpy(data.astronaut().copy()).permute(2, 0, 1).float() / 255
    return torch.stack([fit_square(picture[:, :256, 96 + n % 64 : 352 + n % 64], size) for n in range(count)])


def on_border(matting: Matting) -> Look:
    """A matting at the border of a disc as large as a head."""

    def look(frames: Tensor) -> object:
        size = frames.shape[-1]
        line = torch.linspace(-1, 1, size)
        disc = (line[:, None] ** 2 + line[None, :] ** 2 < 0.5).expand(len(frames), 1, -1, -1)
        return matting(frames, trimap(disc, max(1, size * 10 // 256)))

    return look


class WholeFrames:
    """Takes every frame for a face."""

    name = version = "whole frames"

    def __call__(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        return torch.tensor([0.0, 0.0, width - 1.0, height - 1.0]).expand(len(frames), -1)


def standing_in(folder: Path, name: str, network: nn.Module, prefix: str = "") -> tuple[Path, ...]:
    """Random weights in a file, as a user would bring the published ones."""
    path = folder / f"{name}.pth"
    torch.save({prefix + key: value for key, value in network.state_dict().items()}, path)
    return (path,)


def tools(folder: Path, device: torch.device) -> dict[str, Callable[[], Look]]:
    """By name: what builds a tool."""

    def keypoints(name: str) -> Callable[[], Look]:
        return lambda: build_keypoint_detector(Choice(name), device)

    def identity(name: str, weights: Callable[[], tuple[Path, ...]] = tuple) -> Callable[[], Look]:
        return lambda: build_identity_network(Choice(name, weights()), device)

    def closed_form() -> Look:
        matting = build_matting(Choice("closed-form"), device)
        assert matting is not None
        return on_border(matting)

    return {
        "mediapipe-face": keypoints("mediapipe-face"),
        "mediapipe-pose": keypoints("mediapipe-pose"),
        "dlib-68": keypoints("dlib-68"),
        "puppets (keypoints)": keypoints("puppets"),
        "fan": lambda: FanDetector.load(standing_in(folder, "fan", FanNetwork()), device, boxes=WholeFrames()),
        "dlib-identity": identity("dlib-identity"),
        "puppets (identity)": identity("puppets"),
        "openface": lambda: OpenFaceNetwork.load(standing_in(folder, "openface", Nn4Small2()), device),
        "market-1501": identity("market-1501", lambda: standing_in(folder, "market", ResNet(50), prefix="model.")),
        "mediapipe-selfie": lambda: build_segmenter(Choice("mediapipe-selfie"), device),
        "deeplabv3plus": lambda: DeepLabSegmenter.load(standing_in(folder, "deeplab", DeepLabV3Plus()), device),
        "closed-form": closed_form,
        "fba": lambda: on_border(FbaMatting.load(standing_in(folder, "fba", FbaNetwork()), device)),
        "part-affinity": lambda: PartAffinityDetector.load(standing_in(folder, "paf", PartAffinityNetwork()), device),
    }


def seconds(work: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def one_by_one(look: Look, frames: Tensor) -> None:
    for frame in frames:
        look(frame[None])


@torch.inference_mode()
def print_table(rounds: int, frames: int, size: int, device: torch.device, names: list[str] | None) -> None:
    """Measure and print."""
    shown = portraits(frames, size).to(device)
    with tempfile.TemporaryDirectory() as folder:
        known = tools(Path(folder), device)
        looks = {name: known[name]() for name in names or [name for name in known if name != "part-affinity"]}
    ways = {"batched": lambda look, given: look(given), "one by one": one_by_one}
    rates: dict[tuple[str, str], list[float]] = {(name, way): [] for name in looks for way in ways}
    for _ in range(rounds + 1):
        for name, look in looks.items():
            for way, run in ways.items():
                rates[name, way].append(frames / seconds(partial(run, look, shown), device))
    threads = torch.get_num_threads()
    print(f"{frames} frames of {size} px, {threads} threads, {device}; medians of {rounds} interleaved rounds")
    print(f"{'tool':<24}{'batched':>16}{'one by one':>16}{'ratio':>8}")
    for name in looks:
        batch, single = (statistics.median(rates[name, way][1:]) for way in ways)  # the first round warms up
        print(f"{name:<24}{batch:>12,.3g} f/s{single:>12,.3g} f/s{batch / single:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tools", nargs="*", default=None)
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    print_table(arguments.rounds, arguments.frames, arguments.size, device, arguments.tools)


if __name__ == "__main__":
    main()

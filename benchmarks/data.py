"""How fast pairs are read from each store, and whether training waits for them.

    python benchmarks/data.py pairs [--rounds 9] [--pairs 20] [--frames 300] [--size 256] [--clip FILE]
    python benchmarks/data.py feeding [--workers 0 1 2] [--steps 12] [--large-steps 3] [--large-batch 2]

`pairs`: frames a second of two random frames of one clip, opened anew for each pair, from every store, beside decoding
the whole clip as the published code does (an ordinary mp4, decoded to bytes, of which two frames are taken); one
thread, interleaved rounds, files in the operating system's cache.

`feeding`: what share of its time a training loop waits for its pairs, reading mp4 of its own size, with flips and
jitter, and how many pairs the readers deliver by themselves: a GPU that makes S steps a second wants S times the batch.

Real clips are used where they lie beside the project, else a photograph that moves.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from PIL import Image
from torch import Tensor

from moving_pictures import decoded, real_clips, square_frames
from prioritycut.data.clips import write_clip
from prioritycut.data.datasets import ClipPairs, FolderData, TrainingPairs, build_pairs, frame_numbers
from prioritycut.data.layout import open_split
from prioritycut.data.loading import pair_batches
from prioritycut.data.media import Pixels, to_float
from prioritycut.losses import PerceptualConfig
from prioritycut.preprocessing.packing import pack_shards
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.settings import ClipSettings, Store
from prioritycut.preprocessing.stores import StoredFacts, StoreWriter
from prioritycut.presets import PRESETS
from prioritycut.train_config import TrainConfig
from prioritycut.training import Trainer

RATE = Fraction(25)
ReadPair = Callable[[torch.Generator], Tensor]


@dataclass(frozen=True)
class Way:
    """One way to come by pairs."""

    name: str
    bytes: int
    read: ReadPair
    whole: bool = False
    """Whether the whole clip is decoded for each."""


def store_frames(root: Path, clip: str, frames: Sequence[Pixels], store: Store) -> StoredFacts:
    """As `preprocess` stores a clip."""
    settings = ClipSettings(size=frames[0].shape[0], store=store)
    writer = StoreWriter(clip, "train", RATE, settings, workdir=root / ".work", output=root)
    for pixels in frames:
        writer.write(pixels)
    return writer.finish()


def total_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def random_access(name: str, root: str, size: int, used: int) -> Way:
    pairs = ClipPairs(open_split(root, "train"), size)
    return Way(name, used, lambda generator: pairs.frames(0, generator=generator))


def whole_clip(path: Path) -> Way:
    def read(generator: torch.Generator) -> Tensor:
        frames = list(decoded(path))
        return torch.stack([to_float(frames[n]) for n in frame_numbers(len(frames), generator=generator)])

    return Way("whole clip decoded (mp4, default GOP)", path.stat().st_size, read, whole=True)


def ways(folder: Path, frames: list[Pixels]) -> list[Way]:
    """Every store of the clip, and the way that the others are compared with, first."""
    size = frames[0].shape[0]
    roots = {name: folder / name / "train" for name in ("ordinary", "gif", "strip")}
    for place in roots.values():
        place.mkdir(parents=True)
    write_clip(roots["ordinary"] / "clip.mp4", map(to_float, frames), rate=RATE)
    write_clip(roots["gif"] / "clip.gif", map(to_float, frames), rate=RATE)
    Image.fromarray(np.concatenate(frames, axis=1)).save(roots["strip"] / "clip.png")
    for store in ("mp4", "jpeg", "png"):
        store_frames(folder / store, "clip", frames, store)
    named = {
        "mp4": "mp4 as `preprocess` writes it",
        "ordinary": "mp4, default GOP",
        "jpeg": "jpeg",
        "png": "png",
        "gif": "gif",
        "strip": "strip (one png)",
    }
    found = [
        random_access(label, str(folder / name), size, total_bytes(folder / name / "train"))
        for name, label in named.items()
    ]
    return [whole_clip(roots["ordinary"] / "clip.mp4"), *found]


def shard_ways(folder: Path, stack: ExitStack, frames: Sequence[Pixels]) -> list[Way]:
    """The same mp4 packed into a shard, as a file and from a server on this machine."""
    root, size = folder / "shards", frames[0].shape[0]
    stored = store_frames(root, "clip", frames, "shards")
    record = ClipRecord(
        clip="clip", video="", partition="train", outcome="made", file=stored.file, bytes=stored.bytes, hash=stored.hash
    )
    pack_shards(root, [record], say=print)
    used = total_bytes(root)
    address = stack.enter_context(served(root))
    return [
        random_access("shards", str(root), size, used),
        random_access("shards over http, same machine", address, size, used),
    ]


@contextmanager
def served(folder: Path) -> Generator[str]:
    """A web server that knows ranges, in a process of its own; gives its address."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    server = context.Process(target=serve, args=(str(folder), there), daemon=True)
    server.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        server.terminate()
        server.join()


def serve(folder: str, port: Connection) -> None:
    from aiohttp import web

    application = web.Application()
    application.router.add_static("/", folder)
    place = socket.create_server(("127.0.0.1", 0))
    port.send(place.getsockname()[1])
    web.run_app(application, sock=place, print=None)


def measure_pairs(arguments: argparse.Namespace) -> None:
    clip = arguments.clip or (max(real_clips(), key=lambda path: path.name == "d3.mp4") if real_clips() else None)
    frames = square_frames(clip, arguments.size, arguments.frames)
    print(
        f"{len(frames)} frames of {clip.name if clip else 'a photograph'} at {arguments.size} px, one thread, ", end=""
    )
    print(f"medians of {arguments.rounds} interleaved rounds")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
        listed = [*ways(Path(folder), frames), *shard_ways(Path(folder), stack, frames)]
        rates: dict[str, list[float]] = {way.name: [] for way in listed}
        for number in range(arguments.rounds + 1):
            for way in listed:
                generator = torch.Generator().manual_seed(number)
                # The whole clip takes the same time for any pair, so a few tell.
                count = max(1, arguments.pairs // 10) if way.whole else arguments.pairs
                started = time.perf_counter()
                for _ in range(count):
                    way.read(generator)
                rates[way.name].append(2 * count / (time.perf_counter() - started))
    base = listed[0].name
    print("| store | frames/s | times the whole clip | MB |\n|---|---|---|---|")
    for way in listed:
        measured = rates[way.name][1:]  # the first round warms up
        times = statistics.median(a / b for a, b in zip(measured, rates[base][1:], strict=True))
        print(f"| {way.name} | {statistics.median(measured):,.0f} | {times:.1f} | {way.bytes / 1e6:.2f} |")


def clips_of_size(root: Path, size: int, count: int = 8, frames: int = 300) -> None:
    """A data set of mp4 clips at the model's own size."""
    sources = real_clips()[:count] or [None]
    for number, source in enumerate(sources):
        store_frames(root, f"{number:03d}", square_frames(source, size, frames), "mp4")


def measure_feeding(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads or torch.get_num_threads())
    print(f"{torch.get_num_threads()} threads train; flips and jitter; the first step is not counted")
    print("| model | workers | batch | steps/s | waiting | pairs/s without the model |\n|---|---|---|---|---|---|")
    large = PRESETS["vox-256-prioritycut"]
    runs = (
        (PRESETS["puppets-64-prioritycut"], arguments.steps),
        # The published network with weights that need no download: it costs the same.
        (
            replace(large, batch_size=arguments.large_batch, perceptual=replace(large.perceptual, weights="random")),
            arguments.large_steps,
        ),
    )
    for config, steps in runs:
        assert isinstance(config.perceptual, PerceptualConfig)
        with tempfile.TemporaryDirectory() as folder:
            clips_of_size(Path(folder), config.model.frame_size)
            for workers in arguments.workers:
                show_feeding(replace(config, data=FolderData(root=folder)), workers, steps)


def show_feeding(config: TrainConfig, workers: int, steps: int) -> None:
    pairs = build_pairs(config.data, config.model.frame_size, seed=0)
    delivered = pairs_a_second(pairs, workers)
    trainer = Trainer(config, Fabric(accelerator="cpu", devices=1, precision=config.precision))
    numbers = range((steps + 1) * config.batch_size)
    waited = begun = 0.0
    with pair_batches(pairs, numbers, batch_size=config.batch_size, workers=workers, say=print) as batches:
        for step in range(1, steps + 2):
            asked = time.perf_counter()
            batch = next(batches)
            arrived = time.perf_counter()
            # An epoch at which half of the steps are regularized.
            trainer.step(batch, step=step, epoch=config.epochs)
            if step == 1:
                begun = time.perf_counter()
            else:
                waited += arrived - asked
    spent = time.perf_counter() - begun
    print(
        f"| {config.name} | {workers} | {config.batch_size} | {steps / spent:.3g} | {waited / spent:.2%} | "
        f"{delivered:,.0f} |",
        flush=True,
    )


def pairs_a_second(pairs: TrainingPairs, workers: int, *, batch_size: int = 8, batches: int = 60) -> float:
    """What the readers deliver to someone who does nothing with it."""
    with pair_batches(
        pairs, range(batches * batch_size), batch_size=batch_size, workers=workers, say=print
    ) as delivered:
        started = 0.0
        for number, _ in enumerate(delivered):
            if number == batches // 3:  # by then, what the workers had prepared ahead is used up
                started = time.perf_counter()
    return (batches - 1 - batches // 3) * batch_size / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    pairs = kinds.add_parser("pairs", help="frames a second of random pairs")
    pairs.add_argument("--rounds", type=int, default=9)
    pairs.add_argument("--pairs", type=int, default=20)
    pairs.add_argument("--frames", type=int, default=300)
    pairs.add_argument("--size", type=int, default=256)
    pairs.add_argument("--clip", type=Path)
    pairs.set_defaults(measure=measure_pairs)
    feeding = kinds.add_parser("feeding", help="what share of its time training waits for pairs")
    feeding.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    feeding.add_argument("--steps", type=int, default=12)
    feeding.add_argument("--large-steps", type=int, default=3)
    feeding.add_argument("--large-batch", type=int, default=2)
    feeding.add_argument("--threads", type=int, default=0, help="that train; torch's own choice by default")
    feeding.set_defaults(measure=measure_feeding)
    arguments = parser.parse_args()
    arguments.measure(arguments)


if __name__ == "__main__":
    main()

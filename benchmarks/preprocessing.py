"""How fast videos become clips on one core, and how large clips are.

    python benchmarks/preprocessing.py [--rounds 3] [--frames 250] [--json docs/data-rates.json]

Frames a second of decoding a 720p video, cutting a box as large as VoxCeleb's are, resizing it to 256 and encoding it,
for each store; of finding and following a face or a person first; bytes a frame at 256 of all clips at hand.
Interleaved rounds, in seconds of processor time on one core, whatever else the machine has and does.
`examples/data_scale.py` makes hours and disk of the JSON.

Real clips are used where they lie beside the project, else a photograph that moves.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from moving_pictures import large_video, real_clips
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.cutting import Cut, cut_clips, video_facts
from prioritycut.preprocessing.jobs import TrackedVideo
from prioritycut.preprocessing.packing import pack_shards
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.settings import ClipSettings, Store
from prioritycut.preprocessing.tracked import make_tracked

STORES: tuple[Store, ...] = ("mp4", "jpeg", "png", "shards")
BOX_SIDE = 400
"""Pixels of a box in a 1280x720 frame: of the boxes in VoxCeleb's list half have a longer side."""


def on_one_core() -> None:
    """As a worker of `preprocess` among as many as there are cores."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)


def cut_whole(videos: list[Path], frames: int, store: Store, box: Box | None, output: Path) -> list[ClipRecord]:
    """One clip of each video: its first frames, cut to a box or to their middle square."""
    made = list[ClipRecord]()
    for video in videos:
        cut = Cut(video.stem, "train", box, 0, min(frames, video_facts(video).frames or frames))
        settings = ClipSettings(size=256, store=store)
        made += cut_clips(video, video.name, [cut], settings, workdir=output / ".work", output=output)
        assert made[-1].outcome == "made", made[-1].reason
    if store == "shards":
        pack_shards(output, made, say=print)
    return made


def tracked(video: Path, subject: str, folder: Path) -> list[ClipRecord]:
    work = TrackedVideo(video=video.name, path=video, partition="train", subject=subject, min_size=64)  # pyright: ignore
    settings = ClipSettings(size=256, store="mp4")
    return make_tracked(work, settings, output=folder / subject, workdir=folder / ".work")


def middle_box(video: Path) -> Box:
    facts = video_facts(video)
    left, top = (facts.width - BOX_SIDE) // 2, (facts.height - BOX_SIDE) // 2
    return Box(left, top, left + BOX_SIDE, top + BOX_SIDE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=250)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    on_one_core()
    real = {path.name: path for path in real_clips()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Of the real clips these two are of 720p: a face that talks, and a body from head to foot.
        face = real.get("d13.mp4") or large_video(folder, arguments.frames)
        body = real.get("s13.mp4")
        facts = video_facts(face)
        frames = min(arguments.frames, facts.frames or arguments.frames)
        jobs: dict[str, tuple[int, Callable[[], list[ClipRecord]]]] = {
            store: (frames, partial(cut_whole, [face], frames, store, middle_box(face), folder / store))
            for store in STORES
        }
        jobs["track face"] = (facts.frames or frames, partial(tracked, face, "face", folder))
        if body is not None:
            jobs["track person"] = (video_facts(body).frames or 0, partial(tracked, body, "person", folder))
        rates: dict[str, list[float]] = {job: [] for job in jobs}
        for _ in range(arguments.rounds + 1):
            for job, (count, work) in jobs.items():
                shutil.rmtree(folder / job, ignore_errors=True)
                started = time.process_time()
                work()
                rates[job].append(count / (time.process_time() - started))
        found = {job: statistics.median(each[1:]) for job, each in rates.items()}  # the first round warms up
        print(f"processor time of one core, {facts.width}x{facts.height}, medians of {arguments.rounds} rounds")
        print("| work | frames/s |\n|---|---|")
        for job, rate in found.items():
            print(f"| {job} | {rate:,.0f} |")
        sizes = bytes_a_frame(list(real.values()) or [face], folder, arguments.frames)
        print(f"\n| store at 256 px | bytes a frame ({max(1, len(real))} clips) |\n|---|---|")
        for store, size in sizes.items():
            print(f"| {store} | {size:,.0f} |")
    if arguments.json is not None:
        rounded = {
            "frames_a_second": {job: round(rate, 1) for job, rate in found.items()},
            "bytes_a_frame": {store: round(size) for store, size in sizes.items()},
        }
        arguments.json.write_text(json.dumps(rounded, indent=2) + "\n")


def bytes_a_frame(videos: list[Path], folder: Path, frames: int) -> dict[Store, float]:
    sizes = dict[Store, float]()
    for store in STORES:
        output = folder / "sizes" / store
        made = cut_whole(videos, frames, store, None, output)
        used = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
        sizes[store] = used / sum(record.frames for record in made)
    return sizes


if __name__ == "__main__":
    main()

"""Videos for tests of whole runs: some that need no decoder, whose fate stands in their names, and calm real ones."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

import av
import numpy as np

from prioritycut.errors import UserError
from prioritycut.preprocessing.jobs import Job, TrackedVideo
from prioritycut.preprocessing.plan import Asked, FolderRules, Plan, Recipe, make_plan
from prioritycut.preprocessing.records import TIMES, ClipRecord, Outcome
from prioritycut.preprocessing.settings import ClipSettings

CLIPS = ClipSettings(size=64)


def videos(*names: str) -> list[TrackedVideo]:
    return [
        TrackedVideo(video=name, path=Path("/videos") / name, partition="train", subject="whole", min_size=64)
        for name in names
    ]


def jobs(output: Path, *names: str) -> list[Job]:
    return [Job(work=work, clips=CLIPS, output=output, settings="digest") for work in videos(*names)]


def plan(count: int = 1, *, size: int = 64, seed: int = 0) -> Plan:
    recipe = Recipe(rules=FolderRules(subject="whole", min_size=64, seed=seed), clips=ClipSettings(size=size))
    return make_plan(Path("/videos"), recipe, Asked(videos=count))


def stand_in(job: Job) -> list[ClipRecord]:
    """Two clips, unless the video's name holds another fate."""
    name, output = job.work.video, job.output
    fate = name.split("-")[0]
    if fate == "killer" or (fate == "once" and first_time(output, name)):
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "slow":
        time.sleep(0.2)
    if fate == "ctrlc":
        raise KeyboardInterrupt
    if fate == "full":
        raise UserError("disk full while writing it; free space")
    if fate == "network" and first_time(output, name):
        return [failed(job, "network", "timed out")]
    if fate == "corrupt":
        return [failed(job, "corrupt", "it is damaged")]
    return [made(job, f"{name}#{number}", f"clip {number} of {name}".encode() * 50) for number in range(2)]


def first_time(output: Path, name: str) -> bool:
    marker = output.with_name(f"{output.name}-{name}.tried")
    seen = marker.exists()
    marker.touch()
    return not seen


def failed(job: Job, outcome: Outcome, reason: str) -> ClipRecord:
    return ClipRecord(clip=job.work.video, video=job.work.video, partition="train", outcome=outcome, reason=reason)


def made(job: Job, clip: str, content: bytes) -> ClipRecord:
    path = job.output / "train" / f"{clip}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return ClipRecord(
        clip=clip,
        video=job.work.video,
        partition="train",
        outcome="made",
        file=f"train/{path.name}",
        bytes=len(content),
        hash=blake2b(content, digest_size=16).hexdigest(),
        frames=1,
    )


def without_times(records: Iterable[ClipRecord]) -> list[dict[str, object]]:
    """What two runs must agree on, by clip."""
    kept = [{name: value for name, value in asdict(record).items() if name not in TIMES} for record in records]
    return sorted(kept, key=lambda record: str(record["clip"]))


def brightness(number: int) -> int:
    """Of a frame of a brightening video: it changes too slowly to look like another shot."""
    return 40 + number * 2 % 160


def write_brightening_video(path: Path, count: int, *, width: int = 96, height: int = 64) -> Path:
    """A video whose frames are even and brighten one by one."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        for number in range(count):
            pixels = np.full((height, width, 3), brightness(number), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path

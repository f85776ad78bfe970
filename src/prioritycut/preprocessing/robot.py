"""BAIR robot pushing from its TFRecord release: 30 frames an example, seen by two cameras (SPEC 7.4).

The release (softmotion30_44k) holds frames of 64x64 pixels. The clips of 256x256 that FOMM and PriorityCut used were
made by FOMM's authors, who give them out themselves. Clips made here larger than 64 are enlarged and show no more
detail, which `enlargement` says to whom it concerns; and the counts of the two differ.
"""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import numpy as np
from PIL import Image

from prioritycut.data.media import DEFAULT_RATE, Pixels
from prioritycut.data.pictures import flatten_picture
from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.cutting import resize_square
from prioritycut.preprocessing.jobs import Camera, RobotRecords
from prioritycut.preprocessing.records import ClipRecord, Partition
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.stores import StoreWriter
from prioritycut.preprocessing.tfrecord import Record, count_records, read_byte_features, read_records

FRAMES = 30
"""Of each example."""

SOURCE_SIDE = 64
"""Height and width of the release's frames."""


def enlargement(clips: ClipSettings) -> str | None:
    """What a person should know of clips larger than the release's frames; `None` where they are not."""
    if clips.size <= SOURCE_SIDE:
        return None
    side, size = f"{SOURCE_SIDE}x{SOURCE_SIDE}", f"{clips.size}x{clips.size}"
    return (
        f"the TFRecord release holds frames of {side}: clips of {size} are enlarged and show no more detail; "
        "the paper's 256x256 clips are those that the authors of FOMM give out"
    )


def robot_jobs(folder: Path, camera: Camera = "main") -> list[RobotRecords]:
    """One job a TFRecord file, clips numbered through each partition in the natural order of file names.

    Args:
        folder: Holds `train/` and `test/` (or one of them) with *.tfrecord or *.tfrecords files.
        camera: Which of the two.

    Raises:
        UserError: There is none, or one cannot be read.
    """
    jobs = list[RobotRecords]()
    partitions: tuple[Partition, ...] = ("train", "test")
    for partition in partitions:
        first = 0
        for path in sorted((folder / partition).glob("*.tfrecord*"), key=_natural_key):
            video = f"{partition}/{path.name}"
            jobs.append(RobotRecords(video=video, path=path, partition=partition, first=first, camera=camera))
            try:
                first += max(1, count_records(path))  # a file without records has one line in the manifest too
            except OSError as error:
                raise UserError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not jobs:
        where = "unpack the release so that it holds train/ and test/ with *.tfrecords files"
        raise UserError(f"{folder}: 0 TFRecord files in its train/ and test/; {where}")
    return jobs


def _natural_key(path: Path) -> tuple[list[int], str]:
    """traj_256_to_511 before traj_1024_to_1279."""
    return [int(number) for number in re.findall(r"\d+", path.name)], path.name


def make_robot(work: RobotRecords, clips: ClipSettings, *, output: Path, workdir: Path) -> list[ClipRecord]:
    """Make a clip of each example of a file.

    Args:
        work: The file.
        clips: What the examples become; frames are resized whole.
        output: The data set's folder.
        workdir: A folder of this file's own on the disk of `output`.

    Returns:
        One record an example, named by six digits from `work.first` on: made, or corrupt with the example's number in
        its file, from 0. A file without any has one record, corrupt.

    Raises:
        UserError: The disk is full or refuses.
    """
    records = list[ClipRecord]()
    try:
        for number, record in enumerate(read_records(work.path)):
            records.append(_make_clip(work, number, record, clips, output=output, workdir=workdir))
    except OSError as error:
        records.append(_corrupt(work, len(records), f"the file cannot be read ({error.strerror})"))
    return records or [_corrupt(work, 0, "the file holds no example")]


def _make_clip(
    work: RobotRecords, number: int, record: Record, clips: ClipSettings, *, output: Path, workdir: Path
) -> ClipRecord:
    try:
        if record.fault is not None:
            raise ValueError(record.fault)
        frames = [_pixels(content) for content in _contents(record.data, work.camera)]
        if len({pixels.shape for pixels in frames}) > 1:
            raise ValueError("its frames are of several sizes")
    except ValueError as error:
        return _corrupt(work, number, f"example {number}: {error}")
    clip = _clip(work, number)
    # The release states no rate.
    writer = StoreWriter(clip, work.partition, DEFAULT_RATE, clips, workdir=workdir, output=output)
    try:
        for pixels in frames:
            writer.write(resize_square(pixels, clips.size))
        stored = writer.finish()
    except BaseException:
        writer.abandon()
        raise
    height, width, _ = frames[0].shape
    return ClipRecord(
        clip=clip,
        video=work.video,
        partition=work.partition,
        outcome="made",
        file=stored.file,
        start=0,
        end=len(frames),
        box=Box(0, 0, width, height),
        video_width=width,
        video_height=height,
        frames=len(frames),
        rate=str(DEFAULT_RATE),
        size=clips.size,
        bytes=stored.bytes,
        hash=stored.hash,
    )


def _clip(work: RobotRecords, number: int) -> str:
    return f"{work.first + number:06d}"


def _corrupt(work: RobotRecords, number: int, reason: str) -> ClipRecord:
    return ClipRecord(
        clip=_clip(work, number), video=work.video, partition=work.partition, outcome="corrupt", reason=reason
    )


def _contents(data: bytes, camera: Camera) -> list[bytes]:
    """The frames of one camera as they are stored. Raises ValueError where there are not as many as there should be."""
    features = read_byte_features(data)
    wanted = re.compile(rf"\d+/image_{camera}/encoded")
    found = sum(1 for name in features if wanted.fullmatch(name))
    if found == 0:
        raise ValueError(f"it holds no frame of the camera {camera}")
    names = [f"{time}/image_{camera}/encoded" for time in range(FRAMES)]
    if found != FRAMES or not features.keys() >= set(names):
        raise ValueError(f"it holds {found} frames of the camera {camera}, not {FRAMES}")
    return [features[name] for name in names]


def _pixels(content: bytes) -> Pixels:
    """A frame of the release, which is bare RGB bytes of a square; of others, a JPEG or PNG file.

    Raises:
        ValueError: It is neither.
    """
    if content.startswith((b"\xff\xd8\xff", b"\x89PNG")):
        try:
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:
                return flatten_picture(picture)
        except (OSError, SyntaxError) as error:
            raise ValueError(f"a frame of it is damaged ({error})") from error
    side = math.isqrt(len(content) // 3)
    if side == 0 or side * side * 3 != len(content):
        raise ValueError(f"a frame of {len(content)} bytes is neither a square of RGB nor a JPEG or PNG")
    return np.frombuffer(content, np.uint8).reshape(side, side, 3)

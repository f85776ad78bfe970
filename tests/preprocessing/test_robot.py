"""BAIR's TFRecord release in small: written by TensorBoard's writer, examples in protobuf's wire format by hand."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.summary.writer.record_writer import RecordWriter

from prioritycut.data.clips import read_clip
from prioritycut.data.encoders import FolderEncoder
from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.jobs import RobotRecords
from prioritycut.preprocessing.records import ClipRecord
from prioritycut.preprocessing.robot import enlargement, make_robot, robot_jobs
from prioritycut.preprocessing.settings import ClipSettings
from wire_format import feature, field

PNG = ClipSettings(size=64, store="png")


def pushing(seed: int, frames: int = 30, side: int = 64) -> np.ndarray:
    """Frames of a bright arm over a noisy table, both unlike any other seed's."""
    generator = np.random.default_rng(seed)
    clip = np.repeat(generator.integers(0, 120, (1, side, side, 3), dtype=np.uint8), frames, axis=0)
    for time in range(frames):
        clip[time, :20, time : time + 6] = (200, 180, 20 + time)
    return clip


def example(main: np.ndarray | list[bytes], aux: np.ndarray | list[bytes] | None = None) -> bytes:
    """A `tf.train.Example` as the release has it: per frame two pictures, action and position, in no order."""
    entries = list[bytes]()
    for camera, clip in (("main", main), ("aux1", main if aux is None else aux)):
        for time, frame in enumerate(clip):
            content = frame if isinstance(frame, bytes) else frame.tobytes()
            entries.append(feature(f"{time}/image_{camera}/encoded", 1, field(1, content)))
            entries.append(feature(f"{time}/action", 2, field(1, bytes(16))))
            entries.append(feature(f"{time}/endeffector_pos", 2, field(1, bytes(12))))
    return field(1, b"".join(reversed(entries)))


def write_file(path: Path, examples: list[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        for content in examples:
            writer.write(content)
    return path


def make(path: Path, clips: ClipSettings = PNG, *, first: int = 0, camera="main") -> list[ClipRecord]:
    work = RobotRecords(video="train/a.tfrecords", path=path, partition="train", first=first, camera=camera)
    return make_robot(work, clips, output=path.parent / "out", workdir=path.parent / "work")


def kept(folder: Path, record: ClipRecord) -> np.ndarray:
    members = sorted((folder / "out" / record.file).iterdir())
    return np.stack([np.asarray(Image.open(member)) for member in members])


def test_every_example_becomes_a_clip_to_the_bit(tmp_path):
    clips = [pushing(seed) for seed in range(3)]
    records = make(write_file(tmp_path / "a.tfrecords", [example(clip) for clip in clips]), first=256)
    assert [record.clip for record in records] == ["000256", "000257", "000258"]
    for record, clip in zip(records, clips, strict=True):
        assert record.file == f"train/{record.clip}"
        np.testing.assert_array_equal(kept(tmp_path, record), clip)
    assert records[1] == ClipRecord(
        clip="000257",
        video="train/a.tfrecords",
        partition="train",
        outcome="made",
        file="train/000257",
        start=0,
        end=30,
        box=Box(0, 0, 64, 64),
        video_width=64,
        video_height=64,
        frames=30,
        rate="25",
        size=64,
        bytes=records[1].bytes,
        hash=records[1].hash,
    )


def test_either_camera_can_be_taken(tmp_path):
    main, aux = pushing(0), pushing(1)
    path = write_file(tmp_path / "a.tfrecords", [example(main, aux)])
    np.testing.assert_array_equal(kept(tmp_path, make(path)[0]), main)
    np.testing.assert_array_equal(kept(tmp_path, make(path, camera="aux1")[0]), aux)


def test_clips_are_resized_as_pillow_would(tmp_path):
    clip = pushing(0)
    (record,) = make(write_file(tmp_path / "a.tfrecords", [example(clip)]), ClipSettings(size=100, store="png"))
    for ours, frame in zip(kept(tmp_path, record), clip, strict=True):
        theirs = np.asarray(Image.fromarray(frame).resize((100, 100), Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(ours - theirs).max() <= 1


def test_clips_of_mp4_can_be_read(tmp_path):
    clip = np.repeat(pushing(0)[..., :1], 3, axis=3)  # grey, of which mp4 keeps every pixel
    (record,) = make(write_file(tmp_path / "a.tfrecords", [example(clip)]), ClipSettings(size=64))
    read = read_clip(tmp_path / "out" / "train" / "000000.mp4").permute(0, 2, 3, 1).numpy() * 255
    assert record.file == "train/000000.mp4"
    assert read.shape == clip.shape
    assert np.abs(read - clip).mean() < 3


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_encoded_pictures_are_read_too(tmp_path, form):
    smooth = np.tile(np.linspace(0, 250, 48).astype(np.uint8)[None, :, None], (48, 1, 3))
    clip = [np.roll(smooth, time, axis=1) for time in range(30)]
    contents = list[bytes]()
    for frame in clip:
        buffer = io.BytesIO()
        Image.fromarray(frame).save(buffer, form, quality=95)
        contents.append(buffer.getvalue())
    (record,) = make(write_file(tmp_path / "a.tfrecords", [example(contents)]), ClipSettings(size=48, store="png"))
    assert record.video_width == 48
    assert np.abs(kept(tmp_path, record).astype(int) - np.stack(clip)).mean() < (1e-9 if form == "PNG" else 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no protobuf", "it is no tf.train.Example"),
        (field(1, feature("0/action", 2, field(1, bytes(16)))), "it holds no frame of the camera main"),
        (example(pushing(0, frames=29)), "it holds 29 frames of the camera main, not 30"),
        (example(pushing(0, frames=31)), "it holds 31 frames of the camera main, not 30"),
        (example([*pushing(0)[:29], b"short"]), "a frame of 5 bytes is neither a square of RGB nor a JPEG or PNG"),
        (example([*pushing(0)[:29], b""]), "a frame of 0 bytes is neither a square of RGB nor a JPEG or PNG"),
        (example([*pushing(0)[:29], pushing(0, side=32)[0]]), "its frames are of several sizes"),
        (example([b"\x89PNG\r\n\x1a\nbroken"] * 30), "a frame of it is damaged"),
        (example([b"\xff\xd8\xff\xe0broken"] * 30), "a frame of it is damaged"),
    ],
)
def test_an_example_that_is_no_clip_is_named_and_the_rest_made(tmp_path, content, reason):
    path = write_file(tmp_path / "a.tfrecords", [example(pushing(1)), content, example(pushing(2))])
    records = make(path, first=10)
    assert [(record.clip, record.outcome) for record in records] == [
        ("000010", "made"),
        ("000011", "corrupt"),
        ("000012", "made"),
    ]
    assert records[1].reason.startswith(f"example 1: {reason}")
    assert "\n" not in records[1].reason
    assert sorted(member.name for member in (tmp_path / "out" / "train").iterdir()) == ["000010", "000012"]


def test_a_truncated_or_damaged_file_gives_what_is_whole(tmp_path):
    content = write_file(tmp_path / "whole", [example(pushing(seed)) for seed in range(3)]).read_bytes()
    path, size = tmp_path / "a.tfrecords", len(content) // 3
    path.write_bytes(content[: size * 2 + 1000])
    records = make(path)
    assert [record.outcome for record in records] == ["made", "made", "corrupt"]
    assert records[2].reason == "example 2: the file was cut off within it"
    damaged = bytearray(content)
    damaged[size + 5000] ^= 1
    path.write_bytes(damaged)
    records = make(path)
    assert [record.outcome for record in records] == ["made", "corrupt", "made"]
    assert records[1].reason == "example 1: its checksum does not agree: the file is damaged there"


@pytest.mark.parametrize("exists", [True, False])
def test_a_file_without_examples_is_named(tmp_path, exists):
    if exists:
        (tmp_path / "a.tfrecords").touch()
    (record,) = make(tmp_path / "a.tfrecords", first=7)
    assert (record.clip, record.outcome) == ("000007", "corrupt")
    assert record.reason == "the file holds no example" if exists else "cannot be read (No such file" in record.reason


def test_what_is_no_tfrecord_file_is_named(tmp_path):
    (tmp_path / "a.tfrecords").write_text("a page that says that the download moved\n" * 30)
    (record,) = make(tmp_path / "a.tfrecords")
    assert record.reason == "example 0: its length is damaged, and what follows it cannot be found"


def test_a_full_disk_stops_the_run(tmp_path, monkeypatch):
    def fill(self, pixels):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FolderEncoder, "write", fill)
    path = write_file(tmp_path / "a.tfrecords", [example(pushing(0))])
    with pytest.raises(UserError, match=r"disk full while writing .*out/train/000000"):
        make(path)
    assert [member for member in (tmp_path / "work").rglob("*") if member.is_file()] == []


def test_files_are_numbered_through_each_partition_in_natural_order(tmp_path):
    names = {"traj_1024_to_1279": 2, "traj_0_to_255": 3, "traj_256_to_511": 1, "traj_512_to_767": 0}
    for name, count in names.items():
        write_file(tmp_path / "train" / f"{name}.tfrecords", [b"example"] * count)
    write_file(tmp_path / "test" / "traj_0_to_255.tfrecords", [b"example"] * 4)
    jobs = robot_jobs(tmp_path, "aux1")
    assert [(job.video, job.partition, job.first, job.camera) for job in jobs] == [
        ("train/traj_0_to_255.tfrecords", "train", 0, "aux1"),
        ("train/traj_256_to_511.tfrecords", "train", 3, "aux1"),
        ("train/traj_512_to_767.tfrecords", "train", 4, "aux1"),
        ("train/traj_1024_to_1279.tfrecords", "train", 5, "aux1"),
        ("test/traj_0_to_255.tfrecords", "test", 0, "aux1"),
    ]
    assert jobs[0].path == tmp_path / "train" / "traj_0_to_255.tfrecords"


def test_clip_numbers_never_meet_even_beside_broken_files(tmp_path):
    write_file(tmp_path / "train" / "a1.tfrecords", [])
    content = write_file(
        tmp_path / "train" / "a2.tfrecords", [example(pushing(seed)) for seed in range(2)]
    ).read_bytes()
    (tmp_path / "train" / "a2.tfrecords").write_bytes(content[:-5])
    write_file(tmp_path / "train" / "a3.tfrecords", [example(pushing(3))])
    names = list[str]()
    for job in robot_jobs(tmp_path):
        names += [record.clip for record in make_robot(job, PNG, output=tmp_path / "out", workdir=tmp_path / "work")]
    assert names == ["000000", "000001", "000002", "000003"]


def test_a_folder_without_records_says_what_was_expected(tmp_path):
    with pytest.raises(UserError, match=r"0 TFRecord files .*; unpack .*train/ and test/") as caught:
        robot_jobs(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_who_asks_for_larger_clips_than_the_release_holds_is_told():
    assert enlargement(ClipSettings(size=64)) is None
    note = enlargement(ClipSettings(size=256))
    assert note is not None
    assert "64x64" in note
    assert "256x256" in note

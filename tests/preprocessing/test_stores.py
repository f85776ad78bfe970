"""How clips are kept: judged by PyAV, Pillow and the shell's own hash."""

from __future__ import annotations

import hashlib
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from prioritycut.data import encoders
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.stores import KEY_INTERVAL, StoredFacts, StoreWriter, content_hash, stored_name


def moving_slope(count: int, size: int = 64) -> list[np.ndarray]:
    """A smooth slope that moves by a pixel a frame."""
    ramp = np.arange(size + count) * 3 % 256
    return [np.stack([np.tile(ramp[i : i + size], (size, 1))] * 3, axis=2).astype(np.uint8) for i in range(count)]


def store(folder: Path, clips: ClipSettings, frames: list[np.ndarray], clip: str = "a#b#000000") -> StoredFacts:
    writer = StoreWriter(clip, "train", Fraction(25), clips, workdir=folder / "work", output=folder / "out")
    for pixels in frames:
        writer.write(pixels)
    return writer.finish()


@pytest.mark.parametrize(("kind", "name"), [("mp4", "c.mp4"), ("shards", "c.mp4"), ("jpeg", "c"), ("png", "c")])
def test_a_clip_is_a_file_or_a_folder(kind, name):
    assert stored_name("c", kind) == name


@pytest.mark.parametrize("name", ["", ".", "..", "../c", "a/c", "/c", ".c"])
def test_no_name_leads_elsewhere(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        store(tmp_path, ClipSettings(), [], clip=name)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_hashed_as_blake2b_says(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 1_000_000)
    assert content_hash(tmp_path / "a") == (3_000_000, hashlib.blake2b(b"abc" * 1_000_000, digest_size=16).hexdigest())


def test_a_folder_is_hashed_by_its_files_in_the_order_of_names(tmp_path):
    for name, content in (("000001.jpg", b"second"), ("000000.jpg", b"first"), ("000010.jpg", b"third")):
        (tmp_path / name).write_bytes(content)
    expected = hashlib.blake2b(b"firstsecondthird", digest_size=16).hexdigest()
    assert content_hash(tmp_path) == (16, expected)


@pytest.mark.parametrize("kind", ["mp4", "shards", "jpeg", "png"])
def test_what_is_said_of_a_stored_clip_is_so(tmp_path, kind):
    facts = store(tmp_path, ClipSettings(size=64, store=kind), moving_slope(12))
    assert facts.file == f"train/{stored_name('a#b#000000', kind)}"
    assert (facts.bytes, facts.hash) == content_hash(tmp_path / "out" / facts.file)
    assert [member for member in (tmp_path / "work").rglob("*") if member.is_file()] == []


def test_an_mp4_has_a_key_frame_every_few_and_no_frame_that_needs_a_later_one(tmp_path):
    facts = store(tmp_path, ClipSettings(size=64), moving_slope(35))
    with av.open(str(tmp_path / "out" / facts.file)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert not container.streams.audio
        packets = [packet for packet in container.demux(stream) if packet.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    assert np.diff([*keys, 35]).max() <= KEY_INTERVAL
    assert set(range(0, 35, KEY_INTERVAL)) <= set(keys)
    assert [packet.pts for packet in packets] == sorted(packet.pts for packet in packets)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot take cores from a process")
@pytest.mark.parametrize("kind", ["mp4", "jpeg", "png"])
def test_the_same_frames_give_the_same_bytes_on_any_number_of_cores(tmp_path, kind):
    frames, clips = moving_slope(40), ClipSettings(size=64, store=kind)
    cores = os.sched_getaffinity(0)
    many = store(tmp_path / "many", clips, frames)
    try:
        os.sched_setaffinity(0, {min(cores)})
        one = store(tmp_path / "one", clips, frames)
    finally:
        os.sched_setaffinity(0, cores)
    assert one == many


def test_an_mp4_says_that_one_thread_wrote_it(tmp_path):
    facts = store(tmp_path, ClipSettings(size=64), moving_slope(3))
    assert b" threads=1 " in (tmp_path / "out" / facts.file).read_bytes()  # x264 writes its options into the stream


def test_an_mp4_shows_what_was_written(tmp_path):
    frames = moving_slope(25)
    facts = store(tmp_path, ClipSettings(size=64), frames)
    with av.open(str(tmp_path / "out" / facts.file)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - frames[number]).mean() < 3
            assert frame.pts * frame.time_base == Fraction(number, 25)


def test_jpegs_are_numbered_and_of_high_quality(tmp_path):
    frames = moving_slope(12)
    facts = store(tmp_path, ClipSettings(size=64, store="jpeg"), frames)
    members = sorted((tmp_path / "out" / facts.file).iterdir())
    assert [member.name for member in members] == [f"{number:06d}.jpg" for number in range(12)]
    with Image.open(members[5]) as picture:
        assert max(picture.quantization[0]) <= 13  # 95 of 100 in the scale of libjpeg
        assert JpegImagePlugin.get_sampling(picture) == 2  # 4:2:0
        assert np.abs(np.asarray(picture).astype(int) - frames[5]).mean() < 2


def test_pngs_keep_every_bit(tmp_path):
    frames = [np.random.default_rng(i).integers(0, 256, (33, 33, 3), dtype=np.uint8) for i in range(3)]
    facts = store(tmp_path, ClipSettings(size=33, store="png"), frames)
    for member, pixels in zip(sorted((tmp_path / "out" / facts.file).iterdir()), frames, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(member)), pixels)


@pytest.mark.parametrize("kind", ["mp4", "jpeg"])
def test_an_abandoned_clip_leaves_nothing(tmp_path, kind):
    clips = ClipSettings(size=64, store=kind)
    writer = StoreWriter("a", "train", Fraction(25), clips, workdir=tmp_path / "work", output=tmp_path / "out")
    for pixels in moving_slope(5):
        writer.write(pixels)
    assert list((tmp_path / "out" / "train").iterdir()) == []
    writer.abandon()
    assert [member for member in tmp_path.rglob("*") if member.is_file()] == []


@pytest.mark.parametrize("kind", ["mp4", "shards"])
def test_odd_sizes_are_for_pictures_only(kind):
    with pytest.raises(ValueError, match="even"):
        ClipSettings(size=65, store=kind)
    assert ClipSettings(size=65, store="png").size == 65


def test_the_same_frames_give_the_same_bytes_on_any_processor(tmp_path, monkeypatch):
    # By x264's own choice a processor with AVX2 makes another file of these than one without.
    generator = np.random.default_rng(0)
    texture = np.kron(generator.integers(0, 256, (40, 40, 3), dtype=np.uint8), np.ones((4, 4, 1), np.uint8))
    frames = [texture[number : number + 112, 2 * number : 2 * number + 112] for number in range(24)]
    clips = ClipSettings(size=112)
    fast = store(tmp_path / "fast", clips, frames)
    options = encoders._RANDOM_ACCESS["x264-params"]
    monkeypatch.setitem(encoders._RANDOM_ACCESS, "x264-params", f"{options}:no-asm=1")
    assert store(tmp_path / "plain", clips, frames) == fast

"""Clips in tar shards, written by webdataset and read from a folder, from a server, and from memory."""

from __future__ import annotations

import errno
import io
import json
import pickle
import socket
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from webdataset import TarWriter

from local_server import serving
from numbered_clips import number_shown, numbered_frame, write_numbered_video
from prioritycut.data import remote
from prioritycut.data.clip_reading import open_clip
from prioritycut.data.datasets import FolderData, TrainingPairs, build_pairs
from prioritycut.data.facts import facts_to_json
from prioritycut.data.index import index_clip
from prioritycut.data.layout import open_split, random_part
from prioritycut.data.loading import pair_batches
from prioritycut.data.media import to_bytes
from prioritycut.data.shards import expand_braces, open_shards
from prioritycut.data.stored import DamagedClipError, StoredClip
from prioritycut.errors import UserError

FRAMES = 24


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(remote, "PAUSES", (0.01, 0.02, 0.04))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "prioritycut" / "shards"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> Path:
    """Six loose videos with their key frames a few frames apart."""
    folder = tmp_path_factory.mktemp("videos") / "train"
    folder.mkdir()
    for number in range(6):
        # Of different lengths, so that one cannot pass for another.
        write_numbered_video(folder / f"id{number // 2}#v#{number:06d}.mp4", FRAMES + number, options={"g": "6"})
    return folder


def write_shards(folder: Path, files: Sequence[Path], *, per_shard: int = 4) -> list[Path]:
    """Shards of videos and a record each, by webdataset alone."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = list[Path]()
    for start in range(0, len(files), per_shard):
        shards.append(folder / f"{start // per_shard:06d}.tar")
        with TarWriter(str(shards[-1])) as writer:
            for file in files[start : start + per_shard]:
                writer.write({"__key__": file.stem, "mp4": file.read_bytes(), "json": {"clip": file.stem}})
    return shards


def write_index(folder: Path, files: Sequence[Path]) -> None:
    """The index of shards, by tarfile."""
    by_name = {file.name: file for file in files}
    lines = list[str]()
    for shard in sorted(folder.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for info in tar:
                if info.name.endswith(".mp4"):
                    line = {
                        "name": info.name,
                        "shard": shard.name,
                        "shard_bytes": shard.stat().st_size,
                        "members": [[info.name, info.offset_data, info.size]],
                        "facts": json.loads(facts_to_json(index_clip(by_name[info.name]))),
                    }
                    lines.append(json.dumps(line) + "\n")
    (folder / "index.jsonl").write_text("".join(lines))


def write_frames(path: Path, clips: Sequence[str], *, frames: int = FRAMES, size: int = 64) -> None:
    """A shard of noisy jpegs that show their number, by webdataset alone."""
    noise = np.random.default_rng(0).integers(0, 30, (size, size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TarWriter(str(path)) as writer:
        for clip in clips:
            sample: dict[str, object] = {"__key__": clip}
            for number in range(frames):
                file = io.BytesIO()
                Image.fromarray(numbered_frame(number, size, size) + noise).save(file, "jpeg", quality=95)
                sample[f"{number:06d}.jpg"] = file.getvalue()
            writer.write(sample)


@pytest.fixture
def indexed(tmp_path, videos) -> Path:
    """A data set with train/ and test/, each of two shards and an index."""
    files = sorted(videos.glob("*.mp4"))
    for split in ("train", "test"):
        write_shards(tmp_path / "set" / split, files)
        write_index(tmp_path / "set" / split, files)
    return tmp_path / "set"


def opened(root: object, split: str = "train", said: list[str] | None = None) -> list[StoredClip]:
    def say(line: str) -> None:
        assert said is not None, line
        said.append(line)

    return open_shards(str(root), split, say=say, advance=lambda done, total: None)  # type: ignore[arg-type]


def all_numbers(clip: StoredClip) -> list[int]:
    with clip.open() as reader:
        return [number_shown(to_bytes(frame)) for frame in reader]


def assert_same_frames(clips: Sequence[StoredClip], folder: Path) -> None:
    assert [clip.name for clip in clips] == sorted(path.name for path in folder.glob("*.mp4"))
    for clip in clips:
        with open_clip(folder / clip.name) as reader:
            truth = [to_bytes(frame) for frame in reader]
        assert clip.frame_count == len(truth)
        numbers = [len(truth) - 1, 3, 3, 0]
        for number, pixels in zip(numbers, clip.frames(numbers), strict=True):
            np.testing.assert_array_equal(pixels, truth[number])
        assert all_numbers(clip) == list(range(len(truth)))


# In a folder


def test_a_shard_of_webdataset_gives_the_frames_of_the_files_in_it(tmp_path, videos):
    write_shards(tmp_path / "set" / "train", sorted(videos.glob("*.mp4")))
    (tmp_path / "set" / "test").mkdir()
    assert_same_frames(opened(tmp_path / "set"), videos)
    # What was found is kept: the second time nobody looks.
    looked = list[int]()
    open_shards(str(tmp_path / "set"), "train", say=print, advance=lambda done, total: looked.append(done))
    assert looked == []


def test_an_index_spares_looking_into_shards(indexed, videos):
    assert_same_frames(opened(indexed), videos)
    assert not list((indexed / "train").glob(".*"))


def test_unsplit_shards_hold_out_a_random_fifth(tmp_path, videos):
    files = sorted(videos.glob("*.mp4"))
    write_shards(tmp_path / "set", files)
    names = [file.name for file in files]
    for split in ("train", "test", "all"):
        assert [clip.name for clip in opened(tmp_path / "set", split)] == random_part(names, split)


def test_frames_of_a_clip_come_in_the_order_of_their_numbers(tmp_path):
    path = tmp_path / "set" / "a.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for number in (10, 2, 1, 0, *range(3, 10)):
            file = io.BytesIO()
            Image.fromarray(numbered_frame(number)).save(file, "png")
            info = tarfile.TarInfo(f"./people/kim.{number}.png")
            info.size = file.tell()
            file.seek(0)
            tar.addfile(info, file)
    [clip] = opened(tmp_path / "set", "all")
    assert (clip.name, clip.frame_count) == ("people#kim", 11)
    assert [number_shown(pixels) for pixels in clip.frames([10, 0, 7])] == [10, 0, 7]
    assert all_numbers(clip) == list(range(11))
    with pytest.raises(ValueError, match="0 to 10"):
        clip.frames([11])


def test_a_gif_in_a_shard_is_a_clip(tmp_path):
    pictures = [Image.fromarray(numbered_frame(number)) for number in range(5)]
    file = io.BytesIO()
    pictures[0].save(file, "gif", save_all=True, append_images=pictures[1:])
    (tmp_path / "set").mkdir()
    with TarWriter(str(tmp_path / "set" / "0.tar")) as writer:
        writer.write({"__key__": "a", "gif": file.getvalue()})
    [clip] = opened(tmp_path / "set", "all")
    assert [number_shown(pixels) for pixels in clip.frames([4, 2])] == [4, 2]


def test_shards_that_number_their_clips_alike_keep_them_apart(tmp_path):
    for shard in ("a", "b"):
        write_frames(tmp_path / "set" / f"{shard}.tar", ["0", shard], frames=2)
    assert [clip.name for clip in opened(tmp_path / "set", "all")] == ["a", "a#0", "b", "b#0"]


# Pairs


def pairs_of(root: object) -> TrainingPairs:
    return build_pairs(FolderData(root=str(root), id_sampling=True), 64, seed=3)


def batches(pairs: TrainingPairs, workers: int) -> list[torch.Tensor]:
    with pair_batches(pairs, range(12), batch_size=4, workers=workers, say=print) as found:
        return list(found)


def test_pairs_from_shards_are_those_from_loose_files_with_any_number_of_workers(indexed, videos):
    (videos.parent / "test").mkdir(exist_ok=True)
    truth = torch.stack([pairs_of(videos.parent)[number] for number in range(12)])
    with serving(indexed) as server:
        for root in (indexed, server.address):
            for workers in (0, 2):
                torch.testing.assert_close(torch.cat(batches(pairs_of(root), workers)), truth, rtol=0, atol=0)


@pytest.mark.slow
def test_spawned_workers_read_from_a_server(indexed, videos):
    truth = torch.stack([pairs_of(indexed)[number] for number in range(6)])
    with serving(indexed) as server:
        loader = DataLoader(
            pairs_of(server.address),
            batch_size=3,
            sampler=range(6),
            num_workers=2,
            multiprocessing_context="spawn",
        )
        torch.testing.assert_close(torch.cat(list(loader)), truth, rtol=0, atol=0)


def test_a_clip_that_was_pickled_still_reads(indexed):
    with serving(indexed) as server:
        for root in (indexed, server.address):
            clip = opened(root)[2]
            clip.frames([0])
            again = pickle.loads(pickle.dumps(clip))
            assert again == clip
            assert [number_shown(pixels) for pixels in again.frames([20, 5])] == [20, 5]


# On a server


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_gives_the_same_frames_with_and_without_ranges(indexed, videos, cache, ranges):
    with serving(indexed, ranges=ranges) as server:
        assert_same_frames(opened(server.address), videos)
        assert len(list(cache.glob("*.tar"))) == (0 if ranges else 2)
        if not ranges:  # each shard came once, and the index
            gets = [path for method, path, _ in server.requests if method == "GET"]
            assert sorted(gets) == ["train/000000.tar", "train/000001.tar", "train/index.jsonl"]


def test_two_frames_of_a_shard_of_jpegs_cost_little_more_than_their_bytes(tmp_path, cache):
    write_frames(tmp_path / "web" / "vox-0.tar", ["a", "b", "c"], size=128)
    whole = (tmp_path / "web" / "vox-0.tar").stat().st_size
    with serving(tmp_path / "web") as server:
        clips = opened(f"{server.address}/vox-0.tar", "all")
        assert not list(cache.glob("*.tar"))
        before = server.bytes_sent
        assert [number_shown(pixels) for pixels in clips[1].frames([2, 21])] == [2, 21]
        assert 0 < server.bytes_sent - before < whole / 20
        before = len(server.requests)
        assert all_numbers(clips[2]) == list(range(FRAMES))
        assert len(server.requests) == before + 1


def test_a_brace_pattern_names_shards_one_by_one(tmp_path, said):
    for number in (8, 9, 10):
        write_frames(tmp_path / "web" / f"vox-{number:03d}.tar", [f"c{number}", f"d{number}"], frames=2)
    names = ["c10", "c8", "c9", "d10", "d8", "d9"]
    with serving(tmp_path / "web") as server:
        pattern = server.address + "/vox-{008..011}.tar"
        assert [clip.name for clip in opened(pattern, "all", said)] == names
        assert said == [
            f"{pattern}: 1 fault in shards (first: {server.address}/vox-011.tar: "
            "no such file on the server; check the address)"
        ]
        train, test = opened(pattern, "train", said), opened(pattern, "test", said)
        assert sorted(clip.name for clip in (*train, *test)) == names
        assert len(test) == 1
        sent = server.bytes_sent
        opened(pattern, "all", said)
        assert server.bytes_sent - sent < 100  # what is known of shards is kept
    assert [clip.name for clip in opened(tmp_path / "web" / "vox-{008,010}.tar", "all")] == ["c10", "c8", "d10", "d8"]


def test_braces_count_with_leading_zeros():
    assert expand_braces("a/{08..11}-{x,y}.tar")[:3] == ["a/08-x.tar", "a/08-y.tar", "a/09-x.tar"]
    assert expand_braces("{9..10}.tar") == ["9.tar", "10.tar"]
    assert expand_braces("plain.tar") == ["plain.tar"]


def test_memory_is_a_server_too(indexed, videos):
    for path in (indexed / "train").iterdir():
        fsspec.filesystem("memory").pipe_file(f"/vox/train/{path.name}", path.read_bytes())
    assert_same_frames(opened("memory://vox"), videos)


# What fails


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_fails_twice_is_asked_again(indexed, ranges):
    with serving(indexed, ranges=ranges, failing=2) as server:
        clips = opened(server.address)
        server.failing = 2
        assert number_shown(clips[0].frames([7])[0]) == 7
        server.failing = 2
        assert number_shown(clips[-1].frames([9])[0]) == 9


def test_a_server_that_stays_away_is_named_in_one_line(indexed):
    with serving(indexed) as server:
        clips = opened(server.address)
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:\d+/train/000000\.tar: cannot be read after 4") as error:
        clips[0].frames([0])
    assert not isinstance(error.value, DamagedClipError)
    assert "\n" not in str(error.value)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(UserError, match=r"index\.jsonl: cannot be read after 4 attempts .*; check the network"):
            opened(f"http://name:secret@127.0.0.1:{unused.getsockname()[1]}/vox")


def test_an_address_without_an_index_says_how_to_name_shards(tmp_path):
    with serving(tmp_path) as server, pytest.raises(UserError, match=r"no index\.jsonl there; name shards"):
        opened(server.address)


@pytest.mark.parametrize(
    ("address", "words"), [("s3://bucket/vox", "pip install s3fs"), ("nonsense://x/y", "unknown kind of address")]
)
def test_what_is_needed_for_an_address_is_said(monkeypatch, address, words):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match=words):
        opened(address)


def test_a_shard_that_was_cut_off_keeps_its_whole_clips(tmp_path, videos, said):
    files = sorted(videos.glob("*.mp4"))
    [shard] = write_shards(tmp_path / "set", files, per_shard=6)
    with tarfile.open(shard) as tar:
        fourth = tar.getmember(files[3].name)
    with shard.open("rb+") as file:
        file.truncate(fourth.offset_data + fourth.size // 2)
    assert [clip.name for clip in opened(tmp_path / "set", "all", said)] == [file.name for file in files[:3]]
    assert said == [
        f"{tmp_path / 'set'}: 1 fault in shards (first: 000000.tar: it was cut off)",
        f"{tmp_path / 'set'}: 1 of 4 clips cannot be read and are left out "
        f"(first: {files[3].name} in {shard}: its shard was cut off; copy it again)",
    ]
    # What is kept of the shard tells the same.
    opened(tmp_path / "set", "all", said)
    assert said[2:] == said[:2]


def test_members_that_are_no_videos_are_left_out_and_named(tmp_path, videos, said):
    (tmp_path / "set").mkdir()
    with TarWriter(str(tmp_path / "set" / "0.tar")) as writer:
        writer.write({"__key__": "good", "mp4": next(iter(videos.glob("*.mp4"))).read_bytes()})
        writer.write({"__key__": "page", "mp4": b"404 not found\n" * 50})
        writer.write({"__key__": "empty", "mp4": b""})
        writer.write({"__key__": "picture", "000000.png": b"no picture"})
        writer.write({"__key__": "long" * 100, "mp4": b"whatever"})
    assert [clip.name for clip in opened(tmp_path / "set", "all", said)] == ["good.mp4"]
    assert len(said) == 1
    assert "4 of 5 clips cannot be read and are left out (first: empty.mp4 in " in said[0]


def test_what_is_no_tar_is_named(tmp_path, videos, said):
    files = sorted(videos.glob("*.mp4"))
    write_shards(tmp_path / "set", files[:3])
    (tmp_path / "set" / "000001.tar").write_bytes(b"<html>not found</html>" * 100)
    with tarfile.open(tmp_path / "set" / "000002.tar", "w:gz") as tar:
        tar.add(files[0], "a.mp4")
    assert len(opened(tmp_path / "set", "all", said)) == 3
    assert "2 faults in shards (first: 000001.tar: it is no tar file, or a compressed one)" in said[0]


def test_shards_that_are_gone_or_changed_are_left_out_at_opening(indexed, said):
    train = indexed / "train"
    (train / "000001.tar").unlink()
    assert len(opened(indexed, said=said)) == 4
    assert "2 of 6 clips cannot be read and are left out (first: id2#v#000004.mp4 in " in said[-1]
    assert "the shard is missing; copy the shard there again" in said[-1]
    with (train / "000000.tar").open("ab") as file:
        file.write(bytes(512))
    with pytest.raises(UserError, match=r"no clip can be read: 6 faults .*; make them anew$"):
        opened(indexed, said=said)
    (train / "index.jsonl").write_bytes(b"")
    with pytest.raises(UserError, match=r"^0 train clips in .*, expected tar shards"):
        opened(indexed, said=said)


def test_lines_of_an_index_that_are_no_entries_are_counted(indexed, said):
    index = indexed / "train" / "index.jsonl"
    lines = index.read_text().splitlines()
    outside = json.loads(lines[1])
    outside["members"][0][1] = 10**9
    escape = {**json.loads(lines[2]), "name": "../../x.mp4"}
    index.write_text("\n".join([lines[0], json.dumps(outside), json.dumps(escape), lines[3][:50]]))
    assert len(opened(indexed, said=said)) == 1
    assert "3 faults in shards (first: index.jsonl, line 3: no entry of a clip" in said[0]
    assert "its index contradicts itself" in said[1]


def test_shards_that_change_later_damage_their_clips_only(indexed):
    with serving(indexed) as server:
        near, far = opened(indexed), opened(server.address)
        (indexed / "train" / "000001.tar").unlink()
        for clips in (near, far):
            with pytest.raises(DamagedClipError, match=r"000001\.tar: (cannot be read|no such file)"):
                clips[5].frames([0])
        with (indexed / "train" / "000000.tar").open("ab") as file:
            file.write(bytes(512))
        for clips in (near, far):
            with pytest.raises(DamagedClipError, match=r"000000\.tar: the shard has \d+ bytes, \d+ by its index"):
                clips[0].frames([0])


def test_damage_within_a_shard_names_shard_and_clip(indexed, tmp_path):
    clip = opened(indexed)[0]
    _, start, size = clip.members[0]  # type: ignore[attr-defined]
    with (indexed / "train" / "000000.tar").open("rb+") as file:
        file.seek(start)
        file.write(bytes(size))
    for read in (lambda: clip.frames([20]), lambda: all_numbers(clip)):
        with pytest.raises(DamagedClipError, match=rf"^{indexed}/train/000000\.tar/{clip.name}: ") as error:
            read()
        assert "prioritycut-" not in str(error.value)


def test_a_full_temporary_disk_is_named(tmp_path, monkeypatch):
    write_frames(tmp_path / "set" / "0.tar", ["a"], frames=2)
    [clip] = opened(tmp_path / "set", "all")

    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    for read in (lambda: clip.frames([1]), lambda: all_numbers(clip)):
        with pytest.raises(
            UserError, match=r"\(No space left on device\); free space, or name another place in TMPDIR"
        ):
            read()


def test_a_full_disk_is_named_and_leaves_no_part_of_a_shard(indexed, cache, monkeypatch):
    def full(file: remote.RemoteFile, partial: Path) -> None:
        partial.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with serving(indexed) as server:
        monkeypatch.setattr(remote, "_fetch", full)
        with pytest.raises(UserError, match=r"cannot be kept there \(No space left on device\); free space"):
            opened(f"{server.address}/train/000000.tar", "all")
    assert not list(cache.glob("*.tar")) + list(cache.glob(".*"))


def test_the_layout_of_a_data_set_leads_to_its_shards(indexed):
    with serving(indexed) as server:
        for root in (str(indexed), server.address):
            assert len(open_split(root, "test")) == 6


def test_a_loose_clip_beside_indexed_shards_does_not_hide_them(indexed, videos, said):
    names = [clip.name for clip in open_split(str(indexed), "train")]
    (indexed / "train" / "stray.mp4").write_bytes(next(videos.rglob("*.mp4")).read_bytes())
    assert [clip.name for clip in open_split(str(indexed), "train", say=said.append)] == names
    assert len(said) == 1
    assert said[0].startswith("1 clip beside the shards in ")


def test_bytes_of_another_clip_in_the_same_place_are_refused(indexed):
    lines = [json.loads(line) for line in (indexed / "train" / "index.jsonl").read_text().splitlines()]
    _, start, size = lines[0]["members"][0]
    shard = indexed / "train" / lines[0]["shard"]
    content = bytearray(shard.read_bytes())
    content[start + size - 1] ^= 1  # its size stays, and a decoder would bear it
    shard.write_bytes(content)
    clip = next(each for each in opened(indexed) if each.name == lines[0]["name"])
    with pytest.raises(DamagedClipError, match="other bytes than its index says"):
        clip.frames([0])

"""Shards as they are written: read back by webdataset and tarfile, and the same however often the work was killed."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import tarfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path

import pytest

from numbered_clips import number_shown, write_numbered_video
from prioritycut.data.index import index_clip
from prioritycut.data.shards import open_shards
from prioritycut.errors import UserError
from prioritycut.preprocessing.packing import pack_shards, shard_of
from prioritycut.preprocessing.records import TIMES, ClipRecord, Partition

TRAIN = ["id1#vid#000000#000024", "id1#vid#000024#000048", "id1", "id1#a", "grüße#1", f"{'x' * 96}#000000#000010"]
TEST = ["id2#vid#000000#000024"]
SMALL = 10_000


class KilledError(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(scope="session")
def contents(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("packed")
    found = list[bytes]()
    for number in range(len(TRAIN) + len(TEST) + 2):
        write_numbered_video(folder / f"{number}.mp4", 3 + number)
        found.append((folder / f"{number}.mp4").read_bytes())
    return found


def lay(output: Path, contents: list[bytes], train: list[str] = TRAIN, test: list[str] = TEST) -> list[ClipRecord]:
    """Put clips in their places; their records."""
    records = list[ClipRecord]()
    placed: list[tuple[Partition, str]] = [*(("train", clip) for clip in train), *(("test", clip) for clip in test)]
    for (partition, clip), content in zip(placed, contents, strict=False):
        (output / partition).mkdir(parents=True, exist_ok=True)
        (output / partition / f"{clip}.mp4").write_bytes(content)
        records.append(
            ClipRecord(
                clip=clip,
                video="vid.mp4",
                partition=partition,
                outcome="made",
                file=f"{partition}/{clip}.mp4",
                bytes=len(content),
                hash=hashlib.blake2b(content, digest_size=16).hexdigest(),
                seconds=float(len(records)),
                finished="2026-01-01T00:00:00+00:00",
            )
        )
    return records


def pack(output: Path, records: list[ClipRecord], said: list[str] | None = None) -> dict[str, str]:
    return pack_shards(output, records, say=(said if said is not None else []).append, shard_bytes=SMALL)


def files(output: Path) -> dict[str, bytes]:
    return {p.relative_to(output).as_posix(): p.read_bytes() for p in sorted(output.rglob("*")) if p.is_file()}


def index(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "index.jsonl").read_text().splitlines()]


def webdataset_samples(shards: list[Path]) -> Iterator[dict]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="webdataset|torch")
        import webdataset

        yield from webdataset.WebDataset([str(shard) for shard in shards], shardshuffle=False, empty_check=False)


def test_webdataset_reads_each_clip_and_its_record_back(tmp_path, contents):
    records = lay(tmp_path, contents)
    pack(tmp_path, records)
    shards = sorted((tmp_path / "train").glob("*.tar"))
    assert len(shards) > 1
    found = {sample["__key__"]: (sample["mp4"], json.loads(sample["json"])) for sample in webdataset_samples(shards)}
    assert {clip: mp4 for clip, (mp4, _) in found.items()} == dict(zip(TRAIN, contents, strict=False))
    for record in records[: len(TRAIN)]:
        fields = found[record.clip][1]
        assert not fields.keys() & set(TIMES)
        assert fields["file"].endswith(f".tar#{record.clip}.mp4")
        expected = {name: value for name, value in asdict(record).items() if name not in (*TIMES, "file")}
        assert {name: value for name, value in fields.items() if name != "file"} == expected


def test_the_index_tells_where_each_member_lies_and_what_the_clip_is(tmp_path, contents):
    records = lay(tmp_path, contents)
    known = {record.clip: index_clip(tmp_path / str(record.file)) for record in records}
    pack(tmp_path, records)
    entries = index(tmp_path / "train")
    names = [entry["name"] for entry in entries]
    assert names == sorted(f"{clip}.mp4" for clip in TRAIN)
    for entry in entries:
        shard, clip = tmp_path / "train" / entry["shard"], entry["name"].removesuffix(".mp4")
        assert entry["shard_bytes"] == shard.stat().st_size
        with tarfile.open(shard) as tar:
            members = {info.name: (info.offset_data, info.size) for info in tar}
        assert [name for name, _, _ in entry["members"]] == [f"{clip}.mp4", f"{clip}.json"]
        assert all(members[name] == (start, size) for name, start, size in entry["members"])
        assert entry["facts"]["hash"] == known[clip].hash
        assert entry["facts"]["frames"] == known[clip].frames
        assert "modified" not in entry["facts"]


def test_the_reader_gives_the_frames_of_the_loose_clips(tmp_path, contents):
    pack(tmp_path, lay(tmp_path, contents))
    said = list[str]()
    clips = open_shards(str(tmp_path), "train", say=said.append, advance=lambda done, of: None)
    assert {clip.name: clip.frame_count for clip in clips} == {f"{c}.mp4": 3 + n for n, c in enumerate(TRAIN)}
    assert said == []
    for clip in clips:
        assert [number_shown(pixels) for pixels in clip.frames([2, 0, 1])] == [2, 0, 1]


def test_members_are_sorted_and_carry_no_time_and_no_owner(tmp_path, contents):
    pack(tmp_path, lay(tmp_path, contents))
    names = list[str]()
    for shard in sorted((tmp_path / "train").glob("*.tar")):
        with tarfile.open(shard) as tar:
            for info in tar:
                names.append(info.name)
                assert (info.mtime, info.uid, info.gid, info.uname, info.gname) == (0, 0, 0, "", "")
                assert info.mode == 0o644
                plain = len(info.name) <= 100 and info.name.isascii()
                assert plain == (not info.pax_headers)
                assert info.pax_headers.keys() <= {"path"}
    videos = [name for name in names if name.endswith(".mp4")]
    assert videos == sorted(f"{clip}.mp4" for clip in TRAIN)


def test_shards_are_filled_but_not_beyond_their_size(tmp_path, contents):
    records = lay(tmp_path, contents)
    pack(tmp_path, records)
    sizes = {f"{record.clip}.mp4": record.bytes for record in records}
    shards = dict[str, list[int]]()
    for entry in index(tmp_path / "train"):
        shards.setdefault(entry["shard"], []).append(sizes[entry["name"]])
    assert list(shards) == [f"{number:06d}.tar" for number in range(len(shards))]
    assert all(sum(held) <= SMALL or len(held) == 1 for held in shards.values())
    groups = list(shards.values())
    assert all(sum(one) + other[0] > SMALL for one, other in pairwise(groups))


def test_a_clip_larger_than_a_shard_has_one_to_itself(tmp_path, contents):
    pack_shards(tmp_path, lay(tmp_path, contents), say=print, shard_bytes=1)
    assert len(list((tmp_path / "train").glob("*.tar"))) == len(TRAIN)


def test_the_manifest_is_told_where_each_clip_lies(tmp_path, contents):
    records = lay(tmp_path, contents)
    places = pack(tmp_path, records)
    assert places.keys() == {*TRAIN, *TEST}
    for clip, file in places.items():
        shard = shard_of(file)
        assert shard is not None
        assert file == f"{shard}#{clip}.mp4"
        with tarfile.open(tmp_path / shard) as tar:
            assert f"{clip}.mp4" in tar.getnames()
    assert [shard_of(str(record.file)) for record in records] == [None] * len(records)


def test_nothing_is_left_beside_the_shards(tmp_path, contents):
    pack(tmp_path, lay(tmp_path, contents))
    assert {Path(name).suffix for name in files(tmp_path)} == {".tar", ".jsonl"}


def test_two_packings_are_equal_byte_for_byte_whatever_the_times_and_the_order(tmp_path, contents):
    one, other = tmp_path / "one", tmp_path / "other"
    pack(one, lay(one, contents))
    records = [replace(record, seconds=99.0, finished="2027") for record in lay(other, contents)]
    pack(other, records[::-1])
    assert files(one) == files(other)


def test_packed_again_nothing_changes(tmp_path, contents):
    records = lay(tmp_path, contents)
    places = pack(tmp_path, records)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    moved = [replace(record, file=places[record.clip]) for record in records]
    assert pack(tmp_path, records) == pack(tmp_path, moved) == places
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> Callable[[], int]:
    """Die at the n-th change of the disk, just before or just after it; how many there were."""
    count = 0

    def counting(real: Callable) -> Callable:
        def call(*args: object, **options: object) -> object:
            nonlocal count
            count += 1
            if count == step and not after:
                raise KilledError
            result = real(*args, **options)
            if count == step and after:
                raise KilledError
            return result

        return call

    for owner, name in (
        (Path, "replace"),
        (Path, "unlink"),
        (tarfile.TarFile, "addfile"),
        (tarfile.TarFile, "close"),
    ):
        monkeypatch.setattr(owner, name, counting(getattr(owner, name)))
    return lambda: count


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_and_repeated_it_ends_with_the_same_bytes(tmp_path, contents, after):
    whole = tmp_path / "whole"
    places = pack(whole, lay(whole, contents))
    step, killed = 0, True
    while killed:
        step, output = step + 1, tmp_path / "killed"
        records = lay(output, contents)
        with pytest.MonkeyPatch.context() as monkeypatch:
            steps = kill_at(step, monkeypatch, after=after)
            try:
                pack(output, records)
                killed = False
            except KilledError:
                pass
        assert killed or step > steps()
        assert pack(output, records) == places
        assert files(output) == files(whole), f"step {step}"
        shutil.rmtree(output)
    assert step > 20


def test_clips_made_later_go_into_further_shards(tmp_path, contents):
    early = lay(tmp_path, contents)
    pack(tmp_path, early)
    before = files(tmp_path)
    later = lay(tmp_path, contents[len(TRAIN) + len(TEST) :], ["a-first-by-name", "z"], [])
    places = pack(tmp_path, [*early, *later])
    now = files(tmp_path)
    shards = [name for name in before if name.endswith(".tar")]
    assert all(now[name] == before[name] for name in shards)
    assert now["test/index.jsonl"] == before["test/index.jsonl"]
    entries = index(tmp_path / "train")
    assert [entry["name"] for entry in entries] == sorted(f"{c}.mp4" for c in [*TRAIN, "a-first-by-name", "z"])
    added = {shard_of(places[record.clip]) for record in later}
    assert not added & set(shards)
    assert len(now) == len(before) + len(added)


def test_a_clip_that_is_gone_or_was_changed_is_named_and_left_out(tmp_path, contents):
    records = lay(tmp_path, contents)
    (tmp_path / "train" / "id1.mp4").unlink()
    changed = tmp_path / "train" / "id1#a.mp4"
    changed.write_bytes(changed.read_bytes()[:-1] + b"?")
    said = list[str]()
    places = pack(tmp_path, records, said)
    assert places.keys() == {*TRAIN, *TEST} - {"id1", "id1#a"}
    assert len(said) == 1
    assert said[0].startswith("2 clips that were made are gone")
    assert "train/id1#a.mp4" in said[0]
    assert changed.exists()


def test_a_clip_made_again_after_its_shard_was_lost_goes_into_a_further_shard(tmp_path, contents):
    records = lay(tmp_path, contents, TRAIN[:2], [])
    [lost] = {shard_of(file) for file in pack(tmp_path, records).values()}
    (tmp_path / str(lost)).unlink()
    lay(tmp_path, contents, TRAIN[:1], [])
    places = pack(tmp_path, records)
    assert shard_of(places[TRAIN[0]]) == "train/000001.tar"
    assert shard_of(places[TRAIN[1]]) == lost
    assert not list((tmp_path / "train").glob("*.mp4"))


@pytest.mark.parametrize("call", range(1, 9))
def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path, contents, call):
    records, whole = lay(tmp_path / "out", contents), tmp_path / "whole"
    pack(whole, lay(whole, contents))
    count, real = 0, tarfile.TarFile.addfile

    def full(*args: object) -> None:
        nonlocal count
        count += 1
        if count == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(tarfile.TarFile, "addfile", full)
        with pytest.raises(UserError, match=r"disk full while writing .*\.tar; free space and repeat"):
            pack(tmp_path / "out", records)
    assert not list((tmp_path / "out").rglob("*.partial"))
    pack(tmp_path / "out", records)
    assert files(tmp_path / "out") == files(whole)


def test_a_full_disk_at_the_first_shard_leaves_everything_as_it_was(tmp_path, contents, monkeypatch):
    records = lay(tmp_path, contents)
    before = files(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    with pytest.raises(UserError, match="disk full"):
        pack(tmp_path, records)
    assert files(tmp_path) == before


def test_a_shard_that_no_index_names_is_not_replaced(tmp_path, contents):
    early = lay(tmp_path, contents)
    pack(tmp_path, early)
    (tmp_path / "train" / "index.jsonl").unlink()
    later = lay(tmp_path, contents, ["new"], [])
    before = files(tmp_path)
    with pytest.raises(UserError, match=r"000000\.tar: it holds clips that index\.jsonl beside it does not name; put"):
        pack(tmp_path, [*early, *later])
    assert files(tmp_path) == before


def test_a_damaged_index_is_named_by_its_line(tmp_path, contents):
    records = lay(tmp_path, contents)
    pack(tmp_path, records)
    place = tmp_path / "train" / "index.jsonl"
    place.write_text(place.read_text().replace("\n", "\n{torn\n", 1))
    with pytest.raises(UserError, match=r"index\.jsonl: line 2: no entry"):
        pack(tmp_path, records)


def test_nothing_made_makes_nothing(tmp_path):
    failed = ClipRecord(clip="a", video="a", partition="train", outcome="corrupt")
    assert pack(tmp_path, [failed]) == {}
    assert list(tmp_path.iterdir()) == []

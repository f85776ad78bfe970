"""The manifest as other readers see it: lines of JSON, none lost and none torn, whoever is killed."""

from __future__ import annotations

import errno
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from prioritycut.errors import UserError
from prioritycut.preprocessing.boxes import Box
from prioritycut.preprocessing.manifest import append, read_manifest, records_of, settle
from prioritycut.preprocessing.records import ClipRecord

MADE = ClipRecord(
    clip="id1#video#000000#000100",
    video="video",
    partition="train",
    outcome="made",
    file="train/id1#video#000000#000100.mp4",
    start=0,
    end=100,
    box=Box(10, -5, 310, 295),
    video_width=640,
    video_height=360,
    frames=100,
    rate="30000/1001",
    size=256,
    bytes=12345,
    hash="00ff",
    settings="abcd",
    seconds=1.5,
    finished="2024-01-01T00:00:00+00:00",
)
GONE = ClipRecord(clip="b", video="gone", partition="test", outcome="removed", reason='"Video unavailable"')


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "out" / "manifest.jsonl"


def write(manifest: Path, text: str) -> None:
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(text)


def test_a_record_is_one_line_of_json_with_its_box_as_four_numbers(manifest: Path) -> None:
    append(manifest, [MADE, GONE])
    first, second = (json.loads(line) for line in manifest.read_text().splitlines())
    assert first["box"] == [10, -5, 310, 295]
    assert (first["outcome"], first["partition"], first["rate"], first["bytes"]) == (
        "made",
        "train",
        "30000/1001",
        12345,
    )
    assert (second["outcome"], second["reason"], second["box"]) == ("removed", '"Video unavailable"', None)
    assert read_manifest(manifest) == [MADE, GONE]


def test_the_last_line_of_a_clip_counts(manifest: Path) -> None:
    append(manifest, [MADE, GONE])
    again = replace(GONE, outcome="network", reason="timed out")
    append(manifest, [again])
    assert read_manifest(manifest) == [MADE, again]


def test_another_try_at_a_video_replaces_all_that_the_one_before_said(manifest: Path) -> None:
    broken = ClipRecord(clip="video", video="video", partition="train", outcome="corrupt", reason="it breaks off")
    append(manifest, [broken, GONE])
    append(manifest, [replace(MADE, attempt=2)])
    assert read_manifest(manifest) == [GONE, replace(MADE, attempt=2)]
    assert records_of(manifest, "video") == [replace(MADE, attempt=2)]


def test_records_of_one_video_are_those_of_no_other(manifest: Path) -> None:
    odd = replace(GONE, clip="c", video='a "quoted" \\ nämé')
    append(manifest, [MADE, GONE, odd, replace(GONE, clip="d", reason='it says "video": "video"')])
    assert records_of(manifest, "video") == [MADE]
    assert records_of(manifest, odd.video) == [odd]
    assert records_of(manifest, "another") == records_of(manifest.parent / "none.jsonl", "video") == []


@pytest.mark.parametrize("torn", ['{"clip": "c", "vid', '{"clip": "c"}', "\x00\x00\x00"])
def test_a_line_that_a_kill_tore_is_not_there_and_the_next_append_mends_it(manifest: Path, torn: str) -> None:
    append(manifest, [MADE])
    whole = manifest.read_text()
    write(manifest, whole + torn)
    assert read_manifest(manifest) == records_of(manifest, "video") == [MADE]
    append(manifest, [GONE])
    assert manifest.read_text().startswith(whole + '{"clip": "b"')
    assert read_manifest(manifest) == [MADE, GONE]


def test_a_manifest_of_nothing_but_a_torn_line_starts_anew(manifest: Path) -> None:
    write(manifest, '{"clip": ' + "x" * 200_000)
    append(manifest, [GONE])
    assert read_manifest(manifest) == [GONE]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("not json", "line 2: no JSON"),
        ("[1]", "line 2: it is no object"),
        ('{"clip": "c", "video": "v", "partition": "train"}', "line 2: outcome: "),
        ('{"clip": "c", "video": "v", "partition": "train", "outcome": "eaten"}', "line 2: outcome: "),
        (
            '{"clip": "c", "video": "v", "partition": "train", "outcome": "made", "mood": 1}',
            "line 2: unknown field mood",
        ),
        ('{"clip": "c", "video": "v", "partition": "train", "outcome": "made", "box": [1, 2, 3]}', "line 2: box: "),
        ('{"clip": "c", "video": "v", "partition": "train", "outcome": "made", "frames": "x"}', "line 2: frames: "),
        ("", "line 2: no JSON"),
    ],
)
def test_a_damaged_line_is_named_by_its_number(manifest: Path, line: str, fault: str) -> None:
    append(manifest, [MADE])
    write(manifest, manifest.read_text() + line + "\n")
    append(manifest, [GONE])
    for read in (read_manifest, settle):
        with pytest.raises(UserError, match=fault) as caught:
            read(manifest)
        assert "\n" not in str(caught.value)


def test_many_writers_at_once_lose_no_line_even_while_the_manifest_is_put_in_order(manifest: Path) -> None:
    def write_some(writer: int) -> None:
        for number in range(20):
            clips = [f"{writer}-{number}-{part}" for part in range(3)]
            append(manifest, [replace(GONE, clip=clip, video=clips[0], reason="x" * 3000) for clip in clips])

    threads = [threading.Thread(target=write_some, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        settle(manifest)
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert sorted(line["clip"] for line in lines) == sorted(
        f"{writer}-{number}-{part}" for writer in range(4) for number in range(20) for part in range(3)
    )


def test_in_order_it_has_one_line_a_clip_by_part_and_name(manifest: Path) -> None:
    append(manifest, [replace(GONE, clip="z", video="z"), MADE, GONE])
    append(manifest, [replace(GONE, reason="really")])
    write(manifest, manifest.read_text() + '{"clip')
    assert settle(manifest) == read_manifest(manifest)
    lines = [json.loads(line) for line in manifest.read_text().splitlines()]
    assert [(line["clip"], line["reason"]) for line in lines] == [
        ("b", "really"),
        ("z", '"Video unavailable"'),
        (MADE.clip, ""),
    ]
    before = manifest.stat()
    settle(manifest)
    assert manifest.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(path.name for path in manifest.parent.iterdir()) == [".work", "manifest.jsonl"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_it_as_it_was(manifest: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    append(manifest, [MADE])
    before = manifest.read_bytes()

    def fill(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fill)
    for act in (lambda: append(manifest, [GONE]), lambda: settle(manifest)):
        write(manifest, before.decode() + '{"torn')
        with pytest.raises(UserError, match=r"disk full while writing .*manifest.jsonl; free space and repeat"):
            act()
        assert manifest.read_bytes().startswith(before)
        assert read_manifest(manifest) == [MADE]
    assert [path.name for path in manifest.parent.glob("*.partial")] == []


def test_a_manifest_that_cannot_be_written_or_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").mkdir()
    with pytest.raises(UserError, match=r"manifest.jsonl: cannot be written .*choose a folder"):
        append(tmp_path / "manifest.jsonl", [GONE])
    with pytest.raises(UserError, match=r"manifest.jsonl: cannot be read"):
        read_manifest(tmp_path / "manifest.jsonl")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: cannot be written"):
        append(tmp_path / "file" / "manifest.jsonl", [GONE])

"""What `status` says of a data set, counted by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from prioritycut.errors import UserError
from prioritycut.preprocessing.manifest import append
from prioritycut.preprocessing.plan import Asked, FolderRules, Kind, ListRules, Plan, Recipe, make_plan, write_plan
from prioritycut.preprocessing.records import ClipRecord, Outcome, Partition
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.status import (
    PUBLISHED,
    outcome_table,
    outcome_words,
    read_status,
    readable_bytes,
    reason_table,
    status_lines,
)

CLIPS = ClipSettings(size=64)
VOXCELEB = Recipe(rules=ListRules(kind="voxceleb", min_size=64), clips=CLIPS)


def plan(asked: Asked, recipe: Recipe = VOXCELEB) -> Plan:
    return make_plan(Path("vox-metadata.csv"), recipe, asked)


def record(number: int, outcome: Outcome, partition: Partition = "train", reason: str = "") -> ClipRecord:
    return ClipRecord(
        clip=f"clip{number}", video=f"v{number // 2}", partition=partition, outcome=outcome, reason=reason
    )


def made(output: Path, number: int, partition: Partition, frames: int) -> ClipRecord:
    path = output / partition / f"clip{number}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 1000)
    file = f"{partition}/{path.name}"
    return replace(record(number, "made", partition), file=file, bytes=1000, frames=frames)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Eight train clips asked for, of which five were tried, and two test clips."""
    write_plan(tmp_path, plan(Asked(videos=6, train=8, test=2)))
    append(
        tmp_path / "manifest.jsonl",
        [
            made(tmp_path, 0, "train", 30),
            made(tmp_path, 1, "train", 40),
            record(2, "removed", reason="Video unavailable"),
            record(3, "removed", reason="Video unavailable"),
            record(4, "network", reason="timed out"),
            made(tmp_path, 6, "test", 50),
            record(7, "removed", "test", reason="This video is no longer available"),
        ],
    )
    return tmp_path


def shown(what: RenderableType) -> list[list[str]]:
    """The cells of a table as it appears, without its lines."""
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(what)
    console.file.close()
    rows = [line.strip().replace("┃", "│") for line in console.export_text().splitlines()]
    return [[cell.strip() for cell in row[1:-1].split("│")] for row in rows if "│" in row]


def test_outcomes_are_counted_by_part_and_shared_by_what_was_asked_for(output: Path) -> None:
    assert shown(outcome_table(read_status(output))) == [
        ["outcome", "train", "share", "test", "share"],
        ["made", "2", "25.0%", "1", "50.0%"],
        ["removed", "2", "25.0%", "1", "50.0%"],
        ["network", "1", "12.5%", "0", "0.0%"],
        ["not tried yet", "3", "37.5%", "0", "0.0%"],
        ["in all", "8", "100.0%", "2", "100.0%"],
        ["the paper's", "18,398", "229975.0%", "512", "25600.0%"],
    ]


def test_reasons_are_counted_the_commonest_first(output: Path) -> None:
    table = reason_table(read_status(output), most=1)
    assert table is not None
    assert shown(table) == [
        ["outcome", "clips", "reason"],
        ["removed", "2", "Video unavailable"],
        ["", "1", "other reasons"],
        ["network", "1", "timed out"],
    ]


def test_reasons_stand_there_as_they_are_whatever_they_look_like(tmp_path: Path) -> None:
    write_plan(tmp_path, plan(Asked(videos=6, train=8, test=2)))
    append(tmp_path / "manifest.jsonl", [record(0, "corrupt", reason="[/red] and \x1b[31m")])
    table = reason_table(read_status(tmp_path))
    assert table is not None
    assert shown(table)[1] == ["corrupt", "1", "[/red] and \ufffd[31m"]


def test_the_lines_tell_of_videos_frames_passing_faults_and_the_disk(output: Path) -> None:
    assert status_lines(read_status(output)) == [
        "videos: 4 of 6 done, 2 left; repeat the command",
        "test frames: 50, in the published list 132,606",
        "1 clip failed for a passing reason; repeat the command to try them again",
        "disk: 3.0 kB",
    ]


def test_clips_that_are_gone_or_cut_short_are_counted(output: Path) -> None:
    (output / "train" / "clip0.mp4").unlink()
    (output / "test" / "clip6.mp4").write_bytes(b"x" * 999)
    status = read_status(output)
    assert (status.missing, status.bytes) == (2, 1000)
    assert any(line.startswith("2 clips made before and now gone or of another size") for line in status_lines(status))


def test_a_folder_of_frames_is_whole_with_all_its_frames(output: Path) -> None:
    folder = output / "train" / "clip9"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number:06d}.jpg").touch()
    append(output / "manifest.jsonl", [replace(record(9, "made"), file="train/clip9", frames=3, bytes=5)])
    assert read_status(output).missing == 0
    (folder / "000001.jpg").unlink()
    assert read_status(output).missing == 1


def test_a_data_set_that_has_just_been_begun_has_all_before_it(tmp_path: Path) -> None:
    write_plan(tmp_path, plan(Asked(videos=6, train=8, test=2)))
    status = read_status(tmp_path)
    assert shown(outcome_table(status))[1:3] == [
        ["made", "0", "0.0%", "0", "0.0%"],
        ["not tried yet", "8", "100.0%", "2", "100.0%"],
    ]
    assert reason_table(status) is None


def test_of_ones_own_videos_the_clips_are_those_that_were_found(tmp_path: Path) -> None:
    recipe = Recipe(rules=FolderRules(subject="whole", min_size=64), clips=CLIPS)
    write_plan(tmp_path, plan(Asked(videos=1), recipe))
    append(tmp_path / "manifest.jsonl", [record(0, "made"), record(1, "corrupt"), record(2, "made")])
    rows = shown(outcome_table(read_status(tmp_path)))
    assert rows[-1][0] == "in all"
    assert rows[1:3] == [["made", "2", "66.7%", "0", ""], ["corrupt", "1", "33.3%", "0", ""]]


@pytest.mark.parametrize(
    ("kind", "train", "test", "frames"),
    [("voxceleb", 18398, 512, 132606), ("taichi", 2994, 285, 75273), ("bair", 42880, 128, 3840)],
)
def test_the_papers_counts_are_those_of_its_tables(kind: Kind, train: int, test: int, frames: int) -> None:
    assert PUBLISHED[kind].paper == {"train": train, "test": test}
    assert PUBLISHED[kind].test_frames == frames


def test_a_folder_of_anything_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no preprocess.json; name a folder that `prioritycut preprocess` made"):
        read_status(tmp_path)


def test_a_damaged_line_of_the_manifest_is_named(output: Path) -> None:
    with (output / "manifest.jsonl").open("a") as file:
        file.write(json.dumps({"clip": 3}) + "\n")
    with pytest.raises(UserError, match="line 8"):
        read_status(output)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (3_140_000, "3.1 MB"),
        (2 * 10**12, "2.0 TB"),
        (10**16, "10000.0 TB"),
    ],
)
def test_bytes_are_told_in_their_unit(count: int, words: str) -> None:
    assert readable_bytes(count) == words


def test_counts_in_a_line_begin_with_what_was_made() -> None:
    assert outcome_words({"removed": 12, "made": 3100}, 25_000_000) == "3,100 made (25.0 MB), 12 removed"
    assert outcome_words({}) == "0 made"

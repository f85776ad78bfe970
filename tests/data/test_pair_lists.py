"""Lists of animation pairs: which clip is moved by which, and what becomes of rows that tell nothing of use."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import numpy as np
import pytest

from prioritycut.data.pair_lists import ClipPair, RowFault, clip_stem, random_pairs, read_pairs
from prioritycut.errors import UserError

METADATA = Path(__file__).parents[2].parent / "shared" / "data" / "metadata"
HEADER = "distance,source,driving,frame"


def write_list(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def published(name: str) -> Path:
    if not METADATA.is_dir():
        pytest.skip("the published lists are not beside the project")
    return METADATA / name


# Reading


@pytest.mark.data
@pytest.mark.parametrize("name", ["taichi256.csv", "bair256.csv"])
def test_a_published_list_gives_its_fifty_pairs_in_order(name):
    path = published(name)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    listed = read_pairs(path, sorted({row[column] for row in rows for column in ("source", "driving")}))
    assert listed.pairs == tuple(ClipPair(row["source"], row["driving"], 0) for row in rows)
    assert len(listed.pairs) == 50
    assert not listed.missing
    assert not listed.malformed


@pytest.mark.data
@pytest.mark.parametrize("name", ["taichi256.csv", "bair256.csv"])
def test_a_published_list_keeps_the_rows_whose_two_clips_both_survived(name):
    path = published(name)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    gone = {rows[3]["source"], rows[10]["driving"]}
    names = sorted({row[column] for row in rows for column in ("source", "driving")} - gone)
    kept = [row for row in rows if not gone & {row["source"], row["driving"]}]
    listed = read_pairs(path, names)
    assert [(pair.source, pair.driving) for pair in listed.pairs] == [(row["source"], row["driving"]) for row in kept]
    assert len(listed.missing) == len(rows) - len(kept) >= 2
    assert {fault.line for fault in listed.missing} >= {5, 12}


def test_a_list_keeps_the_rows_whose_two_clips_both_exist(tmp_path):
    path = write_list(
        tmp_path / "pairs.csv", "1.5,a.mp4,b.mp4,0", "0,a.mp4,gone.mp4,0", "2,lost.mp4,b.mp4,0", "0,b.mp4,b.mp4,7"
    )
    listed = read_pairs(path, ["a.mp4", "b.mp4", "c.mp4"])
    assert listed.pairs == (ClipPair("a.mp4", "b.mp4"), ClipPair("b.mp4", "b.mp4", 7))
    assert listed.missing == (
        RowFault(3, "there is no clip gone.mp4"),
        RowFault(4, "there is no clip lost.mp4"),
    )
    assert listed.malformed == ()


@pytest.mark.parametrize("kept", ["a#1", "a#1.gif", "a#1.PNG"])
def test_clips_that_are_kept_otherwise_than_as_mp4_are_found_by_their_stem(tmp_path, kept):
    path = write_list(tmp_path / "pairs.csv", "0,a#1.mp4,b.2.mp4,0")
    assert read_pairs(path, [kept, "b.2"]).pairs == (ClipPair(kept, "b.2"),)


def test_the_very_name_goes_before_another_file_of_that_stem(tmp_path):
    path = write_list(tmp_path / "pairs.csv", "0,a.mp4,a.png,0")
    assert read_pairs(path, ["a.gif", "a.mp4"]).pairs == (ClipPair("a.mp4", "a.gif"),)


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("0,a.mp4,b.mp4", "3 instead of 4 cells"),
        ("0,a.mp4,b.mp4,0,0", "5 instead of 4 cells"),
        ("0,,b.mp4,0", "no source is named"),
        ("0,a.mp4, ,0", "no driving clip is named"),
        ("0,a.mp4,b.mp4,first", "the frame is no whole number from 0: 'first'"),
        ("0,a.mp4,b.mp4,-1", "the frame is no whole number from 0: '-1'"),
        ("0,a.mp4,b.mp4,", "the frame is no whole number from 0: ''"),
    ],
)
def test_a_malformed_row_is_told_with_its_line_and_the_rest_is_read(tmp_path, row, fault):
    path = write_list(tmp_path / "pairs.csv", "0,a.mp4,b.mp4,0", "", row, "0,b.mp4,a.mp4,0")
    listed = read_pairs(path, ["a.mp4", "b.mp4"])
    assert listed.malformed == (RowFault(4, fault),)
    assert listed.pairs == (ClipPair("a.mp4", "b.mp4"), ClipPair("b.mp4", "a.mp4"))


def test_a_damaged_row_takes_no_other_with_it(tmp_path):
    path = tmp_path / "pairs.csv"
    rows = (b'"a,b', b"\xff\xfe,b", b"x" * 200_000 + b",a", b",", b"a,b")
    path.write_bytes(b"source,driving\n" + b"\n".join(rows))
    listed = read_pairs(path, ["a", "b"])
    assert listed.pairs == (ClipPair("a", "b"),)
    assert [fault.line for fault in listed.missing] == [3]
    assert listed.malformed == (
        RowFault(2, "1 instead of 2 cells"),
        RowFault(4, "0 instead of 2 cells"),
    )


def test_columns_may_stand_in_any_order_and_only_two_are_needed(tmp_path):
    path = write_list(tmp_path / "a.csv", "b.mp4 , a.mp4", header="\ufeffdriving,source")
    assert read_pairs(path, ["a.mp4", "b.mp4"]).pairs == (ClipPair("a.mp4", "b.mp4"),)
    # As pandas writes it, with the row's number in front.
    path = write_list(tmp_path / "b.csv", '0,3.5,"a,1.mp4",b.mp4,2', header=f",{HEADER}")
    assert read_pairs(path, ["a,1.mp4", "b.mp4"]).pairs == (ClipPair("a,1.mp4", "b.mp4", 2),)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "no column source and no column driving"),
        (b"a.mp4,b.mp4\n", "no column source and no column driving"),
        (b"distance,source,target,frame\n", "no column driving in its first line"),
        (b"\x00\xff\xfe" * 400, "no column source and no column driving"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_list_of_pairs_is_the_users_error(tmp_path, content, fault):
    path = tmp_path / "pairs.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=fault) as error:
        read_pairs(path, ["a.mp4"])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "stem"),
    [("a#1#2.mp4", "a#1#2"), ("a", "a"), ("a.GIF", "a"), ("v1.5", "v1.5"), (".mp4", ".mp4"), ("a.mp4.png", "a.mp4")],
)
def test_a_stem_is_the_name_without_a_media_suffix(name, stem):
    assert clip_stem(name) == stem


# Drawing


@pytest.mark.parametrize("clips", [1, 2, 5, 7, 8, 50, 128])
def test_without_a_list_pairs_are_drawn_by_the_published_rule(clips):
    names = [f"{number:03d}" for number in range(clips)]
    first = names[:50]
    every = list(itertools.product(first, first))  # (driving, source)
    state = np.random.get_state()
    try:
        np.random.seed(0)
        wanted = [every[k] for k in np.random.choice(len(every), min(50, len(every)), replace=False)]
    finally:
        np.random.set_state(state)
    drawn = random_pairs(names).pairs
    assert [(pair.driving, pair.source) for pair in drawn] == wanted
    assert {pair.frame for pair in drawn} == {0}


def test_drawn_pairs_are_different_and_of_the_first_clips_alone():
    names = [f"{number:03d}" for number in range(300)]
    drawn = random_pairs(names).pairs
    assert len(set(drawn)) == 50
    assert {name for pair in drawn for name in (pair.source, pair.driving)} <= set(names[:50])
    assert drawn != random_pairs(names, seed=1).pairs
    assert len(random_pairs(names[:3]).pairs) == 9


def test_no_clips_give_no_pairs():
    assert random_pairs([]).pairs == ()

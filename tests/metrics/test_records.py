"""Tables of detections that were computed elsewhere: golden tables, and the ways in which tables are broken."""

from __future__ import annotations

import csv
import json
import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from prioritycut.errors import UserError
from prioritycut.metrics import (
    Record,
    average_euclidean_distance,
    average_keypoint_distance,
    match_records,
    missing_keypoint_rate,
    read_records,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())
SUFFIXES = (".json", ".jsonl", ".csv")


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Rows in the format of the path's suffix; CSV has no column for `detected`, so it gets the array."""
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    else:
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["", "file_name", "frame_number", "value"])  # pandas writes its index first
            for number, row in enumerate(rows):
                value = row["value"] if "value" in row else joints(row["detected"])
                cell = "" if value is None else json.dumps(value)
                writer.writerow([number, row["file_name"], row["frame_number"], cell])
    return path


def joints(detected: dict[str, list[float]]) -> list[list[float]]:
    return [detected.get(str(joint), [-1, -1]) for joint in range(18)]


def stacked(example: dict[str, Any], folder: Path, suffix: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Predictions and targets of a golden example through files, all clips together."""
    predicted, target = (
        read_records(write_table(folder / f"{side}{suffix}", example[side])) for side in ("generated", "gt")
    )
    matched = match_records(predicted, target)
    assert matched.problems == ()
    return torch.cat([clip.predicted for clip in matched.clips]), torch.cat([clip.target for clip in matched.clips])


def record(name: str, number: int, value: list[Any] | None) -> Record:
    return Record(name, number, None if value is None else torch.tensor(value, dtype=torch.float64))


def fault(path: Path, **settings: Any) -> str:
    with pytest.raises(UserError) as caught:
        read_records(path, **settings)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_golden_tables_give_the_public_codes_figures(tmp_path: Path, suffix: str) -> None:
    face = stacked(GOLDEN["face_akd"], tmp_path, suffix)
    assert average_keypoint_distance(*face).value == pytest.approx(GOLDEN["face_akd"]["akd"], rel=1e-12)
    body = stacked(GOLDEN["body_akd_mkr"], tmp_path, suffix)
    assert body[0].shape == (4, 18, 2)
    assert average_keypoint_distance(*body).value == pytest.approx(GOLDEN["body_akd_mkr"]["akd"], rel=1e-12)
    assert missing_keypoint_rate(*body).value == pytest.approx(GOLDEN["body_akd_mkr"]["mkr"], rel=1e-12)
    identity = stacked(GOLDEN["aed"], tmp_path, suffix)
    assert identity[0].shape == (3, 3)
    squares, euclidean = (average_euclidean_distance(*identity, protocol) for protocol in ("reference", "corrected"))
    assert squares.value == pytest.approx(GOLDEN["aed"]["aed_squared_reference"], rel=1e-12)
    assert euclidean.value == pytest.approx(GOLDEN["aed"]["aed_true_euclidean"], rel=1e-12)


def test_the_value_says_what_a_row_is(tmp_path: Path) -> None:
    rows = [
        {"file_name": "a.mp4", "frame_number": 0, "value": [[1, 2], [-1, -1], [-1, 7], [3, -1]]},
        {"file_name": "a.mp4", "frame_number": 1, "value": [[0.5, -1, 2]]},
        {"file_name": "a.mp4", "frame_number": 2.0, "value": [0.5, -1, 2]},
        {"file_name": "a.mp4", "frame_number": "3", "value": None},
        {"file_name": "a.mp4", "frame_number": 4, "detected": {}},
    ]
    points, flat, flatter, nothing, no_joints = read_records(write_table(tmp_path / "mixed.json", rows))
    assert points.value is not None
    assert points.value.isnan().tolist() == [[False, False], [True, True], [True, True], [False, False]]
    for embedding in (flat.value, flatter.value):
        assert embedding is not None
        assert embedding.tolist() == [0.5, -1, 2]  # -1 is a number like any other here
    assert nothing.value is None
    assert no_joints.value is not None
    assert no_joints.value.shape == (18, 2)
    assert no_joints.value.isnan().all()
    assert [row.frame_number for row in (flatter, nothing)] == [2, 3]


def test_an_embedding_of_two_numbers_can_be_told_from_a_point(tmp_path: Path) -> None:
    path = write_table(tmp_path / "two.json", [{"file_name": "a", "frame_number": 0, "value": [[-1, 1]]}])
    ((point,), (embedding,)) = (read_records(path), read_records(path, kind="identity"))
    assert point.value is not None
    assert embedding.value is not None
    assert point.value.isnan().all()
    assert embedding.value.tolist() == [-1, 1]
    path = write_table(tmp_path / "flat.json", [{"file_name": "a", "frame_number": 0, "value": [1, 2, 3]}])
    assert "value must be points x 2 numbers, got 3" in fault(path, kind="keypoints")


GOOD = {"file_name": "a.mp4", "frame_number": 0, "value": [[1, 2]]}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([1, 2], "not an object"),
        ({"frame_number": 1, "value": None}, "file_name must have a text before its first dot, got None"),
        ({**GOOD, "file_name": ".mp4"}, "file_name must have a text before its first dot"),
        ({**GOOD, "frame_number": 1.5}, "frame_number must be a whole number, got 1.5"),
        ({**GOOD, "frame_number": True}, "frame_number must be"),
        ({**GOOD, "frame_number": None}, "frame_number must be"),
        ({**GOOD, "frame_number": 10**400}, "frame_number must be"),
        ({"file_name": "a", "frame_number": 1}, "neither value nor detected"),
        ({**GOOD, "value": "[[1. 2.]]"}, "value must be a list of numbers"),
        ({**GOOD, "value": 3}, "value must be a list of numbers"),
        ({**GOOD, "value": [[1, 2], [3]]}, "value must be a list of numbers"),
        ({**GOOD, "value": [["x", 2]]}, "value must be a list of numbers"),
        ({**GOOD, "value": [[1, math.inf]]}, "infinite"),
        ({**GOOD, "value": []}, "value must be points x 2, n or 1 x n numbers, got 0"),
        ({**GOOD, "value": [[1, 2, 3], [4, 5, 6]]}, "got 2 x 3"),
        ({"file_name": "a", "frame_number": 1, "detected": {"18": [1, 2]}}, "joint '18' is not one of 0 to 17"),
        ({"file_name": "a", "frame_number": 1, "detected": {"nose": [1, 2]}}, "joint 'nose' is not"),
        ({"file_name": "a", "frame_number": 1, "detected": {"3": [1]}}, r"joint 3 must be [x, y], got [1]"),
        ({"file_name": "a", "frame_number": 1, "detected": {"3": None}}, "joint 3 must be [x, y], got None"),
        ({"file_name": "a", "frame_number": 1, "detected": [[1, 2]]}, "detected must be an object"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_costs_no_other(tmp_path: Path, row: Any, expected: str) -> None:
    rows = [GOOD, row, {**GOOD, "frame_number": 7}]
    for suffix, place in ((".json", "record 2"), (".jsonl", "line 2")):
        path = write_table(tmp_path / f"table{suffix}", rows)
        problems = list[str]()
        kept = read_records(path, on_problem=problems.append)
        assert [record.frame_number for record in kept] == [0, 7]
        assert len(problems) == 1
        assert problems[0].startswith(f"{path}: {place}: ")
        assert expected in problems[0]
        # Unless told what to do with it, a row is never lost.
        assert fault(path).endswith("; mend or remove it (1 of 3 rows cannot be read)")


def test_broken_lines_are_named_by_their_number(tmp_path: Path) -> None:
    lines = tmp_path / "table.jsonl"
    lines.write_text(json.dumps(GOOD) + "\n\n" + json.dumps(GOOD)[:-4] + "\n" + json.dumps(GOOD) + "\n")
    table = tmp_path / "table.csv"
    table.write_text(
        "file_name,frame_number,value\n"
        'a.mp4,0,"[[1, 2]]"\n'
        "a.mp4,1,[[1, 2]]\n"  # commas that were not quoted
        "a.mp4,2\n"  # a line cut short
        'a.mp4,3,"[[1, 2]"\n'
        "a.mp4,4,\n"  # nothing found: no fault
        'a.mp4,5,"[[1,\n 2]]"\n'  # a value over two lines
        'a.mp4,six,"[[1, 2]]"\n'
    )
    for path, kept, places in ((lines, [0, 0], [3]), (table, [0, 4, 5], [3, 4, 5, 9])):
        problems = list[str]()
        assert [record.frame_number for record in read_records(path, on_problem=problems.append)] == kept
        assert [problem.split(": ")[1] for problem in problems] == [f"line {place}" for place in places]


def test_a_spreadsheets_byte_order_mark_and_line_ends_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(b'\xef\xbb\xbffile_name,frame_number,value\r\na.mp4,0,"[0.5, 0.25, 1]"\r\n')
    (read,) = read_records(path)
    assert read.value is not None
    assert read.value.tolist() == [0.5, 0.25, 1]


@pytest.mark.parametrize("suffix", [".pkl", ".pickle", ".pth", ".npy"])
def test_a_pickle_is_not_opened_and_the_way_out_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"table{suffix}"
    path.write_bytes(pickle.dumps([GOOD]))
    assert "a pickle, which can hold code and is not opened; " in fault(path)
    assert 'to_json("records.json", orient="records")' in fault(path)


def test_files_in_which_nothing_can_be_read_are_refused(tmp_path: Path) -> None:
    assert "no such file; check the path" in fault(tmp_path / "missing.json")
    (tmp_path / "folder.json").mkdir()
    assert "cannot be read as UTF-8 text" in fault(tmp_path / "folder.json")
    for name, content, expected in (
        ("table.txt", "", "records are read from .json, .jsonl and .csv"),
        ("torn.json", json.dumps([GOOD])[:-3], "not whole JSON"),
        ("hidden.json", pickle.dumps([GOOD]).decode("latin-1"), "not whole JSON"),
        ("deep.json", "[" * 100_000, "not whole JSON"),
        ("columns.json", '{"file_name": {"0": "a"}}', "must be a list of objects, one a frame; pandas writes it with"),
        ("empty.json", "[]", "no record can be read; it has no rows"),
        ("empty.jsonl", "\n", "no record can be read; it has no rows"),
        ("empty.csv", "", "no column file_name, frame_number, value; name the columns in the first line"),
        ("nameless.csv", "file,frame_number,value\na,0,\n", "no column file_name; name"),
        ("bad.jsonl", "{\n", "no record can be read; "),
    ):
        (tmp_path / name).write_text(content)
        assert expected in fault(tmp_path / name)
    assert "line 1: not an object" in fault(tmp_path / "bad.jsonl", on_problem=lambda problem: None)


def test_tables_are_matched_by_name_up_to_the_first_dot_and_by_frame_in_any_order() -> None:
    predicted = [record("b.mp4.png", 1, [3.0, 3.5]), record("a.png", 10, [2.0, 2.5]), record("a.png", 9, [1.0, 1.5])]
    target = [record("a.mp4", 9, [10.0, 1.0]), record("b", 1, [30.0, 3.0]), record("a.mp4", 10, [20.0, 2.0])]
    matched = match_records(predicted, target)
    assert matched.kind == "identity"
    assert matched.problems == ()
    assert [(clip.name, clip.frame_numbers) for clip in matched.clips] == [("a", (9, 10)), ("b", (1,))]
    assert matched.clips[0].predicted.tolist() == [[1, 1.5], [2, 2.5]]
    assert matched.clips[0].target.tolist() == [[10, 1], [20, 2]]
    assert matched.clips[1].predicted.tolist() == [[3, 3.5]]


def test_what_has_no_partner_is_counted_clip_by_clip_and_the_rest_is_kept() -> None:
    points = [[1.0, 2.0]]
    predicted = [record("a", frame, points) for frame in (0, 1, 2)] + [record("x", frame, points) for frame in range(8)]
    target = [record("a", frame, points) for frame in (1, 2, 3, 4)] + [record("b", 0, points)]
    matched = match_records(predicted, target)
    assert [(clip.name, clip.frame_numbers) for clip in matched.clips] == [("a", (1, 2))]
    assert [(problem.clip, problem.frames, problem.fault) for problem in matched.problems] == [
        ("a", 1, "frame 0: no target; left out"),
        ("a", 2, "frames 3, 4: no prediction; left out"),
        ("b", 1, "frame 0: no prediction; left out"),
        ("x", 8, "frames 0, 1, 2, 3, 4 and 3 more: no target; left out"),
    ]


def test_of_several_records_of_a_frame_the_last_counts_and_is_counted() -> None:
    predicted = [record("a.mp4", 0, [[1.0, 1.0]]), record("a.mp4", 0, None), record("a.gif", 0, [[5.0, 5.0]])]
    matched = match_records(predicted, [record("a", 0, [[4.0, 4.0]])])
    assert matched.clips[0].predicted.tolist() == [[[5, 5]]]
    (problem,) = matched.problems
    assert (problem.clip, problem.frames) == ("a", 1)
    assert "several predictions" in problem.fault
    assert "the last counts" in problem.fault


def test_a_frame_where_nothing_was_found_is_a_value_and_no_problem() -> None:
    predicted = [record("a", 0, None), record("a", 1, [[1.0, 2.0], [3.0, 4.0]])]
    target = [record("a", 0, [[1.0, 2.0], [3.0, 4.0]]), record("a", 1, None)]
    matched = match_records(predicted, target)
    (clip,) = matched.clips
    assert matched.problems == ()
    assert clip.predicted.isnan().flatten(1).all(1).tolist() == [True, False]
    result = average_keypoint_distance(clip.predicted, clip.target)
    assert (result.frames, result.failures, result.without_target) == (0, 1, 1)


def test_frames_with_another_number_of_points_are_left_out_and_named_once() -> None:
    two, three = [[1.0, 2.0]] * 2, [[1.0, 2.0]] * 3
    predicted = [record("a", 0, three), record("a", 1, two), record("a", 2, two)]
    target = [record("a", 0, two), record("a", 1, three), record("a", 2, two)]
    matched = match_records(predicted, target)
    assert matched.clips[0].frame_numbers == (2,)
    assert [problem.fault for problem in matched.problems] == [
        "frame 0: a prediction that is not 2 x 2 numbers; left out",
        "frame 1: a target that is not 2 x 2 numbers; left out",
    ]


@pytest.mark.parametrize(
    ("predicted", "target", "expected"),
    [
        ([record("a", 0, [1.0])], [record("b", 0, [1.0])], "no frame of the predictions can be compared .*names count"),
        ([record("a", 0, [1.0])], [record("a", 0, [1.0, 2.0])], "a prediction that is not 2 numbers"),
        ([record("a", 0, None)], [record("a", 0, None)], "nothing was found in any frame"),
        ([], [record("a", 0, [1.0])], "no frame of the predictions"),
        ([], [], "nothing was found"),
    ],
)
def test_tables_with_nothing_in_common_are_refused(
    predicted: list[Record], target: list[Record], expected: str
) -> None:
    with pytest.raises(UserError, match=expected) as caught:
        match_records(predicted, target)
    assert "\n" not in str(caught.value)

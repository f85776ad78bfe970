"""Detectors' records through `prioritycut score`: the worked examples of the public evaluation code."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prioritycut.cli import run
from prioritycut.errors import UserError
from prioritycut.results import Result, load_result

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())


def scored(folder: Path, predicted: Path, target: Path, *options: str) -> Result:
    run(["score", str(predicted), str(target), str(folder / "out.json"), *options])
    return load_result(folder / "out.json")


def as_json(path: Path, rows: list[dict[str, object]]) -> Path:
    path = path.with_suffix(".json")
    path.write_text(json.dumps(rows))
    return path


def as_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    path = path.with_suffix(".csv")
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "frame_number", "value"])
        for row in rows:
            value = "" if row["value"] is None else json.dumps(row["value"])
            writer.writerow([row["file_name"], row["frame_number"], value])
    return path


Writer = Callable[[Path, list[dict[str, object]]], Path]


@pytest.mark.parametrize("write", [as_json, as_lines, as_csv])
def test_face_akd_of_the_worked_example(tmp_path: Path, write: Writer) -> None:
    example = GOLDEN["face_akd"]
    predicted, target = write(tmp_path / "made", example["generated"]), write(tmp_path / "truth", example["gt"])
    result = scored(tmp_path, predicted, target, "--detector", "2-D FAN 1.3")
    row = result.summary("AKD")
    assert row is not None
    assert row.mean == pytest.approx(example["akd"], abs=1e-12)
    assert (row.frames, row.failures) == (2, 1)
    assert row.tool == "2-D FAN 1.3"


def test_body_akd_and_mkr_of_the_worked_example(tmp_path: Path) -> None:
    example = GOLDEN["body_akd_mkr"]
    made, truth = as_json(tmp_path / "made", example["generated"]), as_json(tmp_path / "truth", example["gt"])
    result = scored(tmp_path, made, truth)
    akd, mkr = result.summary("AKD"), result.summary("MKR")
    assert akd is not None
    assert mkr is not None
    assert akd.mean == pytest.approx(example["akd"], abs=1e-12)
    assert mkr.mean == pytest.approx(example["mkr"], abs=1e-12)
    assert (akd.frames, akd.failures, akd.skipped) == (2, 1, 1)
    assert (mkr.frames, mkr.skipped) == (3, 1)


@pytest.mark.parametrize("write", [as_json, as_lines, as_csv])
def test_aed_of_the_worked_example_in_both_protocols(tmp_path: Path, write: Writer) -> None:
    example = GOLDEN["aed"]
    result = scored(tmp_path, write(tmp_path / "made", example["generated"]), write(tmp_path / "truth", example["gt"]))
    reference, corrected = result.summary("AED"), result.summary("AED_corrected")
    assert reference is not None
    assert corrected is not None
    assert reference.mean == pytest.approx(example["aed_squared_reference"], abs=1e-12)
    assert corrected.mean == pytest.approx(example["aed_true_euclidean"], abs=1e-12)


def test_a_row_that_cannot_be_read_is_named_and_the_rest_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = GOLDEN["face_akd"]
    lines = [*example["generated"], {"file_name": "c.mp4", "frame_number": "two", "value": [[1, 2]]}]
    made, truth = as_lines(tmp_path / "made", lines), as_json(tmp_path / "truth", example["gt"])
    row = scored(tmp_path, made, truth).summary("AKD")
    assert row is not None
    assert row.mean == pytest.approx(example["akd"])
    assert "made.jsonl: line 4" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"line 4.*--strict"):
        scored(tmp_path, made, truth, "--strict")


def test_records_against_a_folder_are_refused(tmp_path: Path) -> None:
    made = as_json(tmp_path / "made", GOLDEN["aed"]["generated"])
    (tmp_path / "truth").mkdir()
    with pytest.raises(UserError, match="records"):
        scored(tmp_path, made, tmp_path / "truth")


@pytest.mark.parametrize("ignored", [("--size", "64"), ("--skip-first",), ("--keypoints", "puppets")])
def test_what_would_change_nothing_with_records_is_refused_not_ignored(
    tmp_path: Path, ignored: tuple[str, ...]
) -> None:
    table = as_json(tmp_path / "records", [{"file_name": "a", "frame_number": 0, "value": [[1, 2], [3, 4]]}])
    with pytest.raises(UserError, match="records hold what was found in frames already"):
        scored(tmp_path, table, table, *ignored)
    assert not (tmp_path / "out.json").exists()

"""`evaluate` and `score` as a person meets them: what they say, and how they fail."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import torch

from prioritycut import cli
from prioritycut.data.clips import write_clip
from prioritycut.evaluation import measurement

Run: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, what it printed, what it complained of."""

    def invoke(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["prioritycut", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return invoke


@pytest.fixture
def clips(moving: torch.Tensor, tmp_path: Path) -> Path:
    """Two folders of three clips."""
    for side in ("made", "truth"):
        for name in "abc":
            write_clip(tmp_path / side / name, moving)
    return tmp_path


def test_names_that_look_like_markup_are_printed_as_they_are(run: Run, clips: Path) -> None:
    out = clips / "[odd] out.json"
    code, said, _ = run("score", clips / "made", clips / "truth", out, "--method", "[/x]", "--dataset", "[bold]d")
    assert code == 0
    assert "[/x] on [bold]d: clips scored: 3, not scored: 0" in said
    assert f"report '{out}' --output" in said


def test_a_name_gives_the_terminal_no_orders(run: Run, clips: Path, moving: torch.Tensor) -> None:
    write_clip(clips / "made" / "x\x1b[31m\n", moving)
    code, said, _ = run("score", clips / "made", clips / "truth", clips / "out.json")
    assert code == 0
    assert "x\ufffd[31m\ufffd: no target of this name" in said
    assert "\x1b" not in said


def test_a_folder_without_enough_clips_for_a_split_is_told_how_to_take_all(run: Run, clips: Path) -> None:
    (clips / "two").mkdir()
    for name in "ab":
        (clips / "made" / name).rename(clips / "two" / name)
    code, _, complaint = run("evaluate", "puppets", clips / "two", clips / "out.json")
    assert code == 2
    assert "two: holds no test clips" in complaint
    assert "--split all" in complaint
    assert "--data.root" not in complaint


@pytest.mark.parametrize("turned", [False, True])
def test_a_folder_against_a_table_is_refused(run: Run, clips: Path, turned: bool) -> None:
    table = clips / "records.json"
    table.write_text(json.dumps([{"file_name": "a.mp4", "frame_number": 0, "value": [[1, 2]]}]))
    sides = (table, clips / "truth") if turned else (clips / "made", table)
    code, _, complaint = run("score", *sides, clips / "out.json")
    assert code == 2
    assert "a folder and a file" in complaint


def test_records_are_never_replaced_by_their_own_result(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "records.json"
    table.write_text(json.dumps([{"file_name": "a.mp4", "frame_number": 0, "value": [[1, 2]]}]))
    before = table.read_text()
    code, _, complaint = run("score", table, table, table)
    assert code == 2
    assert "is there already and no result" in complaint
    assert table.read_text() == before


@pytest.mark.parametrize("done", [0, 2])
def test_ctrl_c_says_what_is_kept(run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch, done: int) -> None:
    measured = iter(range(3))
    measure = measurement.measure_clip

    def interrupted(*arguments: object) -> object:
        if next(measured) == done:
            raise KeyboardInterrupt
        return measure(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(measurement, "measure_clip", interrupted)
    code, _, complaint = run("score", clips / "made", clips / "truth", clips / "out.json")
    assert code == 130
    partial = clips / "out.json.partial"
    kept = f"the same command goes on from {partial}" if done else "no clip was kept"
    assert complaint == f"prioritycut: interrupted; {kept}\n"
    assert partial.exists() == bool(done)

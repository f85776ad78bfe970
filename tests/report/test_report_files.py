"""From files to files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from made_results import flat_result

from prioritycut.errors import UserError
from prioritycut.report import write_report
from prioritycut.results import Result, save_result


@pytest.fixture
def saved(tmp_path: Path) -> list[Path]:
    """Results of two methods, in files of the same name."""
    paths = [tmp_path / "results" / method / "result.json" for method in ("fomm", "ours")]
    for path, mean in zip(paths, (0.0413, 0.0401), strict=True):
        save_result(path, flat_result(path.parent.name, {"L1": mean}))
    return paths


def test_a_report_is_three_files(saved: list[Path], tmp_path: Path) -> None:
    files = write_report(saved, tmp_path / "report")
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == ["report.html", "report.md", "report.tex"]
    for path in (files.html, files.markdown, files.latex):
        assert "0.0401" in path.read_text() or "0.040" in path.read_text()


def test_files_are_told_apart_by_the_end_of_their_paths(saved: list[Path], tmp_path: Path) -> None:
    text = write_report(saved, tmp_path / "report").markdown.read_text()
    assert "| fomm/result.json |" in text
    assert str(tmp_path) not in text


def test_the_same_results_give_the_same_bytes(five_methods: list[Result], tmp_path: Path) -> None:
    first, second = (write_report(five_methods, tmp_path / name, paper="bair") for name in ("a", "b"))
    for name in ("html", "markdown", "latex"):
        assert getattr(first, name).read_bytes() == getattr(second, name).read_bytes()


def test_a_missing_result_is_named_and_nothing_is_written(saved: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"absent\.json: no such file"):
        write_report([*saved, tmp_path / "absent.json"], tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "prioritycut-result-1"}', "\x00\xff"])
def test_a_broken_result_is_named_and_nothing_is_written(text: str, saved: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"broken\.json: "):
        write_report([*saved, broken], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_no_result_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no results to report"):
        write_report([], tmp_path / "report")


def test_a_place_that_cannot_be_written_is_named(saved: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        write_report(saved, tmp_path / "file" / "report")


def test_a_result_that_measured_nothing_is_still_there(tmp_path: Path) -> None:
    empty = Result(
        **{
            **{name: getattr(flat_result("A", {"L1": 0.1}), name) for name in ("kind", "dataset", "size", "created")},
            **{"method": "Empty", "settings": {}, "versions": {}, "summaries": (), "clips": ()},
        }
    )
    text = write_report([flat_result("A", {"L1": 0.1}), empty], tmp_path).markdown.read_text()
    assert "Empty: nothing was measured." in text


def test_reports_load_no_network() -> None:
    probe = (
        "import sys, prioritycut.report; "
        "print([name for name in sys.modules if name.startswith('prioritycut.') and name.split('.')[1] in "
        "('models', 'losses', 'data', 'checkpoint', 'evaluation', 'animation', 'training')])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

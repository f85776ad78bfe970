"""The ledger: what is done stays done, whatever happens to the process."""

from pathlib import Path

import pytest

from prioritycut.errors import UserError
from prioritycut.evaluation.ledger import Entry, Ledger, ledger_path
from prioritycut.results import ClipResult, Problem, Tally


def entry(name: str, mean: float = 0.25) -> Entry:
    tallies = {"L1": Tally(frames=3, mean=mean, spread=0.5)}
    return Entry(name=name, result=ClipResult(name=name, frames=3, metrics=tallies, size=(8, 6)))


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out.json", "this") as ledger:
        ledger.add(entry("a", 1 / 3))
        ledger.add(Entry(name="b", result=None, problems=(Problem(clip="b", fault="b: broken; mend it"),)))
    with Ledger(tmp_path / "out.json", "this") as ledger:
        assert ledger.entries["a"] == entry("a", 1 / 3)
        assert ledger.entries["b"].problems[0].fault == "b: broken; mend it"


def test_a_line_that_a_kill_cut_in_half_is_forgotten_and_the_next_one_is_whole(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out.json", "this") as ledger:
        ledger.add(entry("a"))
        ledger.add(entry("b"))
    path = ledger_path(tmp_path / "out.json")
    path.write_bytes(path.read_bytes()[:-20])
    with Ledger(tmp_path / "out.json", "this") as ledger:
        assert list(ledger.entries) == ["a"]
        ledger.add(entry("c"))
    with Ledger(tmp_path / "out.json", "this") as ledger:
        assert list(ledger.entries) == ["a", "c"]


@pytest.mark.parametrize("cut", [0, 1, 10])
def test_a_kill_within_the_first_line_leaves_a_fresh_start(tmp_path: Path, cut: int) -> None:
    with Ledger(tmp_path / "out.json", "this") as ledger:
        ledger.add(entry("a"))
    path = ledger_path(tmp_path / "out.json")
    path.write_bytes(path.read_bytes()[:cut])
    with Ledger(tmp_path / "out.json", "this") as ledger:
        ledger.add(entry("a"))
    with Ledger(tmp_path / "out.json", "this") as ledger:
        assert list(ledger.entries) == ["a"]


def test_the_beginning_of_another_evaluation_is_left_alone(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out.json", "this") as ledger:
        ledger.add(entry("a"))
    before = ledger_path(tmp_path / "out.json").read_bytes()
    with pytest.raises(UserError, match=r"out\.json\.partial: holds the beginning of another evaluation"):
        Ledger(tmp_path / "out.json", "that")
    assert ledger_path(tmp_path / "out.json").read_bytes() == before


def test_two_processes_do_not_make_one_result(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out.json", "this"), pytest.raises(UserError, match="another process"):
        Ledger(tmp_path / "out.json", "this")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/out\.json\.partial: cannot be written"):
        Ledger(tmp_path / "file" / "out.json", "this")


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    ledger_path(tmp_path / "out.json").write_text("notes of mine\n")
    with pytest.raises(UserError, match="holds the beginning of another evaluation"):
        Ledger(tmp_path / "out.json", "me")
    assert ledger_path(tmp_path / "out.json").read_text() == "notes of mine\n"


def test_a_damaged_line_is_named_with_its_file(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out.json", "this") as ledger:
        ledger.add(entry("a"))
    path = ledger_path(tmp_path / "out.json")
    damaged = path.read_bytes() + b"\xff\xfe\n"
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"out\.json\.partial: "):
        Ledger(tmp_path / "out.json", "this")
    assert path.read_bytes() == damaged


def test_nothing_is_left_behind_where_no_clip_was_done_so_that_other_settings_may_begin(tmp_path: Path) -> None:
    with Ledger(tmp_path / "out.json", "this"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full here")
def test_a_disk_that_fills_up_is_named_with_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "out.json", "this")
    ledger._file.close()
    told = r"out\.json\.partial: cannot be written .* free space and repeat"
    with Path("/dev/full").open("a") as full:
        monkeypatch.setattr(ledger, "_file", full)
        with pytest.raises(UserError, match=told), ledger:
            ledger.add(entry("a"))
    assert list(tmp_path.iterdir()) == []

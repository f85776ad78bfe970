"""The page on levers names options that are there, every ambiguity, and every field that is a lever."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from prioritycut.cli import run
from prioritycut.presets import PRESETS
from prioritycut.regularizers import PriorityCut
from prioritycut.train_config import MixSchedule, Stabilizers

PAGE = (Path(__file__).parents[1] / "docs" / "levers.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")]


def options(text: str) -> list[tuple[str, str]]:
    """Command ("train" where none stands before it) and option of each piece of code."""
    found = [re.match(r"(?:([a-z]+) )?(--[a-z0-9.-]+)", code) for code in re.findall(r"`([^`]+)`", text)]
    return [(match[1] or "train", match[2]) for match in found if match]


def help_of(capsys: pytest.CaptureFixture[str], *command: str) -> set[str]:
    with pytest.raises(SystemExit):
        run([*command, "--help"])
    return set(re.findall(r"--[a-z0-9.-]+", capsys.readouterr().out))


def test_every_option_on_the_page_is_one_of_its_command(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    known = {
        "train": help_of(capsys, "train", "vox-256-prioritycut"),
        "evaluate": help_of(capsys, "evaluate"),
    }
    named = options(PAGE)
    assert len(named) > 35
    assert [(command, option) for command, option in named if option not in known[command]] == []


def test_every_ambiguity_has_a_row():
    assert {row[0] for row in ROWS if re.fullmatch(r"A\d+", row[0])} == {f"A{number}" for number in range(1, 22)}


def test_every_lever_has_a_row():
    named = {option for row in ROWS for _, option in options(" ".join(row))}
    groups = {"regularizer": PriorityCut, "mixing": MixSchedule, "stabilizers": Stabilizers}
    levers = {
        f"--{group}.{field.name.replace('_', '-')}"
        for group, config in groups.items()
        for field in fields(config)
        if field.name != "kind"
    }
    levers |= {"--losses.lecam", "--losses.r1", "--freeze-keypoints", "--gan-mode"}
    assert sorted(levers - named) == []


def test_every_preset_on_the_page_is_there():
    cells = [cell for row in ROWS for cell in row if "the preset:" in cell]
    named = {name for cell in cells for name in re.findall(r"`([a-z0-9-]+)`", cell)}
    assert named
    assert [name for name in named if f"vox-256-{name}" not in PRESETS] == []

"""The page on detectors says what is there: every tool, its numbers, its file, and an example that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from prioritycut.data.puppets import LANDMARKS
from prioritycut.evaluation.instruments import Instruments
from prioritycut.evaluation.measurement import measure_clips
from prioritycut.evaluation.running import InstrumentChoice
from prioritycut.metrics.detectors import (
    affinity_decoding,
    deeplab,
    dlib,
    fan,
    fba,
    market1501,
    mediapipe,
    openface,
    part_affinity,
    puppet_networks,
    registry,
    s3fd,
)

PAGE = Path(__file__).parents[1] / "docs" / "detectors.md"
TABLES: Mapping[str, Mapping[str, object]] = {
    "--keypoints": registry.KEYPOINT_DETECTORS,
    "--identity": registry.IDENTITY_NETWORKS,
    "--salient": registry.SEGMENTERS,
    "--matting": registry.MATTINGS,
}


def page_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], list[str]]:
    """The cells of the table's rows after option and name."""
    return {(option, name): cells for option, name, *cells in _cells()}


def _cells() -> Iterator[list[str]]:
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `--"):
            option, name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            yield [option.strip("| `"), name.strip("`"), *cells]


def test_the_example_on_the_page_runs_and_prints_what_the_page_says(capsys):
    (example,), (printed,) = page_blocks("python"), page_blocks("text")
    exec(compile(example, str(PAGE), "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == printed


def test_every_tool_that_can_be_chosen_is_on_the_page_and_no_other(rows):
    assert set(rows) == {(option, name) for option, table in TABLES.items() for name in table}
    assert {option.removeprefix("--") for option, _ in rows} <= {field.name for field in fields(InstrumentChoice)}


def test_points_and_numbers_are_the_tools_own(rows):
    gives = {key: cells[1] for key, cells in rows.items()}
    assert {name: text for (option, name), text in gives.items() if option == "--keypoints"} == {
        "mediapipe-face": f"{mediapipe.FACE_POINTS} points",
        "mediapipe-pose": f"{mediapipe.POSE_POINTS} points",
        "dlib-68": f"{dlib.FACE_POINTS} points",
        "puppets": f"{len(LANDMARKS)} points",
        "fan": f"{fan.POINTS} points",
        "part-affinity": f"{len(affinity_decoding.JOINTS)} points",
    }
    assert {name: text for (option, name), text in gives.items() if option == "--identity"} == {
        "dlib-identity": f"{dlib.FEATURES} numbers",
        "puppets": f"{puppet_networks.EmbeddingNetworkConfig().features} numbers",
        "openface": f"{openface.FEATURES} numbers",
        "market-1501": f"{market1501.FEATURES} numbers",
    }


def test_a_tool_that_takes_a_file_says_so_on_the_page(rows):
    for (option, name), cells in rows.items():
        entry = TABLES[option][name]
        files = re.findall(rf"`{re.escape(name)}=([A-Z,]+)`", cells[2])
        most = getattr(entry, "most_files", None)
        assert [text.count("FILE") for text in files] == ([most] if most else []), name


def test_files_and_publishers_are_those_that_the_errors_name(rows):
    advices = {
        "fan": fan.ADVICE + s3fd.ADVICE,
        "part-affinity": part_affinity.ADVICE,
        "openface": openface.ADVICE,
        "market-1501": market1501.ADVICE,
        "deeplabv3plus": deeplab.ADVICE,
        "fba": fba.ADVICE,
    }
    cells = {name: cells[2] for (_, name), cells in rows.items()}
    for name, advice in advices.items():
        named = re.findall(r"[\w-]+\.pth(?:\.tar)?", cells[name]) + re.findall(r"\w+/\w+", cells[name])
        assert named, name
        assert [file for file in named if file not in advice] == [], name
        assert f"{name}=FILE" in advice


def test_what_the_page_hands_an_own_detector_to_is_there():
    assert {"keypoints", "identity", "salient"} <= {field.name for field in fields(Instruments)}
    assert callable(measure_clips)
    text = PAGE.read_text()
    assert measure_clips.__module__ + ".measure_clips" in text
    assert Instruments.__module__ + ".Instruments" in text

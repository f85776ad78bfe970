"""Tools by name: what a choice on the command line means, and what is said where it means nothing."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import IdentityNetwork, KeypointDetector, Segmenter
from prioritycut.metrics.detectors.registry import (
    IDENTITY_NETWORKS,
    KEYPOINT_DETECTORS,
    MATTINGS,
    SEGMENTERS,
    Choice,
    build_identity_network,
    build_keypoint_detector,
    build_matting,
    build_segmenter,
    parse_choice,
)
from prioritycut.metrics.salient import Matting

CPU = torch.device("cpu")
Build = Callable[[Choice, torch.device], object]

needs_extra = pytest.mark.skipif(find_spec("mediapipe") is None, reason="the eval extra is not installed")

OF_PACKAGES: list[tuple[Build, str, type]] = [
    (build_keypoint_detector, "mediapipe-face", KeypointDetector),
    (build_keypoint_detector, "mediapipe-pose", KeypointDetector),
    (build_keypoint_detector, "dlib-68", KeypointDetector),
    (build_identity_network, "dlib-identity", IdentityNetwork),
    (build_segmenter, "mediapipe-selfie", Segmenter),
    (build_matting, "closed-form", Matting),
]
SHIPPED: list[tuple[Build, str, type]] = [
    (build_keypoint_detector, "puppets", KeypointDetector),
    (build_identity_network, "puppets", IdentityNetwork),
]
FROM_FILES: list[tuple[Build, str]] = [
    (build_keypoint_detector, "fan"),
    (build_keypoint_detector, "part-affinity"),
    (build_identity_network, "openface"),
    (build_identity_network, "market-1501"),
    (build_segmenter, "deeplabv3plus"),
    (build_matting, "fba"),
]


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("mediapipe-face", Choice("mediapipe-face")),
        (" none ", Choice("none")),
        ("fan=2dfan4.pth", Choice("fan", (Path("2dfan4.pth"),))),
        ("fan=a/2dfan4.pth, b/s3fd.pth", Choice("fan", (Path("a/2dfan4.pth"), Path("b/s3fd.pth")))),
        ("fba=~/FBA.pth", Choice("fba", (Path.home() / "FBA.pth",))),
        ("fba=epoch=3.pth", Choice("fba", (Path("epoch=3.pth"),))),
    ],
)
def test_a_choice_is_a_name_and_files(text: str, choice: Choice) -> None:
    assert parse_choice(text) == choice


@pytest.mark.parametrize("text", ["", " ", "=a.pth", "fan=", "fan=a.pth,", "fan=,a.pth"])
def test_a_choice_without_a_name_or_with_an_empty_file_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="write NAME, NAME=WEIGHTS or NAME=WEIGHTS,WEIGHTS"):
        parse_choice(text)


@pytest.mark.parametrize(
    ("build", "names"),
    [
        (build_keypoint_detector, KEYPOINT_DETECTORS),
        (build_identity_network, IDENTITY_NETWORKS),
        (build_segmenter, SEGMENTERS),
        (build_matting, MATTINGS),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(build: Build, names: dict[str, object]) -> None:
    with pytest.raises(UserError, match=f"^medaipipe: no such .*; choose one of {', '.join(names)}$"):
        build(parse_choice("medaipipe"), CPU)


def test_each_tool_of_the_tables_is_built_by_a_test_here() -> None:
    tables = (KEYPOINT_DETECTORS, IDENTITY_NETWORKS, SEGMENTERS, MATTINGS)
    listed = sorted(name for table in tables for name in table)
    assert listed == sorted(
        [name for _, name, _ in OF_PACKAGES + SHIPPED] + [name for _, name in FROM_FILES] + ["none"]
    )


@needs_extra
@pytest.mark.parametrize(("build", "name", "protocol"), OF_PACKAGES)
def test_a_tool_of_a_package_is_built_under_its_name(build: Build, name: str, protocol: type) -> None:
    tool = build(parse_choice(name), CPU)
    assert isinstance(tool, protocol)
    assert name == (tool.name if isinstance(tool, Matting) else tool.tool.name)


@pytest.mark.parametrize(("build", "name", "protocol"), SHIPPED)
def test_a_shipped_tool_is_built_and_takes_own_weights_too(
    build: Build, name: str, protocol: type, tmp_path: Path
) -> None:
    shipped = build(parse_choice(name), CPU)
    assert isinstance(shipped, protocol)
    assert shipped.tool.name == name
    with pytest.raises(UserError, match=r"mine\.safetensors: no such file"):
        build(Choice(name, (tmp_path / "mine.safetensors",)), CPU)


def test_no_matting_is_none() -> None:
    assert build_matting(parse_choice("none"), CPU) is None


@pytest.mark.parametrize(("build", "name"), FROM_FILES)
def test_a_tool_without_its_weights_says_where_they_come_from(build: Build, name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"{name}=") as without:
        build(parse_choice(name), CPU)
    with pytest.raises(UserError, match=r"weights\.pth: no such file") as absent:
        build(Choice(name, (tmp_path / "weights.pth",)), CPU)
    assert "\n" not in f"{without.value}{absent.value}"


@pytest.mark.parametrize(
    ("build", "name"), [(build, name) for build, name, _ in OF_PACKAGES] + [(build_matting, "none")]
)
def test_a_tool_that_needs_no_file_takes_none(build: Build, name: str) -> None:
    with pytest.raises(UserError, match=f"^{name}: 1 weights file given, but it takes none$"):
        build(parse_choice(f"{name}=a.pth"), CPU)


def test_more_files_than_a_tool_can_use_are_refused() -> None:
    with pytest.raises(UserError, match=r"^fan: 3 weights files given, but it takes at most 2$"):
        build_keypoint_detector(parse_choice("fan=a,b,c"), CPU)

"""Every model by the same commands, and what each of them cannot do, said in a line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from prioritycut import cli
from prioritycut.checkpoint import CheckpointInfo, load_animator, read_info, save_animator, shipped_checkpoints
from prioritycut.data.clips import read_clip, write_clip
from prioritycut.data.puppets import generate_puppet
from prioritycut.models.building import build_animator
from prioritycut.models.fomm import HourglassConfig
from prioritycut.models.monkeynet import MonkeyNetConfig
from prioritycut.models.x2face import X2FaceConfig

ROOT = Path(__file__).parents[1]
PUBLISHED = Path(__file__).parent / "data" / "parity" / "monkeynet"
FIVE = ("x2face", "monkey-net", "fomm", "fomm-plus", "prioritycut")
HOURGLASS = HourglassConfig(block_expansion=4, max_features=16, num_blocks=2, scale_factor=0.5)
CONFIGS = {
    "x2face": X2FaceConfig(frame_size=32, block_expansion=4, max_features=8, num_levels=5, bottleneck=4),
    "monkey-net": MonkeyNetConfig(
        frame_size=32,
        num_keypoints=4,
        detector=HOURGLASS,
        dense_motion=HOURGLASS,
        block_expansion=4,
        max_features=16,
        num_blocks=3,
    ),
}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, a clip, and weights of small random models."""
    folder = tmp_path_factory.mktemp("material")
    clip = generate_puppet(1, 0, frames=6, size=64).frames
    write_clip(folder / "clip.mp4", clip)
    write_clip(folder / "picture", clip[:1])
    for name, config in CONFIGS.items():
        torch.manual_seed(0)
        info = CheckpointInfo(model=config, trained_on="puppets")
        save_animator(folder / f"{name}.safetensors", build_animator(config), info)
    return folder


Run = Callable[..., tuple[int, str, str]]


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


def animate(material: Path, model: str, output: Path, *options: str) -> list[object]:
    inputs = (material / "picture" / "000000.png", material / "clip.mp4", output)
    return ["animate", *inputs, "--checkpoint", material / f"{model}.safetensors", *options]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ["--motion relative needs keypoints, which X2Face does not find", "use --motion absolute"]),
        (("--motion", "absolute", "--best-frame"), ["--best-frame needs keypoints", "without --best-frame"]),
        (("--motion", "absolute", "--adapt-scale"), ["--adapt-scale needs keypoints", "without --adapt-scale"]),
    ],
)
def test_x2face_refuses_what_needs_keypoints_and_says_what_works(run: Run, material, tmp_path, options, words) -> None:
    code, _, complaint = run(*animate(material, "x2face", tmp_path / "out.mp4", *options))
    assert code == 2
    assert complaint.count("\n") == 1
    for word in words:
        assert word in complaint
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("option", ["--best-frame", "--adapt-scale"])
def test_options_of_relative_motion_are_refused_with_absolute_motion(run: Run, material, tmp_path, option) -> None:
    code, _, complaint = run(*animate(material, "monkey-net", tmp_path / "out.mp4", "--motion", "absolute", option))
    assert code == 2
    assert complaint.count("\n") == 1
    assert f"{option}: of relative motion, and --motion absolute knows none" in complaint
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("x2face", ("--motion", "absolute")),
        ("monkey-net", ()),
        ("monkey-net", ("--best-frame", "--adapt-scale")),
        ("monkey-net", ("--motion", "absolute")),
    ],
)
def test_both_baselines_animate_and_explain_as_far_as_they_can(run: Run, material, tmp_path, model, options) -> None:
    code, _, complaint = run(*animate(material, model, tmp_path / "out.mp4", "--explain", *options))
    assert code == 0, complaint
    assert read_clip(tmp_path / "out.mp4").shape == (6, 3, 32, 32)
    assert read_clip(tmp_path / "out-explain.mp4").shape[0] == 6


def test_published_weights_become_a_checkpoint_that_animates(run: Run, material, tmp_path) -> None:
    checkpoint, config = PUBLISHED / "vox-small-checkpoint.pth.tar", PUBLISHED / "vox-small-config.yaml"
    output = tmp_path / "published.safetensors"
    command = ["import-checkpoint", checkpoint, output, "--model", "monkeynet", "--config", config]
    code, said, _ = run(*command, "--trained-on", "VoxCeleb")
    assert code == 0
    assert "Monkey-Net, 64x64, 10 keypoints" in said
    info = read_info(output)
    assert (info.model.kind, info.trained_on) == ("monkey-net", "VoxCeleb")
    shutil.copy(output, tmp_path / "monkey.safetensors")
    inputs = (material / "picture" / "000000.png", material / "clip.mp4", tmp_path / "out.mp4")
    assert run("animate", *inputs, "--checkpoint", tmp_path / "monkey.safetensors")[0] == 0


def test_the_file_of_another_model_is_named(run: Run, tmp_path) -> None:
    checkpoint, config = PUBLISHED / "vox-small-checkpoint.pth.tar", PUBLISHED / "vox-small-config.yaml"
    code, _, complaint = run("import-checkpoint", checkpoint, tmp_path / "out.safetensors", "--config", config)
    assert code == 2
    assert complaint.count("\n") == 1
    assert "weights of Monkey-Net, not of FOMM; import them by --model monkeynet" in complaint
    assert not (tmp_path / "out.safetensors").exists()


def test_both_baselines_are_measured_and_shown_side_by_side(run: Run, material, tmp_path) -> None:
    checkpoints = [material / f"{model}.safetensors" for model in CONFIGS]
    write_clip(tmp_path / "clips" / "one.mp4", generate_puppet(1, 1, frames=4, size=64).frames)
    for checkpoint in checkpoints:
        output = tmp_path / f"{checkpoint.stem}.json"
        code, _, complaint = run("evaluate", checkpoint, tmp_path / "clips", output, "--split", "all")
        assert code == 0, complaint
        result = json.loads(output.read_text())
        assert (result["method"], len(result["clips"]), result["problems"]) == (checkpoint.stem, 1, [])
    code, _, complaint = run(
        *("figure", "5", "--checkpoints", *checkpoints, "--output", tmp_path / "five.png"),
        *("--clips", tmp_path / "clips" / "one.mp4", "--frames", "1", "2", "3"),
    )
    assert code == 0, complaint
    with Image.open(tmp_path / "five.png") as figure:
        assert figure.width > figure.height > 3 * 32


def script(path: Path, **settings: object) -> None:
    """Run one of the examples' scripts from another folder than the project's."""
    environment = {"PATH": os.environ["PATH"], "BIN": str(Path(sys.executable).parent)}
    environment |= {name: str(value) for name, value in settings.items()}
    done = subprocess.run([str(path)], env=environment, cwd=path.parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_one_script_trains_runs_measures_and_compares_all_five(tmp_path: Path) -> None:
    script(ROOT / "examples" / "all_models.sh", OUT=tmp_path, STEPS=2, CLIPS=2, FRAMES=6)
    for model in FIVE:
        assert read_info(tmp_path / f"run-{model}").steps == 2
        assert read_clip(tmp_path / f"{model}.mp4").shape[0] == 6
        assert read_clip(tmp_path / f"{model}-explain.mp4").shape[0] == 6
        result = json.loads((tmp_path / f"{model}.json").read_text())
        assert (result["method"], len(result["clips"])) == (model, 2)
    with Image.open(tmp_path / "figure-5.png") as figure:
        assert figure.height > 6 * 64  # a row for the driving frames, and one a model
    table = (tmp_path / "report" / "report.md").read_text()
    assert all(model in table for model in FIVE)


@pytest.mark.slow
def test_one_script_makes_the_small_weights_and_their_table(tmp_path: Path) -> None:
    weights, models = tmp_path / "weights", "x2face fomm"
    make = ROOT / "examples" / "train_five.sh"
    script(make, OUT=tmp_path, WEIGHTS=weights, MODELS=models, STEPS=2, CLIPS=1, FRAMES=4)
    for model in ("x2face", "fomm"):
        path = weights / f"{model}.safetensors"
        assert path.stat().st_size <= 4_000_000
        assert {parameter.dtype for parameter in load_animator(path).parameters()} == {torch.float32}
    assert (tmp_path / "report" / "report.md").is_file()


def test_compared_weights_that_are_shipped_are_small_and_equally_trained() -> None:
    shipped = {name: path for name, path in shipped_checkpoints().items() if name.startswith("five/")}
    if not shipped:
        pytest.skip("the five are in a checkout only (examples/train_five.sh makes them)")
    infos = {name: read_info(path) for name, path in shipped.items()}
    assert all(path.stat().st_size <= 4_000_000 for path in shipped.values())
    assert {info.steps for info in infos.values()} == {next(iter(infos.values())).steps}
    assert all(info.source == f"puppets-64-{name.removeprefix('five/')}" for name, info in infos.items())

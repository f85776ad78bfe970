"""A model that is not ours: both ways to PriorityCut run, and the page about them quotes what runs."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from prioritycut.data.clips import read_clip
from prioritycut.geometry import warp
from prioritycut.models.base import Animator, KeypointAnimator
from prioritycut.regularizers import PriorityCut, draw_mask

ROOT = Path(__file__).parents[1]
LOOP, MODEL = ROOT / "examples" / "foreign_training_loop.py", ROOT / "examples" / "foreign_model.py"
PAGE = (ROOT / "docs" / "your-own-model.md").read_text()


def run(script: Path, *options: str) -> str:
    done = subprocess.run([sys.executable, str(script), *options], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def example() -> ModuleType:
    """The adapter's file, imported."""
    spec = importlib.util.spec_from_file_location("foreign_model", MODEL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Shifts:
    """Their kind of answer, known beforehand: everything came from 6 pixels to the left; the left half is hidden."""

    def animate(self, picture: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden, moving = torch.zeros(2, len(picture), 1, 64, 64)
        hidden[..., :32] = 0.8
        moving[..., 16:, :] = 1.0
        flow = torch.tensor([-6.0, 0.0]).view(1, 2, 1, 1).expand(len(picture), 2, 64, 64)
        return {"image": picture, "flow": flow, "hidden": hidden, "moving": moving}


def test_a_foreign_loop_of_under_sixty_lines_needs_three_functions_of_ours():
    source = LOOP.read_text()
    assert len(source.splitlines()) < 60
    imports = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    ours = [node for node in imports if "prioritycut" in ast.unparse(node)]
    assert [ast.unparse(node) for node in ours] == ["from prioritycut import consistency_loss, mix, priority_cut_mask"]


def test_the_foreign_loop_learns():
    lines = run(LOOP, "--steps", "60").splitlines()
    assert len(lines) == 60
    made = [float(re.findall(r"[\d.]+", line)[1]) for line in lines]
    assert sum(made[-10:]) < 0.7 * sum(made[:10])


def test_the_adapter_says_in_our_words_what_their_model_means(example):
    adapter = example.Adapter(Shifts())
    assert isinstance(adapter, Animator)
    assert not isinstance(adapter, KeypointAnimator)
    source, driving = torch.rand(2, 2, 3, 64, 64)
    output = adapter(source, driving)
    torch.testing.assert_close(output.prediction, source)
    moved = warp(source, output.motion.deformation)
    torch.testing.assert_close(moved[..., 6:], source[..., :-6], atol=1e-4, rtol=0)
    # The left half is hidden, the upper quarter background: half of the foreground lies in both halves alike.
    mask = draw_mask(PriorityCut(fraction=(0.5, 0.5)), output.motion, driving, generator=torch.Generator())
    wanted = torch.zeros(2, 1, 64, 64, dtype=torch.bool)
    wanted[..., 16:, :32] = True
    assert torch.equal(mask, wanted)


def test_the_model_is_trained_measured_and_animated(tmp_path):
    options = ("--steps", "6", "--clips", "2", "--frames", "6", "--output", str(tmp_path / "out.mp4"))
    said = run(MODEL, *options)
    for name in ("L1 ↓", "PSNR_salient", "occlusion_average_precision"):
        assert name in said
    assert read_clip(tmp_path / "out.mp4").shape == (6, 3, 64, 64)


def test_the_page_quotes_what_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        assert block in LOOP.read_text() or block in MODEL.read_text(), block
    for script in (LOOP, MODEL):
        assert f"python {script.relative_to(ROOT)}" in PAGE
    assert f"{len(LOOP.read_text().splitlines())} lines" in PAGE

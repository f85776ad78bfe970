"""Salient masks, judged by scipy's dilation, by pictures composed with a known matte, and by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from portraits import REAL, real_frames
from prioritycut.errors import UserError
from prioritycut.metrics.detectors.base import Tool
from prioritycut.metrics.salient import (
    ClosedFormMatting,
    Matting,
    default_radius,
    masks_from_frames,
    matte,
    salient_masks,
    salient_tool,
    trimap,
    trivial_masks,
)

needs_pymatting = pytest.mark.skipif(find_spec("pymatting") is None, reason="the eval extra is not installed")


class Constant:
    """A matting that gives one value everywhere."""

    name = "constant"
    version = "1"

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, frames: Tensor, trimaps: Tensor) -> Tensor:
        return torch.full_like(trimaps, self.value)


class Redness:
    """A segmenter that takes what is red."""

    tool = Tool(role="salient", name="redness", version="7", note="for tests")

    def __call__(self, frames: Tensor) -> Tensor:
        return frames[:, :1]


def random_masks(seed: int, *, height: int = 40, width: int = 31) -> Tensor:
    """Four masks of blobs of several sizes, some of them at the edges."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(4, height, width)), (0, 2, 2))
    return torch.from_numpy(noise > np.quantile(noise, 0.7))[:, None]


def disc(size: int, radius: float) -> Tensor:
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return ((((x - size / 2) ** 2 + (y - size / 2) ** 2).sqrt() < radius)[None, None]).clone()


def composite(size: int) -> tuple[Tensor, Tensor]:
    """A disc with a soft border before a background, of colours along one line each, and the matte it was made with."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    distance = ((x - size / 2) ** 2 + (y - size / 2) ** 2).sqrt()
    matte = ((size / 4 + size / 16 - distance) / (size / 8)).clamp(0, 1)[None, None]
    light = 0.7 + 0.3 * torch.sin(x / size * 3.0)
    colours = torch.tensor([[0.9, 0.3, 0.1], [0.1, 0.3, 0.8]])[:, :, None, None] * light
    return matte * colours[:1] + (1 - matte) * colours[1:], matte


@pytest.mark.parametrize("erode", [False, True])
@pytest.mark.parametrize("radius", [0, 1, 3, 10])
def test_a_trimap_is_the_mask_and_what_its_dilation_adds(radius: int, erode: bool) -> None:
    masks = random_masks(radius)
    square = np.ones((2 * radius + 1, 2 * radius + 1))
    for mask, made in zip(masks[:, 0].numpy(), trimap(masks, radius, erode)[:, 0].numpy(), strict=True):
        certain = ndimage.binary_erosion(mask, np.ones((3, 3)), border_value=1) if erode else mask
        expected = np.where(ndimage.binary_dilation(certain, square), 0.5, 0.0)
        expected[certain] = 1.0
        np.testing.assert_array_equal(made, expected)


def test_the_band_of_one_pixel_is_a_square() -> None:
    mask = torch.zeros(1, 1, 30, 30, dtype=torch.bool)
    mask[0, 0, 15, 12] = True
    band = trimap(mask)[0, 0]
    assert band[15, 12] == 1
    assert (band == 0.5).sum() == 21 * 21 - 1
    assert (band[5:26, 2:23] >= 0.5).all()


@pytest.mark.parametrize("full", [False, True])
def test_what_the_trimap_tool_refuses_is_an_empty_or_full_mask(full: bool) -> None:
    mask = torch.full((2, 1, 32, 32), full)
    frames = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for erode in (False, True):
        assert torch.equal(trimap(mask, 10, erode), mask.float())
        assert torch.equal(matte(frames, trimap(mask, 10, erode), Constant(0.3)), mask.float())
    assert trivial_masks(mask.float()) == ((0, 2) if full else (2, 0))


@needs_pymatting
def test_without_anything_certain_on_one_side_all_is_the_other() -> None:
    frames = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    almost_full = disc(20, 9)
    assert (trimap(almost_full, 10) > 0).all()
    assert torch.equal(matte(frames[:1], trimap(almost_full, 10), ClosedFormMatting()), torch.ones(1, 1, 20, 20))
    nothing = torch.zeros(2, 1, 20, 20, dtype=torch.bool)
    assert torch.equal(matte(frames, trimap(nothing, 10), ClosedFormMatting()), torch.zeros(2, 1, 20, 20))


def test_a_negative_radius_is_refused() -> None:
    with pytest.raises(ValueError, match="radius must be at least 0, got -1"):
        trimap(disc(16, 4), -1)


@pytest.mark.parametrize(("height", "width", "radius"), [(256, 256, 10), (64, 64, 2), (512, 256, 10), (8, 8, 1)])
def test_the_band_is_ten_pixels_at_256_and_the_same_share_of_others(height: int, width: int, radius: int) -> None:
    assert default_radius(height, width) == radius


@pytest.mark.parametrize("value", [-0.5, 0.3, 1.5])
def test_matting_settles_the_band_and_nothing_else(value: float) -> None:
    masks = random_masks(5)
    trimaps = trimap(masks, 3)
    frames = torch.zeros(4, 3, *masks.shape[-2:])
    alpha = matte(frames, trimaps, Constant(value))
    assert (alpha[trimaps == 0.5] == min(max(value, 0), 1)).all()
    assert (alpha[masks] == 1).all()
    assert (alpha[trimaps == 0] == 0).all()


def test_masks_follow_the_segmenter_above_one_half() -> None:
    frames = torch.zeros(3, 3, 64, 64)
    frames[0, 0, 20:40, 10:50] = 0.51
    frames[1, 0, 20:40, 10:50] = 0.5
    frames[2, 0] = 1.0
    plain = salient_masks(frames, Redness(), None)
    assert torch.equal(plain[0, 0], (frames[0, 0] > 0).float())
    assert trivial_masks(plain) == (1, 1)
    soft = salient_masks(frames, Redness(), Constant(0.25))
    assert torch.equal(soft[1:], plain[1:])
    # At 64 pixels the band is two wide.
    assert (soft[0] == 0.25).sum() == 24 * 44 - 20 * 40
    assert (salient_masks(frames, Redness(), Constant(0.25), radius=1)[0] == 0.25).sum() == 22 * 42 - 20 * 40
    assert (salient_masks(frames, Redness(), None, radius=1)[0] == soft[0].floor()).all()
    eroded = salient_masks(frames, Redness(), Constant(0.25), radius=1, erode=True)
    assert (eroded[0] == 1).sum() == 18 * 38
    assert (eroded[0] == 0.25).sum() == 20 * 40 - 18 * 38


def test_a_salient_mask_names_both_tools() -> None:
    assert salient_tool(Redness(), None).label == "redness 7"
    assert salient_tool(Redness(), Constant(0)).label == "redness+constant 7+1"
    assert salient_tool(Redness(), Constant(0)).note == "for tests"


def test_brought_masks_are_the_mean_of_their_colours() -> None:
    pictures = torch.zeros(2, 3, 4, 5)
    pictures[0] = 1.0
    pictures[1, 0], pictures[1, 1] = 0.6, 0.3
    masks = masks_from_frames(pictures)
    assert masks.shape == (2, 1, 4, 5)
    torch.testing.assert_close(masks.mean((1, 2, 3)), torch.tensor([1.0, 0.3]))


def test_without_pymatting_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("prioritycut.metrics.detectors.packages.version", absent)
    with pytest.raises(
        UserError, match=r"closed-form: the package pymatting is not installed; pip install 'prioritycut\[eval\]'"
    ):
        ClosedFormMatting()


@needs_pymatting
def test_closed_form_matting_is_a_matting() -> None:
    matting = ClosedFormMatting()
    assert isinstance(matting, Matting)
    assert matting.name == "closed-form"
    assert matting.version.count(".") == 2


MATTE_A_COMPOSITE = """
import sys
sys.path.insert(0, {tests!r})
from test_salient import matting_error
print(matting_error(int(sys.argv[1])))
"""


def matting_error(size: int) -> float:
    """Largest error of closed-form matting on a composite whose matte is known."""
    frames, truth = composite(size)
    trimaps = trimap(truth == 1, round(size / 8) + 1)
    assert ((truth > 0) <= (trimaps > 0)).all(), "the band must hold the whole border"
    return float((matte(frames, trimaps, ClosedFormMatting()) - truth).abs().max())


@needs_pymatting
def test_closed_form_matting_finds_the_matte_that_a_picture_was_made_with() -> None:
    # Uncompiled: interpreting a small picture takes seconds, compiling the solver for the first time half a minute.
    program = MATTE_A_COMPOSITE.format(tests=str(Path(__file__).parent))
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, "24"], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.05


@pytest.mark.slow
@needs_pymatting
def test_closed_form_matting_finds_a_large_matte_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert matting_error(256) < 0.05
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("picture", ["flat", "noise", "posterized", "beyond"])
@needs_pymatting
def test_closed_form_matting_copes_with_any_picture(picture: str, capfd: pytest.CaptureFixture[str]) -> None:
    noise = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    frames = {
        "flat": torch.full_like(noise, 0.5),
        "noise": noise,
        "posterized": (composite(96)[0] * 3).round() / 3,
        "beyond": noise * 1.2 - 0.1,
    }[picture]
    alpha = matte(frames, trimap(disc(96, 30), 8), ClosedFormMatting())
    assert alpha.isfinite().all()
    assert 0 <= alpha.min() <= alpha.max() <= 1
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
@pytest.mark.data
@needs_pymatting
@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not beside the project")
def test_matting_brings_a_coarse_mask_nearer_to_a_green_screen() -> None:
    frames = real_frames("d0", 2)[:, :, :230]  # below is a black bar
    red, green, blue = frames.unbind(1)
    keyed = ~((green > red + 0.1) & (green > blue + 0.05))
    shrunk = torch.from_numpy(ndimage.binary_erosion(keyed.numpy(), np.ones((1, 9, 9)), border_value=1))
    alpha = matte(frames, trimap(shrunk[:, None], 10), ClosedFormMatting())[:, 0]
    assert (alpha - keyed.float()).abs().sum() < 0.5 * (shrunk.float() - keyed.float()).abs().sum()

"""Image metrics against scikit-image in double precision, golden figures and worked examples."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from prioritycut.metrics import l1, masked_l1, masked_psnr, masked_ssim, psnr, ssim

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "golden_examples.json").read_text())
CASES = GOLDEN["image_metrics"]["cases"]
WINDOWS = ("uniform7", "gaussian11")
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")],
    ),
]


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Arguments as they reach the function in use, where nobody checks shapes first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def golden_pair(case: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The images and the mask of a golden case, by its recipe."""
    height, width, amplitude = case["h"], case["w"], case["noise_amplitude"]
    base = np.random.default_rng(case["seed_image"]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    slope = np.tile(np.linspace(0, 255, height)[:, None, None], (1, width, 3))
    x = np.clip(np.rint(0.7 * slope + 0.3 * base), 0, 255).astype(np.uint8)
    noise = np.random.default_rng(case["seed_noise"]).integers(-amplitude, amplitude + 1, (height, width, 3))
    y = np.clip(x.astype(int) + noise, 0, 255).astype(np.uint8)
    assert (int(x.sum()), int(y.sum())) == (case["sum_x"], case["sum_y"])
    rows, cols = np.mgrid[:height, :width]
    mask = (rows - height / 2) ** 2 + (cols - width / 2) ** 2 <= (min(height, width) / 3) ** 2
    assert int(mask.sum()) == case["mask_pixels"]
    images = [torch.from_numpy(image / 255).permute(2, 0, 1)[None] for image in (x, y)]
    return images[0], images[1], torch.from_numpy(mask)[None, None]


def pairs(height: int = 40, width: int = 33) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images, height x width x 3 in float32, on which single precision would fail and others."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(size=(2, height, width, 3))
    slope = np.broadcast_to(np.linspace(0, 1, width)[None, :, None], (height, width, 3))
    flat = np.ones((height, width, 3))
    saturated = np.clip(slope * 3 - 0.5, 0, 1)
    drawn = {
        "noise": (noise[0], noise[1]),
        "slightly noisy": (slope, np.clip(slope + 0.05 * (noise[0] - 0.5), 0, 1)),
        "flat": (0.8 * flat, 0.7 * flat),
        "nearly equal": (0.9 * flat + 1e-4 * noise[0], 0.9 * flat + 1e-4 * noise[1]),
        "dark": (0.01 * noise[0], 0.01 * noise[1]),
        "black and almost black": (0 * flat, 1e-3 * noise[0]),
        "white and almost white": (flat, 1 - 1e-3 * noise[0]),
        "saturated": (saturated, np.clip(saturated + 0.3 * (noise[0] - 0.5), 0, 1)),
        "black and white": (0 * flat, flat),
        "inverted": (np.rint(noise[0]), 1 - np.rint(noise[0])),
    }
    return {name: (a.astype(np.float32), b.astype(np.float32)) for name, (a, b) in drawn.items()}


PAIRS = pairs()


def batch(*images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)


def reference_ssim(prediction: np.ndarray, target: np.ndarray, window: str) -> float:
    gaussian = {"gaussian_weights": True, "use_sample_covariance": False, "sigma": 1.5}
    settings = gaussian if window == "gaussian11" else {}
    a, b = prediction.astype(np.float64), target.astype(np.float64)
    return float(structural_similarity(a, b, data_range=1.0, channel_axis=-1, **settings))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['h']}x{case['w']}")
def test_golden_figures_of_whole_and_masked_images(case: dict[str, Any], dtype: torch.dtype) -> None:
    x, y, mask = golden_pair(case)
    x, y = x.to(dtype), y.to(dtype)
    measured = {
        "l1": l1(y, x),
        "psnr": psnr(y, x),
        "ssim_uniform7": ssim(y, x),
        "ssim_gaussian": ssim(y, x, window="gaussian11"),
        "psnr_mask": masked_psnr(y, x, mask),
        "ssim_uniform7_mask": masked_ssim(y, x, mask),
        "psnr_inverse": masked_psnr(y, x, 1 - mask.to(dtype)),
        "ssim_uniform7_inverse": masked_ssim(y, x, ~mask),
    }
    for key, value in measured.items():
        assert value.item() == pytest.approx(case[key], abs=1e-6), key


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", PAIRS)
def test_similarity_of_single_precision_frames_is_scikit_images_in_double(name: str, window: Any) -> None:
    prediction, target = PAIRS[name]
    measured = ssim(batch(prediction), batch(target), window=window).item()
    assert measured == pytest.approx(reference_ssim(prediction, target, window), abs=1e-9)


@pytest.mark.parametrize("name", PAIRS)
def test_signal_to_noise_ratio_is_scikit_images(name: str) -> None:
    prediction, target = PAIRS[name]
    expected = peak_signal_noise_ratio(target.astype(np.float64), prediction.astype(np.float64), data_range=1.0)
    assert psnr(batch(prediction), batch(target)).item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("name", PAIRS)
def test_masked_similarity_is_scikit_images_of_the_multiplied_images(name: str, window: Any) -> None:
    prediction, target = PAIRS[name]
    alpha = np.random.default_rng(1).uniform(size=prediction.shape[:2]).astype(np.float32)
    alpha[:, :9] = 0
    expected = reference_ssim(
        prediction.astype(np.float64) * alpha[..., None], target.astype(np.float64) * alpha[..., None], window
    )
    mask = torch.from_numpy(alpha)[None, None]
    assert masked_ssim(batch(prediction), batch(target), mask, window=window).item() == pytest.approx(
        expected, abs=1e-9
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_every_device_and_precision_gives_what_its_values_are_worth(dtype: torch.dtype, device: str) -> None:
    prediction, target = (torch.rand(2, 3, 20, 17, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    prediction, target = prediction.to(device, dtype), target.to(device, dtype)
    mask = (torch.rand(2, 1, 20, 17, generator=torch.Generator().manual_seed(2))).to(device, dtype)
    for image in range(2):
        a, b = (frames[image].double().permute(1, 2, 0).cpu().numpy() for frames in (prediction, target))
        assert ssim(prediction, target)[image].item() == pytest.approx(reference_ssim(a, b, "uniform7"), abs=1e-9)
        assert psnr(prediction, target)[image].item() == pytest.approx(-10 * np.log10(np.mean((a - b) ** 2)), abs=1e-9)
        weight = mask[image].double().permute(1, 2, 0).cpu().numpy()
        masked = np.mean(np.abs(a - b) * weight)
        assert masked_l1(prediction, target, mask)[image].item() == pytest.approx(masked, abs=1e-9)
    assert l1(prediction, target).device.type == device


def test_a_batch_scores_each_image_as_if_it_were_alone() -> None:
    # More images than are worked on at once.
    generator = torch.Generator().manual_seed(3)
    prediction, target = (torch.rand(50, 3, 64, 64, generator=generator) for _ in range(2))
    mask = torch.rand(50, 1, 64, 64, generator=generator) > 0.7
    for metric in (l1, psnr, ssim):
        alone = [metric(prediction[i : i + 1], target[i : i + 1]) for i in range(50)]
        assert torch.equal(metric(prediction, target), torch.cat(alone))
    for masked in (masked_l1, masked_psnr, masked_ssim):
        alone = [masked(prediction[i : i + 1], target[i : i + 1], mask[i : i + 1]) for i in range(50)]
        assert torch.equal(masked(prediction, target, mask), torch.cat(alone))


def test_equal_images_have_the_best_scores() -> None:
    frames = torch.rand(2, 3, 16, 16)
    assert l1(frames, frames).tolist() == [0, 0]
    assert psnr(frames, frames).tolist() == pytest.approx([100, 100])
    for window in WINDOWS:
        assert ssim(frames, frames, window=window).tolist() == pytest.approx([1, 1], abs=1e-12)


@pytest.mark.parametrize(("difference", "decibels"), [(1.0, 0.0), (0.1, 20.0), (0.01, 40.0), (1e-6, 100.0)])
def test_each_tenth_of_the_difference_is_twenty_decibels_up_to_a_hundred(difference: float, decibels: float) -> None:
    target = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    assert psnr(target + difference, target).item() == pytest.approx(decibels, abs=1e-9)
    assert l1(target + difference, target).item() == pytest.approx(difference, abs=1e-15)


def test_similarity_of_flat_images_is_that_of_their_brightness() -> None:
    # Without variance the second factor of SSIM is 1, and the first is (2ab + C1) / (a^2 + b^2 + C1).
    a, b = torch.full((1, 3, 9, 9), 0.75), torch.full((1, 3, 9, 9), 0.25)
    assert ssim(a, b).item() == pytest.approx((2 * 0.75 * 0.25 + 1e-4) / (0.75**2 + 0.25**2 + 1e-4), abs=1e-12)


@pytest.mark.parametrize(("window", "side"), [("uniform7", 7), ("gaussian11", 11)])
def test_an_image_as_large_as_the_window_has_one_value(window: Any, side: int) -> None:
    rng = np.random.default_rng(4)
    a, b = rng.uniform(size=(2, side, side, 3))
    assert ssim(batch(a), batch(b), window=window).item() == pytest.approx(reference_ssim(a, b, window), abs=1e-9)


def test_squared_errors_under_a_mask_and_its_inverse_add_up_to_the_whole() -> None:
    generator = torch.Generator().manual_seed(5)
    prediction, target = (torch.rand(3, 3, 24, 20, generator=generator) for _ in range(2))
    mask = torch.rand(3, 1, 24, 20, generator=generator) > 0.6
    inside, outside, whole = (
        10 ** (-decibels / 10)
        for decibels in (
            masked_psnr(prediction, target, mask),
            masked_psnr(prediction, target, ~mask),
            psnr(prediction, target),
        )
    )
    torch.testing.assert_close(inside + outside, whole)
    torch.testing.assert_close(
        masked_l1(prediction, target, mask) + masked_l1(prediction, target, ~mask), l1(prediction, target)
    )


def test_a_full_mask_changes_nothing_and_a_binary_alpha_is_a_bool_mask() -> None:
    generator = torch.Generator().manual_seed(6)
    prediction, target = (torch.rand(2, 3, 16, 16, generator=generator) for _ in range(2))
    mask = torch.rand(2, 1, 16, 16, generator=generator) > 0.5
    for whole, masked in ((l1, masked_l1), (psnr, masked_psnr), (ssim, masked_ssim)):
        assert torch.equal(masked(prediction, target, torch.ones(2, 1, 16, 16)), whole(prediction, target))
        assert torch.equal(masked(prediction, target, mask), masked(prediction, target, mask.float()))


def test_what_a_mask_leaves_out_makes_no_difference() -> None:
    prediction, target = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32)
    mask = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    mask[..., 10:20, 10:20] = True
    changed = torch.where(mask, prediction, torch.rand(1, 3, 32, 32))
    for masked in (masked_l1, masked_psnr, masked_ssim):
        assert torch.equal(masked(prediction, target, mask), masked(changed, target, mask))


@pytest.mark.parametrize("kind", [torch.bool, torch.float32], ids=str)
def test_an_empty_mask_has_no_value_and_its_neighbours_keep_theirs(kind: torch.dtype) -> None:
    prediction, target = torch.rand(3, 3, 16, 16), torch.rand(3, 3, 16, 16)
    mask = torch.ones(3, 1, 16, 16, dtype=kind)
    mask[1] = 0
    for masked in (masked_l1, masked_psnr, masked_ssim):
        assert masked(prediction, target, mask).isnan().tolist() == [False, True, False]


def test_no_images_have_no_values() -> None:
    none = torch.zeros(0, 3, 16, 16)
    for values in (l1(none, none), ssim(none, none), masked_psnr(none, none, torch.zeros(0, 1, 16, 16))):
        assert values.shape == (0,)


@pytest.mark.usefixtures("unchecked")
def test_refuses_what_cannot_be_compared_and_says_what_to_do() -> None:
    frames, small = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 6)
    for metric in (l1, psnr, ssim):
        with pytest.raises(ValueError, match=r"prediction is 2x3x16x16 and target 1x3x16x16; bring them"):
            metric(frames, frames[:1])
        with pytest.raises(ValueError, match=r"got 2x1x16x16; permute or stack"):
            metric(frames[:, :1], frames[:, :1])
        with pytest.raises(ValueError, match=r"got 3x16x16; permute or stack|got 16x16; "):
            metric(frames[0], frames[0])
        with pytest.raises(ValueError, match=r"uint8.*divide by 255"):
            metric((frames * 255).byte(), frames)
    for masked in (masked_l1, masked_psnr, masked_ssim):
        with pytest.raises(ValueError, match="mask is 2x1x8x8 but the frames need 2x1x16x16; resize"):
            masked(frames, frames, torch.ones(2, 1, 8, 8))
        with pytest.raises(ValueError, match="mask must be bool or alpha"):
            masked(frames, frames, torch.ones(2, 1, 16, 16, dtype=torch.uint8))
    with pytest.raises(ValueError, match="needs frames of at least 7x7 pixels, got 16x6; give larger"):
        ssim(small, small)
    with pytest.raises(ValueError, match="at least 11x11"):
        masked_ssim(frames[..., :10], frames[..., :10], torch.ones(2, 1, 16, 10), window="gaussian11")
    with pytest.raises(ValueError, match="window must be"):
        ssim(frames, frames, window="box")


def test_importing_the_metrics_brings_in_no_model_and_no_detectors_package() -> None:
    code = "import sys, prioritycut.metrics; print('\\n'.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "prioritycut.metrics.pixel" in found
    unwanted = {
        "scipy",
        "skimage",
        "cv2",
        "mediapipe",
        "dlib",
        "pymatting",
        "matplotlib",
        "lightning",
        "av",
        "pydantic",
    }
    unwanted |= {"prioritycut.models", "prioritycut.data", "prioritycut.checkpoint", "prioritycut.metrics.detectors"}
    assert unwanted & set(found) == set()

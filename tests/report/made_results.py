"""Results of methods that never were, for tests of reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prioritycut.metrics.detectors.base import Tool
from prioritycut.results import ClipResult, Result, Tally, summarize, tally

TOOLS = (
    Tool(role="keypoints", name="mediapipe-face", version="0.10.14", note="478 points; the paper has 68"),
    Tool(role="identity", name="dlib", version="20.0.1", note="128 numbers a face"),
    Tool(role="salient", name="mediapipe-selfie", version="0.10.14", note="matted by pymatting 1.1.14"),
    Tool(role="top-p", name="puppets", version="3f9a0c21d8e4", note="its occlusion and background maps"),
)
LABELS = {
    "AKD": "mediapipe-face 0.10.14",
    "MKR": "mediapipe-face 0.10.14",
    "AED": "dlib 20.0.1",
    "salient": "mediapipe-selfie 0.10.14, pymatting 1.1.14",
    "top_": "puppets 3f9a0c21d8e4",
}
SETTINGS = {"skip_first": False, "levels": "png", "ssim": "uniform7", "top_denominator": "image", "batch_size": 16}


def tool_labels(keys: Sequence[str]) -> dict[str, str]:
    """Label of the tool of each metric that needs one."""
    return {key: label for key in keys for part, label in LABELS.items() if part in key}


def build_result(method: str, clips: Sequence[ClipResult], **changes: Any) -> Result:
    """A result around clips; `tools` maps metrics to labels."""
    keys = list(dict.fromkeys(key for clip in clips for key in clip.metrics))
    labels = changes.pop("labels", tool_labels(keys))
    fields: dict[str, Any] = {
        "kind": "reconstruction",
        "method": method,
        "dataset": "faces",
        "size": (256, 256),
        "created": "2026-01-31T12:00:00+00:00",
        "settings": SETTINGS,
        "versions": {"prioritycut": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6", "commit": "45987a8"},
        "tools": TOOLS,
        "summaries": summarize(clips, labels),
        "clips": tuple(clips),
    }
    return Result(**fields | changes)


def clip_of(name: str, **values: Sequence[float] | Tally) -> ClipResult:
    """A clip whose metrics have these values, a number a frame."""
    metrics = {key: given if isinstance(given, Tally) else tally(given) for key, given in values.items()}
    frames = max(part.frames + part.failures + part.skipped for part in metrics.values())
    return ClipResult(name=name, frames=frames, metrics=metrics)


def flat_result(method: str, means: Mapping[str, float], **changes: Any) -> Result:
    """A result of two clips whose frames lie closely around a mean: an exact mean, a narrow interval."""
    clips = [clip_of(name, **{key: [mean - 1e-3, mean + 1e-3] for key, mean in means.items()}) for name in ("a", "b")]
    return build_result(method, clips, **changes)


def random_result(method: str, quality: float, *, clips: int = 32, seed: int = 0, **changes: Any) -> Result:
    """What a method of some quality (0 as the baseline, 1 much better) would have on clips of which some are hard."""
    random = np.random.default_rng(seed)
    own = np.random.default_rng(abs(hash((len(method), round(quality * 100)))) % 2**32)
    made = list[ClipResult]()
    for number in range(clips):
        hardness, frames = random.normal(), 64
        noise = own.normal(size=40) * 0.12
        made.append(_random_clip(f"id{10270 + number}#clip", frames, hardness, quality, noise, own))
    return build_result(method, made, **changes)


def _random_clip(
    name: str, frames: int, hardness: float, quality: float, noise: np.ndarray, random: np.random.Generator
) -> ClipResult:
    def around(place: int, mean: float, step: float, wobble: float) -> list[float]:
        """`step` is what one unit of hardness, or the lack of one of quality, adds."""
        level = mean + step * (hardness - quality + noise[place])
        return (level + random.normal(size=frames) * wobble).tolist()

    pixels = {
        "L1": around(0, 0.0413, 0.006, 0.004),
        "PSNR_all": around(1, 24.3, -1.3, 0.9),
        "SSIM_all": around(2, 0.791, -0.03, 0.01),
        "PSNR_salient": around(3, 25.2, -1.3, 0.9),
        "PSNR_nonsalient": around(4, 36.2, -1.3, 0.9),
        "SSIM_salient": around(5, 0.825, -0.03, 0.01),
        "SSIM_nonsalient": around(6, 0.969, -0.008, 0.003),
        "area_salient": [0.41 + 0.02 * np.sin(number / 9) for number in range(frames)],
    }
    failures = int(random.integers(0, 3))
    found = {
        f"{key}{suffix}": tally(values[failures:], failures=failures)
        for suffix, scale in (("", 1.0), ("_corrected", 1.5))
        for key, values in (
            ("AKD", around(7, 1.29 * scale, 0.25 * scale, 0.1)),
            ("MKR", around(8, 0.031, 0.004, 0.001)),
            ("AED", around(9, 0.1324 * scale, 0.02, 0.01)),
        )
    }
    shares = dict[str, list[float]]()
    for place, p in enumerate((10, 20, 30, 40, 50), 10):
        shares |= {
            f"area_top_{p}": [p / 100] * frames,
            f"PSNR_top_{p}": around(place, 36.5 - 8.6 * np.log10(p / 5), -1.3, 0.9),
            f"PSNR_nontop_{p}": around(place + 5, 24.2 + 0.1 * p, -1.3, 0.9),
            f"SSIM_top_{p}": around(place + 10, 0.997 - 0.0023 * p, -0.01, 0.004),
            f"SSIM_nontop_{p}": around(place + 15, 0.801 + 0.0026 * p, -0.02, 0.006),
        }
    metrics = {key: tally(values) for key, values in (pixels | shares).items()} | found
    return ClipResult(name=name, frames=frames, metrics=metrics)

"""Our X2Face against the numbers of the reference implementation, array by array.

The complete arrays lie beside the project (`../shared/parity/x2face`, with a README); the repository carries them
thinned (`tests/data/parity/make_baselines.py`). The same tests run on whichever is there. The weights are no file but
a rule: normal numbers whose seed is the parameter's name.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from parity_arrays import Golden, imported
from prioritycut.models.x2face import EmbeddedFace, X2Face

COMMITTED = Path(__file__).parent / "data" / "parity" / "x2face"
COMPLETE = Path(__file__).parents[2] / "shared" / "parity" / "x2face"
FOLDER = COMPLETE if COMPLETE.is_dir() else COMMITTED
GOLDEN = Golden(FOLDER / "x2face-256-golden.npz")
SPEC = json.loads((FOLDER / "x2face-256-state_dict_spec.json").read_text())
INPUTS = ("source_uint8", "driving_uint8")
# The README's tolerances.
LARGEST, MEAN = 5e-4, 1e-5


def parameter(name: str, shape: list[int], seed: int) -> Tensor:
    """The README's rule."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    x = np.random.RandomState((zlib.crc32(name.encode()) + seed) & 0x7FFFFFFF).standard_normal(shape)
    if len(shape) == 4:
        x = x * np.sqrt(2 / np.prod(shape[1:]))
    elif name.endswith("running_var"):
        x = 0.5 + 0.5 * np.abs(x)
    elif name.endswith("weight"):
        x = 1 + 0.1 * x
    else:
        x = 0.1 * x
    return torch.from_numpy(x.astype(np.float32))


@cache
def published_tensors() -> dict[str, Tensor]:
    return {name: parameter(name, entry["shape"], SPEC["seed"]) for name, entry in SPEC["state_dict"].items()}


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> X2Face:
    """The reference's weights through our command."""
    path = tmp_path_factory.mktemp("x2face") / "x2face.pth"
    torch.save({"state_dict": published_tensors()}, path)
    animator = imported(path, "x2face")
    path.unlink()  # a quarter of a gigabyte
    assert isinstance(animator, X2Face)
    return animator


def otherwise(animator: X2Face, **settings) -> X2Face:
    """The same weights in a model of other settings."""
    with torch.device("meta"):
        other = X2Face(replace(animator.config, **settings))
    other.load_state_dict(animator.state_dict(), assign=True)
    return other.eval()


@torch.no_grad()
def moved(animator: X2Face) -> tuple[EmbeddedFace, Tensor]:
    """The face of all source frames, and both driving frames shown with it."""
    encoded = animator.encode(GOLDEN["source_uint8"][None] / 255)
    return encoded, animator.render(encoded, GOLDEN["driving_uint8"] / 255).prediction


@pytest.fixture(scope="module")
@torch.no_grad()
def ours(published) -> dict[str, Tensor]:
    """Every array that the reference gives."""
    sources, driving = GOLDEN["source_uint8"] / 255, GOLDEN["driving_uint8"] / 255
    encoded, prediction = moved(published)
    without_floor = otherwise(published, confidence_floor=0.0).encode(sources[None])
    _, other_upsampling = moved(otherwise(published, upsampling_align_corners=False))
    _, modern = moved(otherwise(published, upsampling_align_corners=False, align_corners=False))
    return {
        "prediction": prediction,
        "embedded_face_no_confidence_offset": without_floor.face,
        "confidence_stride4": encoded.confidence.exp()[:, None, :, ::4, ::4].permute(0, 1, 3, 4, 2),
        "embedding_network_raw_stride2": published.embedding(sources[:1])[..., ::2, ::2],
        "sampler_grid_stride2": published.driving_grid(driving)[:, ::2, ::2],
        "driving_bottleneck": published.driving.descend(driving)[-1].relu(),
        "unwrapped_oneimage_stride2": published.encode(sources[None, :1]).face[..., ::2, ::2],
        "prediction_upsample_align_false_stride2": other_upsampling[..., ::2, ::2],
        "prediction_modern_defaults_stride2": modern[..., ::2, ::2],
    }


def test_the_rule_of_the_weights_gives_the_sums_of_the_reference():
    for name, entry in SPEC["state_dict"].items():
        tensor = published_tensors()[name].double()
        assert tensor.sum().item() == pytest.approx(entry["sum"], rel=1e-9, abs=1e-9), name
        assert tensor.abs().sum().item() == pytest.approx(entry["abs_sum"], rel=1e-9), name


def test_the_importer_finds_the_published_sizes(published):
    config = published.config
    assert (config.frame_size, config.num_levels, config.max_features) == (256, 8, 512)
    assert config.bottleneck == SPEC["constructor"]["inner_nc"]
    assert sum(tensor.numel() for tensor in published.state_dict().values()) == SPEC["parameters"]
    assert config.align_corners
    assert config.upsampling_align_corners


@pytest.mark.parametrize("name", GOLDEN.names("", without=INPUTS))
def test_each_step_from_source_and_driving_frames_to_a_prediction_is_the_references(name, ours, parity_table):
    errors = GOLDEN.errors(name, ours[name])
    parity_table.add(f"x2face {name}", errors.max().item(), LARGEST)
    parity_table.add(f"x2face {name} (mean)", errors.mean().item(), MEAN)
    assert errors.max() <= LARGEST
    assert errors.mean() <= MEAN


def test_the_sampling_conventions_are_told_apart_by_the_tolerance(ours):
    for wrong in ("prediction_upsample_align_false_stride2", "prediction_modern_defaults_stride2"):
        assert GOLDEN.errors(wrong, ours["prediction"][..., ::2, ::2]).mean() > 100 * MEAN


@pytest.mark.skipif(FOLDER != COMPLETE, reason="the complete arrays do not lie beside the project (../shared/parity)")
def test_the_committed_arrays_are_those_beside_the_project():
    Golden(COMMITTED / "x2face-256-golden.npz").assert_kept_of(GOLDEN)
    assert json.loads((COMMITTED / "x2face-256-state_dict_spec.json").read_text()) == SPEC

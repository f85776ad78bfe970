"""Arrays of a reference implementation, complete or thinned, and its weights as a user imports them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from prioritycut import cli
from prioritycut.checkpoint import load_animator
from prioritycut.models.building import Model


def imported(checkpoint: Path, model: str, *options: str | Path) -> Model:
    """Published weights, written by `prioritycut import-checkpoint` and loaded from what it wrote."""
    with TemporaryDirectory() as folder:
        output = f"{folder}/imported.safetensors"
        cli.run(["import-checkpoint", str(checkpoint), output, "--model", model, *map(str, options)])
        return load_animator(output)


def thinned(values: Tensor, steps: str) -> Tensor:
    """Every n-th entry of each axis: "1,1,2,2" keeps every second row and column; "" keeps all."""
    return values[tuple(slice(None, None, int(step)) for step in steps.split(","))] if steps else values


class Golden:
    """The arrays of an .npz; `prediction@1,1,2,2` holds every second row and column of `prediction`."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            split = {name: name.partition("@") for name in stored.files}
            self.arrays = {split[name][0]: torch.from_numpy(stored[name]) for name in stored.files}
            self.steps = {name: steps for name, _, steps in split.values()}

    def __getitem__(self, name: str) -> Tensor:
        assert not self.steps[name], f"{name} is thinned; it can be compared, not computed with"
        return self.arrays[name]

    def names(self, family: str, *, without: Sequence[str] = ()) -> list[str]:
        """The arrays whose names begin so."""
        return [name for name in self.arrays if name.startswith(family) and name not in without]

    def errors(self, name: str, ours: Tensor) -> Tensor:
        """Absolute differences of our array from the reference's, in float64."""
        kept, expected = thinned(ours.detach(), self.steps[name]), self.arrays[name]
        assert kept.shape == expected.shape, name
        return (kept.double() - expected.double()).abs()

    def assert_kept_of(self, complete: Golden) -> None:
        """Every array is that of the complete file, thinned as its name says."""
        assert set(self.arrays) == set(complete.arrays)
        for name, kept in self.arrays.items():
            assert torch.equal(thinned(complete[name], self.steps[name]), kept), name

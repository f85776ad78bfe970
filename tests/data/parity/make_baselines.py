"""Thin the golden data of Monkey-Net and X2Face to what the repository carries.

    .venv/bin/python tests/data/parity/make_baselines.py

Reads ../shared/parity (beside the project), writes tests/data/parity/monkeynet and tests/data/parity/x2face. No array
is left out; large ones keep every n-th row and column, and the stored name then says so, one step an axis:
`eval/video_prediction@1,1,1,3,3`. Monkey-Net's checkpoint loses its optimizers. X2Face's weights are no file, but a
rule that the test follows.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
COMPLETE = HERE.parents[3] / "shared" / "parity"
LARGEST = 5_000_000
"""Bytes of both folders."""

# First match wins; no match is kept whole. Odd steps meet both even and odd rows.
MONKEYNET_STEPS = {
    r".*/(video_prediction|video_deformed|prediction_move_location)": (1, 1, 1, 3, 3),
    r"eval/mask_embedding": (1, 1, 1, 3, 3),
    r"eval/disc_.*/map_1_stride2": (1, 1, 1, 2, 2),
}
X2FACE_STEPS = {
    r"prediction|embedded_face_no_confidence_offset": (1, 1, 3, 3),
    r"prediction_.*|unwrapped_oneimage_stride2|embedding_network_raw_stride2": (1, 1, 3, 3),
    r"sampler_grid_stride2": (1, 3, 3, 1),
}


def thinned(name: str, values: np.ndarray, all_steps: dict[str, tuple[int, ...]]) -> tuple[str, np.ndarray]:
    """The name to store under, and what to store."""
    for pattern, steps in all_steps.items():
        if re.fullmatch(pattern, name):
            return f"{name}@{','.join(map(str, steps))}", values[tuple(slice(None, None, s) for s in steps)]
    return name, values


def thin(file: str, all_steps: dict[str, tuple[int, ...]]) -> None:
    """Write the thinned arrays of one file under `COMPLETE` to the same place here."""
    with np.load(COMPLETE / file) as golden:
        kept = dict(thinned(name, golden[name], all_steps) for name in golden.files)
    np.savez_compressed(HERE / file, **kept)


def main() -> None:
    for folder in ("monkeynet", "x2face"):
        (HERE / folder).mkdir(exist_ok=True)
    for file in ("monkeynet/vox-small-config.yaml", "x2face/x2face-256-state_dict_spec.json"):
        shutil.copyfile(COMPLETE / file, HERE / file)
    checkpoint = torch.load(COMPLETE / "monkeynet" / "vox-small-checkpoint.pth.tar", weights_only=True)
    networks = {part: checkpoint[part] for part in ("generator", "discriminator", "kp_detector")}
    torch.save(networks, HERE / "monkeynet" / "vox-small-checkpoint.pth.tar")
    thin("monkeynet/vox-small-golden.npz", MONKEYNET_STEPS)
    thin("x2face/x2face-256-golden.npz", X2FACE_STEPS)
    files = sorted(path for folder in ("monkeynet", "x2face") for path in (HERE / folder).iterdir())
    for path in files:
        print(f"{path.stat().st_size:>9,}  {path.relative_to(HERE)}")
    size = sum(path.stat().st_size for path in files)
    print(f"{size:>9,}  in all")
    assert size <= LARGEST, f"more than {LARGEST:,} bytes; raise the steps"


if __name__ == "__main__":
    main()

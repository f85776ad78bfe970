"""Thin the FOMM golden data to what the repository carries.

    .venv/bin/python tests/data/parity/make_fomm.py

Reads ../shared/parity/fomm (beside the project), writes tests/data/parity/fomm. The checkpoint loses its optimizers;
large arrays keep every n-th row and column, and the stored name then says so, one step an axis: `eval/mask@1,1,2,2`.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
COMPLETE = HERE.parents[3] / "shared" / "parity" / "fomm"
COMMITTED = HERE / "fomm"
LARGEST = 6_500_000
"""Bytes of the whole folder."""

# Its `prediction`, thinned, stands for that convention.
LEFT_OUT = ("eval_align_corners_false/deformed",)
# First match wins; no match is kept whole. Odd steps meet both even and odd rows.
STEPS = {
    r"eval/kp_heatmap_source": (1, 1, 2, 2),
    r"eval/heatmap_representation": (1, 1, 1, 2, 2),
    r"eval/mask": (1, 1, 2, 2),
    r"eval/sparse_motion": (1, 1, 3, 3, 1),
    r"eval/sparse_deformed": (1, 1, 1, 3, 3),
    r"eval/kp_input_downsampled_source": (1, 1, 2, 2),
    r"eval/kp2gaussian.*": (1, 1, 2, 2),
    r"eval/disc_.*/feature_maps_1_0_stride4": (1, 1, 2, 2),
    r"eval/disc_.*/feature_maps_1_1": (1, 1, 5, 5),
    r"eval/disc_.*/feature_maps_1_[23]": (1, 1, 3, 3),
    r"animation/.*": (1, 1, 7, 7),
    r"pyramid/driving_0.5": (1, 1, 3, 3),
    r"pyramid/driving_0.25": (1, 1, 2, 2),
    r"grad_train/.*(kp|final|first.conv)\.weight": (1, 1, 2, 2),
    r"train/adv/prediction": (1, 1, 2, 2),
    r"(eval|train|eval_align_corners_false|transform)/.*(deformed|prediction|transformed_frame)": (
        1,
        1,
        5,
        5,
    ),
}


def thinned(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """The name to store under, and what to store."""
    for pattern, steps in STEPS.items():
        if re.fullmatch(pattern, name):
            return f"{name}@{','.join(map(str, steps))}", values[tuple(slice(None, None, s) for s in steps)]
    return name, values


def main() -> None:
    COMMITTED.mkdir(exist_ok=True)
    for name in ("vox-small-config.yaml", "vox-small-discriminator_adv.pth.tar"):
        shutil.copyfile(COMPLETE / name, COMMITTED / name)
    checkpoint = torch.load(COMPLETE / "vox-small-checkpoint.pth.tar", weights_only=True)
    networks = {part: checkpoint[part] for part in ("generator", "kp_detector", "discriminator")}
    torch.save(networks, COMMITTED / "vox-small-checkpoint.pth.tar")
    with np.load(COMPLETE / "vox-small-golden.npz") as golden:
        kept = dict(thinned(name, golden[name]) for name in golden.files if name not in LEFT_OUT)
    np.savez_compressed(COMMITTED / "vox-small-golden.npz", **kept)
    size = sum(path.stat().st_size for path in COMMITTED.iterdir())
    for path in sorted(COMMITTED.iterdir()):
        print(f"{path.stat().st_size:>9,}  {path.name}")
    print(f"{size:>9,}  in all")
    assert size <= LARGEST, f"more than {LARGEST:,} bytes; raise STEPS"


if __name__ == "__main__":
    main()

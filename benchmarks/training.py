"""Steps a second and peak memory of training, each step of the ablation against plain FOMM, interleaved.

    python benchmarks/training.py [--data puppets-64] [--rounds 5] [--precision 32-true]

Peak memory is that of a fresh process that makes three steps. Data are made beforehand: this measures the step.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from lightning.fabric import Fabric

from prioritycut.presets import PRESETS
from prioritycut.train_config import TrainConfig
from prioritycut.training import Trainer

METHODS = ("fomm", "fomm-plus", "unet", "cutmix", "prioritycut")
AFTER_WARMUP = 10_000  # an epoch at which half of the steps are regularized


def trainer(config: TrainConfig) -> Trainer:
    return Trainer(config, Fabric(accelerator="cpu", devices=1, precision=config.precision))


def pairs(config: TrainConfig) -> torch.Tensor:
    size = config.model.frame_size
    return torch.rand(config.batch_size, 2, 3, size, size, generator=torch.Generator().manual_seed(0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="puppets-64")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="32-true", choices=["32-true", "bf16-mixed"])
    parser.add_argument("--peak-memory-of", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    configs = {
        method: replace(PRESETS[f"{arguments.data}-{method}"], precision=arguments.precision) for method in METHODS
    }
    if arguments.peak_memory_of:
        config = configs[arguments.peak_memory_of]
        running, batch = trainer(config), pairs(config)
        for step in range(1, 4):
            running.step(batch, step=step, epoch=AFTER_WARMUP)
        # Not ru_maxrss: a child inherits its parent's.
        status = Path("/proc/self/status").read_text()
        print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
        return

    running = {method: trainer(config) for method, config in configs.items()}
    batch = pairs(configs["fomm"])
    times: dict[str, list[float]] = {method: [] for method in METHODS}
    for step in range(1, arguments.rounds + 2):
        for method, each in running.items():
            started = time.perf_counter()
            each.step(batch, step=step, epoch=AFTER_WARMUP)
            times[method].append(time.perf_counter() - started)
    print(f"{arguments.data}, {arguments.precision}, batch {len(batch)}, {torch.get_num_threads()} threads; ", end="")
    print(f"medians of {arguments.rounds} interleaved steps")
    print(f"{'method':<14}{'steps/s':>10}{'time over fomm':>16}{'peak memory':>14}")
    plain = statistics.median(times["fomm"][1:])
    for method in METHODS:
        spent = statistics.median(times[method][1:])  # the first round warms up
        measured = subprocess.run(
            [
                *(sys.executable, __file__, "--data", arguments.data, "--precision", arguments.precision),
                *("--peak-memory-of", method),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        peak = int(measured.stdout.split()[-1]) / 1024
        print(f"{method:<14}{1 / spent:>10.2f}{spent / plain:>16.2f}{peak:>10.0f} MiB")


if __name__ == "__main__":
    main()

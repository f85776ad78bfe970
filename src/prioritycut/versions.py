"""Which code made a number."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def code_versions(*packages: str) -> dict[str, str]:
    """What numbers stand on: Python, the machine, this package (and its commit, in a checkout), torch, numpy.

    Args:
        packages: Names of more packages to list.
    """
    versions = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads",
    }
    for package in ("prioritycut", "torch", "numpy", *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    commit = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
    )
    if commit.returncode == 0:
        versions["commit"] = commit.stdout.strip()
    return versions

"""Animating streams: memory does not grow with the length of the clip."""

import subprocess
import sys
from pathlib import Path

import pytest

from prioritycut.data.clips import write_clip
from prioritycut.data.puppets import generate_puppet

REAL = Path(__file__).parents[1].parent / "shared" / "data" / "faces"

# Not ru_maxrss: a child inherits its parent's, and the parent is a test run that holds far more.
MEASURED = """
import sys
from prioritycut.cli import run
run(sys.argv[1:])
print("peak", next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak_memory(source: Path, driving: Path, output: Path) -> int:
    """Largest resident size of a fresh process that animates, in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "animate", str(source), str(driving), str(output), "--explain"],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.rsplit("peak", 1)[1])


@pytest.mark.slow
def test_a_clip_twelve_times_as_long_takes_no_more_memory(tmp_path: Path) -> None:
    clip = generate_puppet(1, 3, frames=80, size=256).frames
    write_clip(tmp_path / "short.mp4", clip)
    write_clip(tmp_path / "long.mp4", (frame for _ in range(12) for frame in clip))
    write_clip(tmp_path / "source", clip[:1])
    source = tmp_path / "source" / "000000.png"
    short = peak_memory(source, tmp_path / "short.mp4", tmp_path / "a.mp4")
    long = peak_memory(source, tmp_path / "long.mp4", tmp_path / "b.mp4")
    assert long < 1.1 * short


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not REAL.is_dir(), reason="the real clips are not beside the project")
def test_a_thousand_real_frames_take_no_more_memory_than_eighty(tmp_path: Path) -> None:
    short = peak_memory(REAL / "s6.jpg", REAL / "d0.mp4", tmp_path / "a.mp4")
    long = peak_memory(REAL / "s6.jpg", REAL / "d6.mp4", tmp_path / "b.mp4")
    assert long < 1.1 * short

"""The commands as a shell runs them: repeated, they give the same bytes; killed, they go on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CLIPS = 32


def command(output: Path, *, clips: int = CLIPS, frames: int = 32) -> list[str]:
    sizes = ["--clips", str(clips), "--frames", str(frames)]
    return [sys.executable, "-m", "prioritycut", "evaluate", "puppets", "puppets", str(output), *sizes]


def without_time(path: Path) -> bytes:
    """The file's bytes but for its one time stamp."""
    text = path.read_text()
    stamp = json.loads(text)["created"]
    assert text.count(stamp) == 1
    return text.replace(stamp, "").encode()


def test_repeated_it_gives_the_same_bytes_with_every_metric_and_both_intervals(tmp_path: Path) -> None:
    for name in ("once.json", "again.json"):
        subprocess.run(command(tmp_path / name, clips=3, frames=5), check=True, capture_output=True)
    assert without_time(tmp_path / "once.json") == without_time(tmp_path / "again.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.json", "once.json"]
    summaries = {row["key"]: row for row in json.loads((tmp_path / "once.json").read_text())["summaries"]}
    wanted = {"L1", "AKD", "MKR", "AED", "AKD_corrected", "MKR_corrected", "AED_corrected"}
    wanted |= {f"{name}_{area}" for name in ("PSNR", "SSIM") for area in ("all", "salient", "nonsalient")}
    wanted |= {f"{n}_{area}top_{p}" for n in ("PSNR", "SSIM") for area in ("", "non") for p in (10, 20, 30, 40, 50)}
    assert wanted <= summaries.keys()
    for key in wanted:
        assert {"mean", "ci95", "clip_low", "clip_high"} <= {
            k for k, value in summaries[key].items() if value is not None
        }


@pytest.mark.slow
def test_killed_half_way_and_repeated_it_ends_as_an_unbroken_run_and_keeps_what_was_done(tmp_path: Path) -> None:
    subprocess.run(command(tmp_path / "unbroken.json"), check=True, capture_output=True)
    output, ledger = tmp_path / "killed.json", tmp_path / "killed.json.partial"
    running = subprocess.Popen(command(output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not ledger.exists() or len(ledger.read_text().splitlines()) < 1 + CLIPS // 2:
        assert running.poll() is None, "it ended before it could be killed"
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert not output.exists()
    done = ledger.read_text().splitlines()[1:]
    # A clip that was computed again would not have these numbers.
    changed = json.loads(done[0])
    changed["result"]["metrics"]["L1"]["mean"] = 0.5
    ledger.write_text(ledger.read_text().replace(done[0], json.dumps(changed)))
    subprocess.run(command(output), check=True, capture_output=True)
    assert not ledger.exists()
    unbroken, killed = (json.loads(path.read_text())["clips"] for path in (tmp_path / "unbroken.json", output))
    assert killed[0]["metrics"]["L1"]["mean"] == 0.5
    assert killed[1:] == unbroken[1:]

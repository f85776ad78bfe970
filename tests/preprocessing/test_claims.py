"""Locks between threads, processes and killed processes: the kernel is the judge."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from prioritycut.errors import UserError
from prioritycut.preprocessing.claims import at_work, claim, locked, work_folder


def test_a_video_is_one_holders_at_a_time_and_no_other_video_is(tmp_path: Path) -> None:
    with claim(tmp_path, "a.mp4") as first:
        with claim(tmp_path, "a.mp4") as second, claim(tmp_path, "b/a.mp4") as other:
            assert (first, second, other) == (True, False, True)
        with claim(tmp_path, "a.mp4") as third:
            assert not third
    with claim(tmp_path, "a.mp4") as free:
        assert free


def test_videos_named_like_our_own_locks_do_not_meet_them(tmp_path: Path) -> None:
    with at_work(tmp_path), locked(tmp_path, "manifest"):
        for video in ("at-work.mp4", "manifest.mp4", ".manifest.mp4", ".at-work", "../evil.mp4"):
            with claim(tmp_path, video) as free:
                assert free
    assert list(tmp_path.iterdir()) == []


HOLD = """
import sys, time
from pathlib import Path
from prioritycut.preprocessing.claims import at_work, claim, work_folder
output = Path(sys.argv[1])
with at_work(output), claim(output, "a.mp4") as free:
    work_folder(output, "a.mp4").mkdir()
    (work_folder(output, "a.mp4") / "half a clip").touch()
    print(free, flush=True)
    time.sleep(60)
"""


def test_a_killed_holder_holds_nothing_and_what_it_left_goes_with_the_last_who_leaves(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with at_work(tmp_path), claim(tmp_path, "a.mp4") as free:
            assert not free
        assert (work_folder(tmp_path, "a.mp4") / "half a clip").exists()  # the other is still at work
        process.send_signal(signal.SIGKILL)
    assert (work_folder(tmp_path, "a.mp4") / "half a clip").exists()
    with at_work(tmp_path), claim(tmp_path, "a.mp4") as free:
        assert free
    assert list(tmp_path.iterdir()) == []


def test_however_many_come_and_go_no_two_have_a_video_at_once(tmp_path: Path) -> None:
    holders, most, times = 0, 0, 0
    counting = threading.Lock()

    def come_and_go() -> None:
        nonlocal holders, most, times
        for _ in range(60):
            with at_work(tmp_path), claim(tmp_path, "a.mp4") as free:
                if free:
                    with counting:
                        holders += 1
                        most, times = max(most, holders), times + 1
                    time.sleep(0.0005)
                    with counting:
                        holders -= 1

    threads = [threading.Thread(target=come_and_go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert times > 1
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_is_waited_for_is_one_holders_at_a_time_too(tmp_path: Path) -> None:
    order = list[str]()

    def wait() -> None:
        with locked(tmp_path, "manifest"):
            order.append("second")

    with locked(tmp_path, "manifest"):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_an_output_that_is_a_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    for enter in (lambda: at_work(tmp_path / "out"), lambda: claim(tmp_path / "out", "a")):
        with pytest.raises(UserError, match=r"out: cannot be written \(.*\); choose a folder"), enter():
            pass

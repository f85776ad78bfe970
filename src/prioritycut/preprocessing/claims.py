"""Who is at work on what: locks that the kernel frees when their holder ends, however it ends."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from prioritycut.errors import UserError
from prioritycut.preprocessing.names import video_name

WORK_NAME = ".work"
"""In the output: locks, and what is under way. It is gone once nobody is at work."""


def work_folder(output: Path, video: str) -> Path:
    """Where one video's clips lie while they are made."""
    return output / WORK_NAME / video_name(video)


@contextmanager
def at_work(output: Path) -> Generator[None]:
    """Say that somebody is at work on an output. The last one to leave removes what killed ones left behind.

    Raises:
        UserError: The output cannot be written to, or is a file.
    """
    path = _lock_file(output, "at-work")
    lock = _acquire_or_wait(path, fcntl.LOCK_SH)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)
        # Two that leave at once may both try; whoever comes now keeps the last one from it.
        if _flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB) and _is_at(lock, path):
            _clear_away(path)
        os.close(lock)


def _clear_away(lock_file: Path) -> None:
    """Remove a work folder; as long as its lock is there, nobody else begins to work in it."""
    for path in lock_file.parent.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path != lock_file:
            path.unlink(missing_ok=True)
    lock_file.unlink()
    with suppress(OSError):  # somebody has come already, or something of it cannot be removed
        lock_file.parent.rmdir()


@contextmanager
def claim(output: Path, video: str) -> Generator[bool]:
    """Have a video to oneself, whatever other processes, runs and machines are at work on the same output.

    Yields:
        Whether it was free; where it was not, somebody else has it.

    Raises:
        UserError: The output cannot be written to.
    """
    path = work_folder(output, video).with_suffix(".lock")
    lock = _acquire(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            path.unlink(missing_ok=True)
            os.close(lock)


@contextmanager
def locked(output: Path, name: str) -> Generator[None]:
    """Wait until nobody else holds this lock of an output, and hold it.

    Raises:
        UserError: The output cannot be written to, or is a file.
    """
    lock = _acquire_or_wait(_lock_file(output, name), fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(lock)


def _lock_file(output: Path, name: str) -> Path:
    # Hidden, since a video may have any name but a hidden one.
    return output / WORK_NAME / f".{name}.lock"


def _acquire_or_wait(path: Path, operation: int) -> int:
    lock = _acquire(path, operation)
    assert lock is not None
    return lock


def _acquire(path: Path, operation: int) -> int | None:
    """The descriptor of a file that is locked; `None` where another holds it and waiting is not wanted."""
    while True:
        try:
            # The last one to leave may take the folder away at any time, even while `mkdir` looks whether it is there.
            with suppress(FileExistsError):
                path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError as error:
            if path.parent.parent.is_dir():
                continue
            raise _not_writable(path, error) from error
        except OSError as error:
            raise _not_writable(path, error) from error
        try:
            if not _flock(lock, operation):
                os.close(lock)
                return None
        except OSError as error:
            os.close(lock)
            raise _not_writable(path, error) from error
        if _is_at(lock, path):
            return lock
        os.close(lock)  # whoever held it before removed the file: others lock another one now


def _flock(lock: int, operation: int) -> bool:
    try:
        fcntl.flock(lock, operation)
    except BlockingIOError:
        return False
    return True


def _is_at(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except OSError:
        return False


def _not_writable(path: Path, error: OSError) -> UserError:
    output = path.parent.parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UserError(f"disk full while writing {path}; free space and repeat the command, which goes on")
    if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP):
        return UserError(f"{output}: files on this disk cannot be locked ({error.strerror}); choose another disk")
    return UserError(f"{output}: cannot be written ({error.strerror}); choose a folder that you may write to")

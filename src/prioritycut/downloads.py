"""Weights from the net: checked, whole or not there at all, and fetched by one process at a time."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from prioritycut.errors import UserError

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""
_BLOCK = 1 << 16

Advance = Callable[[int, int | None], None]
"""Takes how many bytes there are, and of how many, where the server says so."""


def checksum_in_name(name: str) -> str | None:
    """The beginning of its SHA-256 that a file's name ends with, as in `vgg19-dcbb9e9d.pth`; `None` if it has none."""
    found = re.search(r"-([0-9a-f]{8,64})\.[^-]+$", name)
    return None if found is None else found[1]


def checksum(path: Path) -> str:
    """A file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(url: str, folder: Path, *, otherwise: str, console: Console | None = None) -> Path:
    """The file at `url`, from `folder` if a good copy is there, else downloaded into it.

    Its name ends with the beginning of its SHA-256, which every copy is checked by. A broken connection is gone on
    from where it broke, now or at the next call; processes that want the same file wait for the one that fetches it.

    Args:
        url: Whose last part is the file's name.
        folder: Where it is kept.
        otherwise: What a person can do where it cannot be had; it ends the error.
        console: Where progress is shown; a bar on a terminal, a line elsewhere.

    Raises:
        UserError: No network, a connection that breaks before the end, a wrong checksum, or no place to write to.
    """
    path = folder / url.rsplit("/", 1)[-1]
    wanted = checksum_in_name(path.name)
    if wanted is None:
        raise ValueError(f"{url}: its name must end with the beginning of its SHA-256, as in vgg19-dcbb9e9d.pth")
    if _is_good(path, wanted):
        return path
    if path.exists():
        otherwise += f" ({path} is there, but not whole)"
    shown_on = console or Console(stderr=True)
    with _locked(folder / f".{path.name}.lock", shown_on, otherwise):
        if _is_good(path, wanted):
            return path  # whoever had the lock before has brought it
        partial = folder / f".{path.name}.partial"
        began_before = partial.exists()
        with _progress(f"downloading {url} to {path}", shown_on) as advance:
            _fetch(url, partial, advance, otherwise)
            if began_before and not _is_good(partial, wanted):
                # What was there may have been another file's beginning.
                partial.unlink()
                _fetch(url, partial, advance, otherwise)
        if not _is_good(partial, wanted):
            found = checksum(partial)[: len(wanted)]
            partial.unlink()
            raise UserError(
                f"{url}: what came is not that file (its SHA-256 begins {found}); try again, or {otherwise}"
            )
        partial.replace(path)
    return path


def _is_good(path: Path, wanted: str) -> bool:
    return path.is_file() and checksum(path).startswith(wanted)


@contextmanager
def _locked(path: Path, console: Console, otherwise: str) -> Generator[None]:
    """Have a file to oneself; the kernel frees it when its holder ends, however that ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise _unwritable(path.parent, error, otherwise) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(console, f"waiting for another process that downloads into {path.parent}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _fetch(url: str, partial: Path, advance: Advance, otherwise: str) -> None:
    """Go on with a partial file until it is whole, over as many connections as bring it further."""
    while True:
        before = _size(partial)
        try:
            if _fetch_more(url, partial, advance, otherwise):
                return
            fault = "the connection broke"
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # there is nothing after what we have; the checksum tells whether that is right
            fault = f"{error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            fault = str(getattr(error, "reason", error)) or type(error).__name__
        have = _size(partial)
        if have > before:
            continue
        came = f", after {have:,} bytes, which are kept" if have else ""
        raise UserError(f"{url}: could not be downloaded ({fault}{came}); try again, or {otherwise}")


def _fetch_more(url: str, partial: Path, advance: Advance, otherwise: str) -> bool:
    """One connection; returns whether everything that it promised has come."""
    have = _size(partial)
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        if have and answer.status != HTTPStatus.PARTIAL_CONTENT:
            have = 0  # this server begins anew
        total = _promised(answer, have)
        try:
            file = partial.open("ab" if have else "wb")
        except OSError as error:
            raise _unwritable(partial.parent, error, otherwise) from error
        with file:
            while block := answer.read(_BLOCK):
                try:
                    file.write(block)
                    file.flush()
                except OSError as error:
                    raise _unwritable(partial.parent, error, otherwise) from error
                have += len(block)
                advance(have, total)
    return total is None or have >= total


def _promised(answer: HTTPResponse, have: int) -> int | None:
    length = answer.headers.get("Content-Length")
    return None if length is None else have + int(length)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _unwritable(folder: Path, error: OSError, otherwise: str) -> UserError:
    return UserError(
        f"{folder}: cannot be written ({error.strerror}); free space, name another folder by TORCH_HOME, or {otherwise}"
    )


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _progress(doing: str, console: Console) -> Generator[Advance]:
    _say(console, doing)
    columns = (TextColumn("downloading"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("downloading", total=None)

        def advance(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield advance

"""Byte ranges of files on servers (http, s3, ...), through fsspec."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import time
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from prioritycut.data.stored import DamagedClipError
from prioritycut.errors import UserError

PAUSES = (0.25, 1.0, 4.0)
"""Seconds before each repetition of what failed."""

_PACKAGES = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
# What the server says of an address as such; everything else may pass.
_MISSING, _REFUSED = frozenset({404, 410}), frozenset({400, 401, 403, 405, 407, 451})
_LOCAL_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})

Answer = TypeVar("Answer")


class MissingFileError(DamagedClipError):
    """The server answers, and has no such file."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What a server says of a file.

    Attributes:
        address: Of the file.
        bytes: Its size; `None` where the server does not tell.
        version: Changes with its content, as far as the server tells.
        ranged: Whether parts of it can be asked for; taken for granted until it proves wrong.
    """

    address: str
    bytes: int | None
    version: str
    ranged: bool


def shown(address: str) -> str:
    """An address without the name, password or signature that it may hold: for messages."""
    return re.sub(r"://[^/@]*@", "://", address).split("?")[0]


def cache_folder() -> Path:
    """Where whole shards and the indexes of foreign ones are kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    return cache / "prioritycut" / "shards"


def cached_name(*facts: object) -> str:
    """A file name for something that is known by these facts."""
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).hexdigest()


def read_remote(address: str) -> bytes:
    """A whole file, such as an index.

    Raises:
        MissingFileError: The server has no such file.
        UserError: It cannot be reached.
    """
    return _patiently(address, lambda: _filesystem(address).cat_file(address))


def look_at(address: str) -> RemoteFile:
    """What the server says of a file, asked once a process.

    Raises:
        MissingFileError: The server has no such file.
        UserError: It cannot be reached.
    """
    key = (os.getpid(), address)
    if key not in _files:
        info = cast(dict[str, Any], _patiently(address, lambda: _filesystem(address).info(address)))
        marks = [
            str(info[mark]) for mark in ("ETag", "Last-Modified", "LastModified", "mtime", "created") if mark in info
        ]
        _files[key] = RemoteFile(address, info.get("size"), " ".join(marks), info.get("partial", True))
    return _files[key]


def forget_files() -> None:
    """Ask the server anew about every file."""
    _files.clear()


def read_range(address: str, start: int, size: int) -> bytes:
    """Bytes [start, start + size); the whole file is fetched into the cache, once, where the server knows no ranges.

    Raises:
        MissingFileError: The server has no such file.
        DamagedClipError: The file ends before that.
        UserError: It cannot be reached.
    """
    file = look_at(address)
    if file.ranged and not _copy_path(file).exists():
        content = _patiently(
            address, lambda: _filesystem(address).cat_file(address, start=start, end=start + size), whole=False
        )
        if len(content) == size and size != file.bytes:
            return content
        # Everything came instead: it is put by rather than asked for again.
        file = _files[os.getpid(), address] = replace(file, ranged=False)
        if len(content) == file.bytes:
            _keep(file, content)
    with whole_copy(address).open("rb") as copy:
        copy.seek(start)
        content = copy.read(size)
    if len(content) != size:
        raise DamagedClipError(f"{shown(address)}: it ends before byte {start + size}; copy the shard there again")
    return content


def whole_copy(address: str) -> Path:
    """The file in the cache, fetched if it is not there yet.

    Raises:
        MissingFileError: The server has no such file.
        UserError: It cannot be reached, or the disk is full.
    """
    file = look_at(address)
    path = _copy_path(file)
    if not path.exists():
        _keep(file, None)
    return path


@contextmanager
def passing_copy(address: str) -> Generator[Path]:
    """The file for as long as the context lasts; it stays in the cache only where the server knows no ranges.

    Raises:
        MissingFileError: The server has no such file.
        DamagedClipError: It is empty.
        UserError: It cannot be reached, or the disk is full.
    """
    read_range(address, 0, 1)  # shows whether the server knows ranges
    file = look_at(address)
    if not file.ranged or _copy_path(file).exists():
        yield whole_copy(address)
        return
    partial = _copy_path(file).with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with _writing(file):
            partial.parent.mkdir(parents=True, exist_ok=True)
            _patiently(address, lambda: _fetch(file, partial))
        yield partial
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def _writing(file: RemoteFile) -> Generator[None]:
    """Turn what a disk may say into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{cache_folder()}: {shown(file.address)} cannot be kept there ({error.strerror}); "
            "free space, or name another place in XDG_CACHE_HOME"
        ) from None


def _copy_path(file: RemoteFile) -> Path:
    return cache_folder() / f"{cached_name(file.address, file.bytes, file.version)}.tar"


def _keep(file: RemoteFile, content: bytes | None) -> None:
    """Put a file into the cache, whole or not at all; whoever else wants the same one waits for it."""
    path = _copy_path(file)
    partial = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        with _writing(file):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_suffix(".lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if path.exists():
                    return
                if content is None:
                    _patiently(file.address, lambda: _fetch(file, partial))
                else:
                    partial.write_bytes(content)
                partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink()


def _fetch(file: RemoteFile, partial: Path) -> None:
    _filesystem(file.address).get_file(file.address, str(partial))
    size = partial.stat().st_size
    if file.bytes is not None and size != file.bytes:
        raise ConnectionError(f"{size} bytes came of {file.bytes}")


# By process, since neither connections nor the thread that serves them survive a fork.
_filesystems = dict[tuple[int, str], Any]()
_files = dict[tuple[int, str], RemoteFile]()


def _filesystem(address: str) -> Any:
    """The fsspec file system of an address."""
    protocol = address.split("://")[0].lower()
    key = (os.getpid(), protocol)
    if key not in _filesystems:
        import fsspec

        try:
            _filesystems[key] = fsspec.filesystem(protocol, skip_instance_cache=True, **_options(protocol))
        except ImportError as error:
            package = _PACKAGES.get(protocol)
            way_out = f"`pip install {package}`" if package else f"install what it needs ({error})"
            raise UserError(f"{shown(address)}: {protocol} cannot be read yet; {way_out}") from None
        except ValueError:
            raise UserError(f"{shown(address)}: unknown kind of address {protocol}://; use http, https or s3") from None
    return _filesystems[key]


def _options(protocol: str) -> dict[str, object]:
    if protocol not in ("http", "https"):
        return {}
    from aiohttp import ClientTimeout

    # However long a shard takes, something must keep coming. Ranges are those of the file, not of a compressed answer.
    timeout = ClientTimeout(total=None, sock_connect=20, sock_read=60)
    return {
        "client_kwargs": {"timeout": timeout, "trust_env": True},
        "headers": {"Accept-Encoding": "identity"},
    }


def _patiently(address: str, ask: Callable[[], Answer], *, whole: bool = True) -> Answer:
    """The answer, asked for again after growing pauses where the fault may pass.

    Args:
        address: What is asked for.
        ask: Asks once.
        whole: Whether this asks for a whole file. A range that the server cannot give is answered by nothing.
    """
    for pause in (*PAUSES, None):
        try:
            return ask()
        except UserError:
            raise
        except Exception as error:  # each kind of file system has its own errors
            fault = _cause(error)
            status = getattr(fault, "status", None)
            if status == 416 and not whole:
                raise DamagedClipError(
                    f"{shown(address)}: it is shorter than its index says; copy it there again"
                ) from None
            if isinstance(fault, FileNotFoundError) or status in _MISSING:
                raise MissingFileError(f"{shown(address)}: no such file on the server; check the address") from None
            if isinstance(fault, PermissionError) or status in _REFUSED:
                raise UserError(f"{shown(address)}: the server refuses ({_words(fault)}); check your access") from None
            if isinstance(fault, OSError) and fault.errno in _LOCAL_FAULTS:
                raise fault from None
            if pause is None:
                raise UserError(
                    f"{shown(address)}: cannot be read after {len(PAUSES) + 1} attempts ({_words(fault)}); "
                    "check the network and the address, then repeat"
                ) from None
        time.sleep(pause)
    raise AssertionError  # the last attempt returned or raised


def _cause(error: Exception) -> BaseException:
    """fsspec says "not found" of whatever went wrong when it asked for a file's size."""
    return error.__cause__ if isinstance(error, FileNotFoundError) and error.__cause__ is not None else error


def _words(error: BaseException) -> str:
    status = getattr(error, "status", None)
    text = f"HTTP status {status}" if status else str(error) or type(error).__name__
    return shown(text.splitlines()[0])

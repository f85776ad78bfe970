"""What an evaluation has done so far, a line a clip, beside its output: killed and repeated, it goes on from there."""

from __future__ import annotations

import fcntl
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.errors import UserError
from prioritycut.results import ClipResult, Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What became of one clip: its numbers, and faults that it had; without numbers it could not be scored."""

    name: str
    result: ClipResult | None
    problems: tuple[Problem, ...] = ()


def _first_line(identity: str) -> str:
    return json.dumps({"evaluation": identity}) + "\n"


def ledger_path(output: Path) -> Path:
    """Where the ledger of an output stands until the output is whole."""
    return output.with_name(f"{output.name}.partial")


class Ledger:
    """Entries by clip name; each is on disk before the next clip is begun.

    The first line says what the entries belong to; a ledger of something else is left alone.
    """

    def __init__(self, output: Path, identity: str) -> None:
        """
        Args:
            output: The result that is being made.
            identity: Everything that would change a number, as text.

        Raises:
            UserError: The place cannot be written, another process is at it, or it belongs to another evaluation.
        """
        self.path = ledger_path(output)
        self.entries = dict[str, Entry]()
        self._ours = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a+", encoding="utf-8", errors="replace")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise UserError(f"{self.path}: another process is making this result; wait for it") from error
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); choose another place") from error
        try:
            self._read(identity)
        except BaseException:
            self._close()
            raise

    def _read(self, identity: str) -> None:
        self._file.seek(0)
        lines = self._file.read().splitlines(keepends=True)
        whole = [line for line in lines if line.endswith("\n")]
        if not whole:
            self._file.truncate(0)
            self._ours = True
            self._append(_first_line(identity).rstrip("\n"))
            return
        if whole[0] != _first_line(identity):
            raise UserError(
                f"{self.path}: holds the beginning of another evaluation (other weights, data, settings or code); "
                "finish that one, remove the file, or choose another output"
            )
        for line in whole[1:]:
            entry = config_from_json(Entry, line, where=self.path)
            self.entries[entry.name] = entry
        self._ours = True
        if len(whole) < len(lines):  # a kill cut the last line in half
            self._file.truncate(sum(len(line.encode()) for line in whole))

    def add(self, entry: Entry) -> None:
        """Keep an entry."""
        self._append(json.dumps(json.loads(config_to_json(entry))))
        self.entries[entry.name] = entry

    def _append(self, line: str) -> None:
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise UserError(
                f"{self.path}: cannot be written ({error.strerror}); free space and repeat the command, which goes on"
            ) from error

    def remove(self) -> None:
        """The output is whole; nothing is left to go on with."""
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._ours and not self.entries:
            self.remove()  # it holds nothing to go on with, and would stand in the way of other settings
        with suppress(OSError):  # a disk that is full, which has been told
            self._file.close()

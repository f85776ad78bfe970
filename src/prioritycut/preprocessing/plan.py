"""`preprocess.json`: what a data set is made from and by which rules, so that going on with it means the same."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from prioritycut.configuration import config_from_json, config_to_json
from prioritycut.errors import UserError
from prioritycut.preprocessing.claims import locked
from prioritycut.preprocessing.jobs import Camera, RobotRecords, Subject
from prioritycut.preprocessing.manifest import replace
from prioritycut.preprocessing.records import Partition
from prioritycut.preprocessing.settings import ClipSettings
from prioritycut.preprocessing.tfrecord import count_records
from prioritycut.versions import code_versions

PLAN_NAME = "preprocess.json"

Kind: TypeAlias = Literal["voxceleb", "taichi", "bair", "folder"]


@dataclass(frozen=True, kw_only=True)
class ListRules:
    """How clips are made from a published list."""

    kind: Literal["voxceleb", "taichi"]
    """Whose list it is."""
    min_size: int
    """A box whose longer side has fewer pixels than this is too small."""
    leaving: Literal["drop", "cut"] = "drop"
    """What becomes of a box that leaves the list's own frame."""

    def __post_init__(self) -> None:
        _require_positive("min-size", self.min_size)


@dataclass(frozen=True, kw_only=True)
class RobotRules:
    """How clips are made from TFRecord files."""

    kind: Literal["bair"] = "bair"
    camera: Camera = "main"
    """Which of the two."""


@dataclass(frozen=True, kw_only=True)
class FolderRules:
    """How clips are found in one's own videos."""

    kind: Literal["folder"] = "folder"
    subject: Subject
    """What is followed; whole takes the middle square of every frame."""
    min_size: int
    """A box whose longer side has fewer pixels than this is too small."""
    min_frames: int | None = None
    """Shorter clips are dropped; none takes the subject's own rule."""
    max_frames: int = 1024
    """Longer clips are cut in two."""
    leaving: Literal["shift", "drop"] = "shift"
    """What becomes of a square that leaves the frame."""
    test_share: float = 0.2
    """Share of the videos that is held out for tests, from 0 (none) to below 1."""
    seed: int = 0
    """Which videos those are."""

    def __post_init__(self) -> None:
        _require_positive("min-size", self.min_size)
        _require_positive("min-frames", 1 if self.min_frames is None else self.min_frames)
        if not 0.0 <= self.test_share < 1.0:
            raise ValueError(f"test-share must lie in 0 to below 1, got {self.test_share:g}")
        if self.max_frames < max(2, self.min_frames or 0):
            least = max(2, self.min_frames or 0)
            raise ValueError(f"max-frames must be at least {least}, as clips have, got {self.max_frames}")


def _require_positive(option: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{option} must be at least 1, got {value}")


Rules: TypeAlias = Annotated[ListRules | RobotRules | FolderRules, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides which clips come of a video, and their bytes."""

    rules: Rules
    clips: ClipSettings

    def digest(self) -> str:
        """A short name for it (BLAKE2b, 64 bits, in hexadecimal)."""
        return hashlib.blake2b(config_to_json(self).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How much there is to do in all, whatever share of it a run was limited to."""

    videos: int
    train: int | None = None
    """Clips; none where only the work will tell."""
    test: int | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What `preprocess.json` holds."""

    source: str
    """Name of the list, or of the folder."""
    source_hash: str | None = None
    """Of the list's bytes (BLAKE2b, 128 bits, in hexadecimal)."""
    recipe: Recipe
    digest: str
    """The recipe's, as the manifest's lines have it."""
    asked: Asked
    code: dict[str, str]
    """Versions of what made the clips of the last run."""


def asked_of_records(work: Sequence[RobotRecords]) -> Asked:
    """What TFRecord files hold, by the lengths in them; a file without an example counts as one that failed."""
    counts = Counter[Partition]()
    for each in work:
        counts[each.partition] += max(1, count_records(each.path))
    return Asked(videos=len(work), train=counts["train"], test=counts["test"])


def make_plan(source: Path, recipe: Recipe, asked: Asked) -> Plan:
    """The plan for a list or a folder."""
    content = source.read_bytes() if source.is_file() and recipe.rules.kind in ("voxceleb", "taichi") else None
    versions = code_versions("av", "mediapipe", "yt-dlp")
    return Plan(
        source=source.resolve().name,
        source_hash=None if content is None else hashlib.blake2b(content, digest_size=16).hexdigest(),
        recipe=recipe,
        digest=recipe.digest(),
        asked=asked,
        # Where it ran does not matter to what it made.
        code={name: version for name, version in versions.items() if name not in ("machine", "python")},
    )


def write_plan(output: Path, plan: Plan) -> None:
    """Write `preprocess.json`, or agree with the one that is there.

    Raises:
        UserError: The output was made by another recipe (the message names the first difference), or cannot be
            written to.
    """
    path = output / PLAN_NAME
    with locked(output, "plan"):
        if path.exists():
            _require_same(output, read_plan(output).recipe, plan.recipe)
        replace(path, config_to_json(plan) + "\n")


def read_plan(output: Path) -> Plan:
    """Raises UserError where there is none, or it is damaged."""
    path = output / PLAN_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UserError(f"{output}: holds no {PLAN_NAME}; name a folder that `prioritycut preprocess` made") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); check it") from error
    return config_from_json(Plan, text, where=path)


def _require_same(output: Path, made: Recipe, asked: Recipe) -> None:
    if made.rules.kind != asked.rules.kind:
        raise UserError(
            f"{output}: holds clips of `preprocess {made.rules.kind}`, not of `preprocess {asked.rules.kind}`; "
            "choose another output"
        )
    before = dict(_leaves(json.loads(config_to_json(made))))
    for option, value in _leaves(json.loads(config_to_json(asked))):
        if value != before[option]:
            raise UserError(
                f"{output}: was begun with --{option} {_shown(before[option])}, now it is {_shown(value)}; "
                "repeat it as before or choose another output"
            )


def _leaves(fields: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings by the names of their options."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _leaves(value)
        else:
            yield name.replace("_", "-"), value


def _shown(value: Any) -> str:
    return "left out" if value is None else str(value)

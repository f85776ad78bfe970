"""Settings of a published YAML: each is asked for once, and what nobody asked for is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from prioritycut.errors import UserError
from prioritycut.models.fomm import HourglassConfig

Config = TypeVar("Config")
_REQUIRED = object()


class Settings:
    """The settings of a file, or of a section of it."""

    def __init__(self, values: Any, path: str = "") -> None:
        if not isinstance(values, Mapping):
            raise ValueError(f"{path or 'the file'} holds no settings")
        self.values: dict[str, Any] = dict(values)
        self.path = path

    def name(self, name: str) -> str:
        """The full name of a setting: `model_params.common_params.num_kp`."""
        return f"{self.path}.{name}" if self.path else name

    def take(self, name: str, default: Any = _REQUIRED) -> Any:
        """One setting.

        Raises:
            ValueError: It is absent and has no default.
        """
        value = self.values.pop(name, default)
        if value is _REQUIRED:
            raise ValueError(f"lacks the setting {self.name(name)}")
        return value

    def integer(self, name: str, default: Any = _REQUIRED) -> int:
        """A whole number.

        Raises:
            ValueError: It is absent and has no default, or is something else.
        """
        value = self.take(name, default)
        if type(value) is not int:
            raise ValueError(f"{self.name(name)} must be a whole number, got {value!r}")
        return value

    def number(self, name: str, default: Any = _REQUIRED) -> float:
        """A number.

        Raises:
            ValueError: It is absent and has no default, or is something else.
        """
        value = self.take(name, default)
        if type(value) not in (int, float):
            raise ValueError(f"{self.name(name)} must be a number, got {value!r}")
        return float(value)

    def switch(self, name: str, default: Any = _REQUIRED) -> bool:
        """Yes or no.

        Raises:
            ValueError: It is absent and has no default, or is something else.
        """
        value = self.take(name, default)
        if type(value) is not bool:
            raise ValueError(f"{self.name(name)} must be true or false, got {value!r}")
        return value

    def require(self, name: str, value: Any, default: Any = _REQUIRED) -> None:
        """A setting of which one value alone is known.

        Raises:
            ValueError: It is absent and has no default, or another.
        """
        found = self.take(name, default)
        if found != value:
            raise ValueError(f"{self.name(name)} is {found!r}, but only {value!r} is known")

    def section(self, name: str) -> Settings:
        """The settings within one."""
        return Settings(self.take(name), self.name(name))

    def finish(self) -> None:
        """Refuse what is left.

        Raises:
            ValueError: Something is.
        """
        if self.values:
            raise ValueError(f"unknown settings: {', '.join(map(self.name, self.values))}")


def read_config(path: Path, build: Callable[[Settings], Config]) -> Config:
    """The config that a published YAML describes.

    Args:
        path: The YAML.
        build: Reads the settings; a ValueError says what is wrong with them.

    Raises:
        UserError: The file is missing or no YAML, or a setting is missing, unknown, of the wrong kind or out of range.
    """
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; give the YAML published beside the checkpoint") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: not readable as YAML; give the YAML published beside the checkpoint") from error
    try:
        return build(Settings(document))
    except ValueError as error:
        raise UserError(f"{path}: {error}; give the YAML of this checkpoint") from error


# What FOMM's and Monkey-Net's files have in common


def frame_size(document: Settings, name: str = "frame_shape") -> int:
    """Smaller side of the frames' shape: height, width, channels; at the top of the file or among the data's settings.

    Args:
        document: The whole file.
        name: Of the setting among the data's; at the top of a file it is `frame_shape`.

    Raises:
        ValueError: It is missing, or something else.
    """
    at_top = "frame_shape" in document.values
    holder, name = (document, "frame_shape") if at_top else (document.section("dataset_params"), name)
    match holder.take(name):
        case [int(height), int(width), 3]:
            return min(height, width)
        case other:
            raise ValueError(f"{holder.name(name)} must be height, width, 3, got {other!r}")


def hourglass(settings: Settings) -> HourglassConfig:
    """The hourglass that a section describes.

    Raises:
        ValueError: A setting is missing, of the wrong kind, or out of range.
    """
    return HourglassConfig(
        block_expansion=settings.integer("block_expansion"),
        num_blocks=settings.integer("num_blocks"),
        max_features=settings.integer("max_features"),
        scale_factor=settings.number("scale_factor", 1.0),
    )

"""Configs to JSON and back. Every config is a frozen dataclass that lives beside the code that reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from prioritycut.errors import UserError

Config = TypeVar("Config")


def config_to_json(config: object) -> str:
    """Every field by name, defaults included, so that a later change of a default changes no old run."""
    return TypeAdapter(type(config)).dump_json(config, indent=2).decode()


def config_from_json(kind: type[Config], text: str, *, where: Path | str) -> Config:
    """Build a config from its JSON; a field that is absent takes its default.

    Raises:
        UserError: It is no JSON, a value is out of range, or a field is unknown; the message names `where`.
    """
    try:
        config = TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the file"
        raise UserError(f"{where}: {field}: {first['msg']}; mend that value or make the file anew") from error
    unknown = _unknown_fields(json.loads(text), json.loads(config_to_json(config)))
    if unknown:
        raise UserError(f"{where}: unknown field {', '.join(unknown)}; it may come from a newer version")
    return config


def _unknown_fields(given: Any, known: Any, prefix: str = "") -> list[str]:
    # pydantic drops unknown fields of plain dataclasses silently; a misspelt one must not vanish.
    if isinstance(given, list) and isinstance(known, list):
        pairs = enumerate(zip(given, known, strict=False))
        return [field for number, (one, other) in pairs for field in _unknown_fields(one, other, f"{prefix}{number}.")]
    if not isinstance(given, dict) or not isinstance(known, dict):
        return []
    unknown = list[str]()
    for name, value in given.items():
        if name not in known:
            unknown.append(prefix + name)
        else:
            unknown += _unknown_fields(value, known[name], f"{prefix}{name}.")
    return unknown

"""Packages of the `eval` extra, imported only by the detector that stands on them."""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from prioritycut.errors import UserError

INSTALL = "pip install 'prioritycut[eval]'"


def import_package(module: str, *, user: str) -> Any:
    """A module of an optional package. Such packages carry no types, so nothing is said of what is in it.

    Args:
        module: Its full name.
        user: What needs it, as a person names it.

    Raises:
        UserError: It is not installed, or a library beneath it is missing.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise UserError(f"{user}: the package {package} cannot be imported ({reason}); {INSTALL}") from error


def package_version(distribution: str, *, user: str) -> str:
    """The installed version of a package, told without importing it.

    Raises:
        UserError: It is not installed.
    """
    try:
        return version(distribution)
    except PackageNotFoundError as error:
        raise UserError(f"{user}: the package {distribution} is not installed; {INSTALL}") from error

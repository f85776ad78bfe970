"""The same tasks on a Ray cluster, by Ray Data."""

from __future__ import annotations

import importlib
import logging
import os
import pickle
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from prioritycut.errors import UserError
from prioritycut.preprocessing.work import Report, Task


def run_on_ray(tasks: Sequence[Task], act: Callable[[Task], Report], workers: int) -> Generator[Report]:
    """Do tasks on the cluster that this process is connected to, or that RAY_ADDRESS names, or on this machine.

    All machines see the same folders and have this package installed. Ray tries a task again whose process is killed,
    however often; `attend` puts an end to it.

    Args:
        tasks: What to do; Ray hands out as many at a time as it has processes.
        act: Does one.
        workers: At most so many at a time; 0 takes every core there is.

    Raises:
        UserError: Ray is not installed or cannot be reached.
    """
    ray = _import_ray()
    if not tasks:
        return
    rows = [{"task": pickle.dumps(task)} for task in tasks]
    with _connected(ray, workers), _quiet(ray):
        # A block a task: a process is given its next one when it has done the last.
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            partial(_act_on_row, act), compute=ray.data.TaskPoolStrategy(size=min(workers, len(tasks)) or None)
        )
        try:
            for row in results.iter_rows():
                yield pickle.loads(row["report"])
        except ray.exceptions.RayError as error:
            raise UserError(f"Ray: {str(error).splitlines()[0]}; look at the cluster and repeat the command") from error


def _act_on_row(act: Callable[[Task], Report], row: dict[str, Any]) -> dict[str, Any]:
    torch.set_num_threads(1)
    return {"report": pickle.dumps(act(pickle.loads(row["task"])))}


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would otherwise report to its makers
    try:
        for name in ("ray.data", "ray.exceptions"):
            importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"--engine ray needs Ray Data ({error}); pip install 'prioritycut[preprocess]'") from error
    return importlib.import_module("ray")


@contextmanager
def _connected(ray: Any, workers: int) -> Generator[None]:
    """A connection to a cluster; one that was there before stays."""
    if ray.is_initialized():
        yield
        return
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        else:
            ray.init(
                num_cpus=workers or os.cpu_count(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"the cluster at {address}" if address else "Ray on this machine"
        raise UserError(f"{where} cannot be reached ({error}); check it, or take --engine local") from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _quiet(ray: Any) -> Generator[None]:
    """Without Ray Data's own account of what it does."""
    context, logger = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, context.print_on_execution_start, logger.level
    context.enable_progress_bars = context.print_on_execution_start = False
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, context.print_on_execution_start, level = before
        logger.setLevel(level)

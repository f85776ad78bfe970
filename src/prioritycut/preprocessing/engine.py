"""Where tasks are done: in this process, in others on this machine, or on a Ray cluster. What they make is the same."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Literal, TypeAlias

import torch

from prioritycut.errors import UserError
from prioritycut.preprocessing.work import Do, Report, Task, attend, deaths, do

Engine: TypeAlias = Literal["local", "ray"]


def run(tasks: Sequence[Task], *, engine: Engine, workers: int, doing: Do = do) -> Generator[Report]:
    """Do tasks, one process a video; each report comes as soon as its task is done.

    A process that is killed, for want of memory perhaps, takes no other task with it, and its own is tried again, on
    this machine alone. One that no process survives is put down as corrupt.

    Args:
        tasks: What to do; only a few at a time are handed out.
        engine: local is this machine; ray a cluster, the one of RAY_ADDRESS or else this machine.
        workers: Processes; 0 does everything in this one, and with Ray takes all cores.
        doing: Does the job of a task.

    Raises:
        UserError: No process can be started, or Ray is not installed or cannot be reached. Other faults are in the
            reports.
    """
    act = partial(attend, doing=doing)
    if engine == "ray":
        from prioritycut.preprocessing.ray_engine import run_on_ray

        yield from run_on_ray(tasks, act, workers)
    elif workers:
        yield from _in_processes(tasks, act, workers)
    else:
        yield from map(act, tasks)


def _in_processes(tasks: Iterable[Task], act: Callable[[Task], Report], workers: int) -> Generator[Report]:
    upcoming = iter(tasks)
    # Whose process it was that died, a pool does not say: all that were under way are suspects, and are tried alone.
    # One more is under way than there are processes, so that none waits for its next.
    while suspects := (yield from _until_one_dies(upcoming, act, workers, at_once=workers + 1)):
        again = iter(suspects)
        while killed := (yield from _until_one_dies(again, act, 1, at_once=1)):
            if not any(deaths(task) for task in killed):
                raise UserError("--workers: processes end before they begin to work; try --workers 0, which needs none")
            again = chain(killed, again)  # `attend` puts an end to it


def _until_one_dies(
    upcoming: Iterator[Task], act: Callable[[Task], Report], workers: int, *, at_once: int
) -> Generator[Report, None, list[Task]]:
    """Do tasks until there are no more, or a process dies; returns those that were under way then."""
    with _pool(workers) as submit:
        under_way = dict[Future[Report], Task]()
        suspects = list[Task]()
        while True:
            while not suspects and len(under_way) < at_once and (task := next(upcoming, None)) is not None:
                under_way[submit(act, task)] = task
            if not under_way:
                return suspects
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                task = under_way.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(task)
                else:
                    yield future.result()


_Submit: TypeAlias = Callable[[Callable[[Task], Report], Task], "Future[Report]"]


@contextmanager
def _pool(workers: int) -> Generator[_Submit]:
    """Processes for tasks. They end with the context, at once where it is left by an exception, and with this one."""
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_begin_worker)

    def submit(act: Callable[[Task], Report], task: Task) -> Future[Report]:
        try:
            with _ctrl_c_put_off():  # which the processes that this starts inherit: it is for the one that began them
                return pool.submit(act, task)
        except BrokenProcessPool as error:
            future = Future[Report]()
            future.set_exception(error)
            return future

    try:
        yield submit
    except BaseException:
        for process in multiprocessing.active_children():
            if process not in others:
                process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _ctrl_c_put_off() -> Generator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin_worker() -> None:
    torch.set_num_threads(1)  # one process a core is what keeps all cores busy
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Do not outlive a killed parent: nobody would tell this process that there is no more to do."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

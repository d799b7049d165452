"""One case on one victim, in a process of its own, under a time limit."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import time
import traceback
import warnings
from typing import Any

import torch

from art_matrix.registry import Case
from art_matrix.stage import BrokenError, NotForThisCodeError, Stage
from art_snn.seeding import seeded_globals

WORKS, WRONG, ERROR, TIMEOUT, REFUSED = "works", "wrong result", "error", "timeout", "not for this code"


def measure(case: Case, victim: str, factor: float = 1.0) -> dict[str, Any]:
    """The line of a case: outcome, first line of the error, seconds, samples forward and backward.

    The networks must be trained before; the child inherits them. A hang ends at ``factor`` times the case's limit.
    """
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_run, args=(case, victim, theirs))
    start = time.perf_counter()
    child.start()
    theirs.close()
    limit = case.limit * factor
    line: dict[str, Any] = {"outcome": TIMEOUT, "detail": f"stopped after {limit:.0f} s"}
    if mine.poll(limit):
        try:
            line = mine.recv()
        except EOFError:
            line = {"outcome": ERROR, "detail": "the process died"}
    if child.is_alive():
        child.join(2)
    if child.is_alive() and child.pid is not None:
        os.killpg(child.pid, signal.SIGKILL)
    child.join()
    return {"case": case.name, "victim": victim, **line, "seconds": round(time.perf_counter() - start, 2)}


def _run(case: Case, victim: str, pipe: Any) -> None:
    os.setpgid(0, 0)
    torch.set_num_threads(1)
    stage = Stage(victim)
    line: dict[str, Any] = {"outcome": WORKS, "detail": ""}
    noise = io.StringIO()
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(noise),
        contextlib.redirect_stderr(noise),
        seeded_globals(0),
    ):
        warnings.simplefilter("ignore")
        try:
            case.run(stage)
        except NotForThisCodeError as reason:
            line = {"outcome": REFUSED, "detail": _first(reason)}
        except BrokenError as fault:
            line = {"outcome": WRONG, "detail": _first(fault)}
        except BaseException as error:  # noqa: BLE001 - whatever ART raises is the result
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{os.path.basename(last.filename)}:{last.lineno}"  # noqa: PTH119 - a frame's file name
            line = {"outcome": ERROR, "detail": f"{type(error).__name__}: {_first(error)} ({place})"}
    forwards, backwards = stage.cost()
    pipe.send({**line, "notes": "; ".join(stage.notes), "forwards": forwards, "backwards": backwards})
    pipe.close()


def _first(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else ""

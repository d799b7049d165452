"""Where a cell runs: one GPU per worker, and a fixed number of threads.

Sums in floating point depend on how many threads make them, so the number of threads is part of a cell's address.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing import current_process

import torch
from threadpoolctl import threadpool_limits


def worker_name() -> str:
    """Name of the process, or of the Dask worker, that runs this."""
    try:
        from distributed import get_worker

        return str(get_worker().name)
    except (ImportError, ValueError):
        return current_process().name


def gpu_of(worker: str, count: int) -> int:
    """Which of ``count`` GPUs a worker uses: workers are numbered in their names, and take turns.

    >>> [gpu_of(name, 2) for name in ("LokyProcess-1", "LokyProcess-2", "LokyProcess-3", "MainProcess")]
    [1, 0, 1, 0]
    """
    number = re.search(r"(\d+)$", worker)
    if count < 2 or worker == "MainProcess":
        return 0
    return (int(number.group(1)) if number else zlib.crc32(worker.encode())) % count


@contextmanager
def settled(threads: int, device: str) -> Iterator[None]:
    """Run with a fixed number of threads, on this worker's GPU if it is ``cuda``."""
    before = torch.get_num_threads()
    gpu = nullcontext() if device == "cpu" else torch.cuda.device(gpu_of(worker_name(), torch.cuda.device_count()))
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads), gpu:
            yield
    finally:
        torch.set_num_threads(before)

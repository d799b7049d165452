"""Mutations of bytes and of JSON, and what a reader may do with them: answer, or refuse with a repair."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

BLOCK = 64 * 2**20
"""Bytes that any reader may take, whatever a header claims."""
PER_BYTE = 1200
"""Bytes that a reader may take for each byte of its file (zip expands by up to 1032)."""
INTERESTING = (0, 1, 2, 7, 127, 128, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
VALUES = (
    None, True, False, 0, 1, -1, 2**31, 10**12, 10**30, -(10**12), 0.5, 1e308, "", "x", "__class__", [], {}, [[]],
    [10**9, 10**9], {"a": 1}, "forward", "encoder", 3.7,
)  # fmt: skip


def mutate_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four of: flip, overwrite with a number, cut, repeat, move, insert, remove."""
    for _ in range(int(rng.integers(1, 5))):
        if not data:
            return bytes(rng.integers(0, 256, int(rng.integers(0, 20)), dtype=np.uint8))
        at, to = sorted(int(i) for i in rng.integers(0, len(data) + 1, 2))
        kind = int(rng.integers(7))
        if kind == 0:
            raw = bytearray(data)
            raw[min(at, len(raw) - 1)] ^= 1 << int(rng.integers(8))
            data = bytes(raw)
        elif kind == 1:
            width = int(rng.choice([1, 2, 4, 8]))
            number = INTERESTING[int(rng.integers(len(INTERESTING)))] & ((1 << 8 * width) - 1)
            data = data[:at] + number.to_bytes(width, "little") + data[at + width :]
        elif kind == 2:
            data = data[:at]
        elif kind == 3:
            data = data[:to] + data[at:]
        elif kind == 4:
            data = data[:at] + data[to:] + data[at:to]
        elif kind == 5:
            data = data[:at] + rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8).tobytes() + data[at:]
        else:
            data = data[:at] + data[to:]
    return data


def mutate_json(value: Any, rng: np.random.Generator) -> Any:
    """Somewhere in a JSON value: another value, a key gone, a key too many, an entry twice."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = list(value)[int(rng.integers(len(value)))]
        changed = dict(value)
        draw = rng.random()
        if draw < 0.1:
            del changed[key]
        elif draw < 0.15:
            changed[f"{key}x"] = value[key]
        else:
            changed[key] = mutate_json(value[key], rng)
        return changed
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = int(rng.integers(len(value)))
        if rng.random() < 0.2:
            return value[:at] + value[at + 1 :] if rng.random() < 0.5 else [*value, value[at]]
        return [*value[:at], mutate_json(value[at], rng), *value[at + 1 :]]
    return VALUES[int(rng.integers(len(VALUES)))]


def survives(read: Callable[[], Any], size: int, what: str, refusals: tuple[type[Exception], ...]) -> bool:
    """Whether ``read`` answered; it may refuse with a repair, and nothing else.

    :raises AssertionError: for any other exception, a message without repair, or too much memory.
    """
    tracemalloc.start()
    try:
        read()
        answered = True
    except refusals as error:
        answered = False
        assert "Fix:" in str(error), f"{what}: no repair in {type(error).__name__}: {error}"  # noqa: PT017
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < BLOCK + PER_BYTE * size, f"{what}: {peak / 2**20:.0f} MiB for a file of {size} bytes"
    return answered


class Fuzzer:
    """Mutants of valid files, read from one path; a mutant that fails is named by its seed, and can be made again."""

    def __init__(self, folder: Any) -> None:
        self.folder = folder

    def run(
        self, valid: list[bytes], read: Callable[[Any], Any], numbers: Any, suffix: str,
        mutate: Callable[[bytes, np.random.Generator], bytes] = mutate_bytes,
        refusals: tuple[type[Exception], ...] = (ValueError,),
    ) -> tuple[int, int]:  # fmt: skip
        """Read one mutant for each of ``numbers``.

        :return: how many were answered, and how many there were.
        """
        path = self.folder / f"mutant{suffix}"
        answered = total = 0
        for number in numbers:
            rng = np.random.default_rng(number)
            data = mutate(valid[int(rng.integers(len(valid)))], rng)
            path.write_bytes(data)
            answered += survives(lambda: read(path), len(data), f"mutant {number} of {suffix}", refusals)
            total += 1
        return answered, total


@pytest.fixture(autouse=True, scope="module")
def elsewhere(tmp_path_factory):
    """Any text may be the name of a folder that an attack writes its curves to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        yield


@pytest.fixture
def fuzzer(tmp_path):
    return Fuzzer(tmp_path)


@pytest.fixture
def json_mutation():
    def mutate(data: Any, rng: np.random.Generator) -> Any:
        for _ in range(int(rng.integers(1, 4))):
            data = mutate_json(data, rng)
        return json.loads(json.dumps(data))

    return mutate

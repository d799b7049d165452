"""Time the exact linear step of retiming, all lines at once, beside the same recursion in a loop over spikes.

    OMP_NUM_THREADS=1 python benchmarks/retiming_dp.py

One binary grid of 10 steps, 2 polarities, 128 x 128 pixels, 5 % of the cells spike; gains are standard normal. Prints
the best of three runs, in seconds, and checks that both find the same gain.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from art_snn.threats import Retiming
from art_snn.threats.retiming_step import from_lines, to_lines

SHAPE, DENSITY = (1, 10, 2, 128, 128), 0.05
BUDGETS = [
    Retiming(jitter=1), Retiming(jitter=2), Retiming(jitter=10), Retiming(jitter=2, causal=True), Retiming(moves=500),
    Retiming(delay=500), Retiming(jitter=2, moves=500), Retiming(jitter=2, delay=800, moves=500),
]  # fmt: skip


def spike_by_spike(x: Tensor, gain: Tensor, jitter: int) -> Tensor:
    """The recursion for a jitter alone, in Python: every line, every spike, every target."""
    lines, worth = to_lines(x).t().tolist(), to_lines(gain).t().tolist()
    out = []
    for line, m in zip(lines, worth, strict=True):
        homes = [t for t, value in enumerate(line) if value]
        reached = {-1: (0.0, ())}
        for home in homes:
            further: dict[int, tuple[float, tuple[int, ...]]] = {}
            for target in range(max(home - jitter, 0), min(home + jitter, len(line) - 1) + 1):
                before = [best for last, best in reached.items() if last < target]
                if before:
                    value, path = max(before)
                    further[target] = (value + m[target], (*path, target))
            reached = further
        places = max(reached.values())[1]
        out.append([1.0 if t in places else 0.0 for t in range(len(line))])
    return from_lines(torch.tensor(out).t().contiguous(), x)


def best_of_three(run: Callable[[], Tensor]) -> tuple[float, Tensor]:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - start)
    return min(seconds), found


def main() -> None:
    gen = torch.Generator().manual_seed(0)
    x = (torch.rand(SHAPE, generator=gen) < DENSITY).float()
    gain = torch.randn(SHAPE, generator=gen)
    print(f"{int(x.sum())} spikes in {x[0, 0].numel()} lines of {SHAPE[1]} steps")
    for threat in BUDGETS:
        seconds, found = best_of_three(lambda threat=threat: threat.step(x, gain))
        line = f"{threat!r}: {seconds:.3f} s, gain {float((gain.double() * found).sum()):.3f}"
        if threat.jitter in (1, 2) and threat.moves is None and not threat.causal:
            start = time.perf_counter()
            looped = spike_by_spike(x, gain, threat.jitter)
            line += f"; in a loop over spikes {time.perf_counter() - start:.1f} s, "
            line += "the same train" if torch.equal(looped, found) else "ANOTHER TRAIN"
        print(line)


if __name__ == "__main__":
    main()

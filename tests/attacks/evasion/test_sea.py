import math
from itertools import combinations

import pytest
import torch

from art_snn.attacks.evasion.sea import sea_step
from art_snn.threats import SpikeFlips

KINDS = [{}, {"add": False}, {"delete": False}, {"most": math.inf}, {"most": 2, "delete": False}]


def best_by_hand(x, g, threat):
    """The largest linear gain over every choice of at most k cells, each with every legal single event."""
    best = 0.0
    moves = []
    for i, value in enumerate(x.tolist()):
        legal = [d for d in (1, -1) if (threat.add if d > 0 else threat.delete) and 0 <= value + d <= threat.most]
        moves.append(max((d * g[i].item() for d in legal), default=0.0))
    for size in range(int(threat.k) + 1):
        for chosen in combinations(range(len(x)), size):
            best = max(best, sum(moves[i] for i in chosen))
    return best


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("k", [0, 1, 2, 4])
def test_no_choice_of_cells_is_better(kind, k):
    gen = torch.Generator().manual_seed(k)
    threat = SpikeFlips(k, **kind)
    for _ in range(60):
        top = 2 if threat.most == 1 else 3
        x = torch.randint(0, top, (1, 7), generator=gen).double()
        g = torch.randn(1, 7, generator=gen, dtype=torch.double).round(decimals=1)
        point = sea_step(x, g, threat)
        assert threat.contains(x, point).item()
        gain = float((g * (point - x)).sum())
        assert gain == pytest.approx(best_by_hand(x[0], g[0], threat), abs=1e-12)

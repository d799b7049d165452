import math
from itertools import combinations

import numpy as np
import pytest
import torch

from art_snn.attacks.evasion import HammingFW
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


def test_one_step_without_momentum_is_sea(events):
    k = 5
    x_adv = HammingFW(events.clf, k=k, max_iter=1, momentum=0.0).generate(events.x, events.y)
    grad = torch.as_tensor(events.clf.loss_gradient(events.x, events.y))
    x = torch.as_tensor(events.x)
    step = sea_step(x, grad.to(x), SpikeFlips(k)).numpy()
    moved = (x_adv != events.x).reshape(len(x_adv), -1).any(1)
    assert moved.sum() >= 5
    assert np.array_equal(x_adv[moved], step[moved])


def test_more_steps_never_break_fewer(events):
    one, many = (HammingFW(events.clf, k=4, max_iter=n) for n in (1, 20))
    for attack in (one, many):
        attack.generate(*events.more)
    assert (many.last_run.success >= one.last_run.success).all()
    assert many.last_run.success.sum() > one.last_run.success.sum()


def test_only_the_chosen_frames_change(events):
    x_adv = HammingFW(events.clf, k=10, max_iter=5, frames=(1, 3)).generate(events.x, events.y)
    others = [0, 2, 4, 5]
    assert np.array_equal(x_adv[:, others], events.x[:, others])
    assert not np.array_equal(x_adv, events.x)
    with pytest.raises(ValueError, match="below T = 6"):
        HammingFW(events.clf, frames=(6,)).generate(events.x)
    with pytest.raises(ValueError, match="frames="):
        HammingFW(events.clf, frames=())

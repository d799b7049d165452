import numpy as np
import pytest
import torch

from art_snn.attacks.evasion import SparseEventAttack
from art_snn.attacks.evasion.fewest import shortest_prefix, without_the_needless, without_the_weakest


def needs(*cells):
    """A judge that is fooled where every one of ``cells`` is flipped."""
    return lambda changes: (changes.flatten(1)[:, list(cells)] != 0).all(1)


@pytest.mark.parametrize("needed", [(2,), (0, 5), (1, 2, 3)])
def test_what_is_needed_stays_and_nothing_else(needed):
    change = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0, 1.0]).view(2, 3)
    worth = torch.arange(6.0).view(2, 3)
    short = without_the_needless(change, worth, needs(*needed))
    assert short.flatten().nonzero()[:, 0].tolist() == list(needed)
    assert bool((short[short != 0] == change[short != 0]).all())
    run = without_the_weakest(change, worth, needs(*needed))
    assert run.flatten().nonzero()[:, 0].tolist() == list(range(min(needed), 6))


def test_the_shortest_prefix_is_found_across_chunks():
    change, worth = torch.ones(100), torch.arange(100.0, 0, -1)
    assert int(shortest_prefix(change, worth, needs(70)).sum()) == 71
    assert shortest_prefix(change, worth, lambda some: torch.zeros(len(some), dtype=torch.bool)) is None


def test_every_flip_that_is_left_is_needed(events):
    long, short = (SparseEventAttack(events.clf, k=40, max_iter=10, reduce=how) for how in (False, True))
    x_long, x_short = (attack.generate(events.x, events.y) for attack in (long, short))
    assert np.array_equal(long.last_run.success, short.last_run.success)
    assert (short.last_run.usage <= long.last_run.usage).all()
    assert short.last_run.usage.sum() < long.last_run.usage.sum()
    assert not np.array_equal(x_long, x_short)
    for i in np.flatnonzero(short.last_run.success):
        for cell in np.argwhere(x_short[i] != events.x[i]):
            undone = x_short[i].copy()
            undone[tuple(cell)] = events.x[i][tuple(cell)]
            assert events.clf.predict(undone[None]).argmax(1)[0] == events.y[i]

import numpy as np
import pytest
import torch

from art_snn.attacks.evasion import SpikeFool
from art_snn.attacks.evasion.spike_fool import solve_sparse


def solved_step_by_step(x, n, goal, low, high):
    """SparseFool's linear solver as a loop over coordinates."""
    x, used = x.clone(), set()
    gap = float(n @ (goal - x))
    need = gap + 1e-3 if gap > 0 else 0.0
    while need > 1e-15 and len(used) < len(x):
        d = max((i for i in range(len(x)) if i not in used), key=lambda i: abs(float(n[i])))
        used.add(d)
        room = float(high[d] - x[d] if n[d] > 0 else x[d] - low[d])
        step = min(max(room, 0.0), need / max(abs(float(n[d])), 1e-12))
        x[d] += step if n[d] > 0 else -step
        need -= step * abs(float(n[d]))
    return x


@pytest.mark.parametrize("seed", range(20))
def test_the_solver_is_the_loop(seed):
    gen = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 2, (3, 9), generator=gen).double()
    n = torch.randn(3, 9, generator=gen, dtype=torch.double)
    goal = x + 0.7 * torch.randn(3, 9, generator=gen, dtype=torch.double)
    low, high = torch.zeros_like(x), torch.ones_like(x)
    ours = solve_sparse(x, n, goal, low, high)
    for i in range(3):
        torch.testing.assert_close(
            ours[i], solved_step_by_step(x[i], n[i], goal[i], low[i], high[i]), atol=1e-9, rtol=0
        )


def test_no_flip_is_left_that_is_not_needed(events):
    attack = SpikeFool(events.clf, k=60, max_iter=5, deepfool_iter=8)
    x_adv = attack.generate(events.x, events.y)
    assert attack.last_run.success.any()
    for i in np.flatnonzero(attack.last_run.success):
        for cell in np.argwhere(x_adv[i] != events.x[i]):
            undone = x_adv[i].copy()
            undone[tuple(cell)] = events.x[i][tuple(cell)]
            assert events.clf.predict(undone[None]).argmax(1)[0] == events.y[i]


@pytest.mark.parametrize("bad", [{"targeted": True}, {"lambda_": 0.5}, {"floor": 0.0}, {"deepfool_iter": 0}])
def test_bad_settings_are_refused(events, bad):
    with pytest.raises(ValueError, match="expected"):
        SpikeFool(events.clf, **bad)

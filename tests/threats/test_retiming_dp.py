"""The dynamic program and the certificates, against the enumeration of every legal train."""

from itertools import combinations, permutations

import numpy as np
import pytest
import torch

from art_snn.threats import retiming_step
from art_snn.threats.retiming_certificates import displacement
from art_snn.threats.retiming_dp import best_lines
from art_snn.threats.retiming_step import Budgets, certified, linear_step

CASES = 1200


def some_line(rng, most=8):
    T = int(rng.integers(1, most + 1))
    return (rng.random(T) < rng.uniform(0.1, 0.9)).astype(float)


def trains(x):
    """Every line with the spikes of ``x``."""
    for chosen in combinations(range(len(x)), int((x != 0).sum())):
        y = np.zeros_like(x)
        y[list(chosen)] = 1
        yield y


def far(x, y, causal=False):
    """Jitter and delay of the matching in order of time, or None where it is not causal."""
    before, after = np.flatnonzero(x), np.flatnonzero(y)
    if causal and (after < before).any():
        return None
    shift = np.abs(after - before)
    return (int(shift.max()), int(shift.sum())) if len(shift) else (0, 0)


def fewest_moves(x, y, jitter, causal=False):
    """By every matching of the packets, value to equal value; also the least delay among all within the jitter."""
    before, after = np.flatnonzero(x), np.flatnonzero(y)
    found = []
    for order in permutations(after):
        shift = np.array(order, dtype=int) - before
        legal = np.array_equal(x[before], y[list(order)]) if len(order) else True
        legal = legal and (jitter is None or (np.abs(shift) <= jitter).all())
        if legal and not (causal and (shift < 0).any()):
            found.append(((shift != 0).sum(), np.abs(shift).sum(), np.abs(shift).max(initial=0)))
    return found


def column(values):
    return torch.tensor(values)[:, None]


def value_of(x, y, gain, move_cost, delay_cost):
    return gain @ y - move_cost * ((x == 1) & (y == 0)).sum() - delay_cost * (far(x, y)[1])


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("priced", ["jitter", "delay", "moves", "both"])
def test_the_count_form_is_the_best_of_all_trains(priced, causal):
    rng = np.random.default_rng(1)
    for _ in range(CASES):
        x = some_line(rng)
        gain = rng.normal(size=len(x))
        jitter = int(rng.integers(0, len(x) + 1)) if priced == "jitter" or rng.random() < 0.3 else None
        c0 = rng.exponential() * (priced in ("moves", "both"))
        c1 = rng.exponential() * 0.5 * (priced in ("delay", "both"))
        legal = [y for y in trains(x) if far(x, y, causal) and (jitter is None or far(x, y)[0] <= jitter)]
        best = max(value_of(x, y, gain, c0, c1) for y in legal)
        found = best_lines(column(x), column(gain), jitter=jitter, causal=causal, move_cost=c0, delay_cost=c1)
        found = found[:, 0].numpy()
        assert any(np.array_equal(found, y) for y in legal)
        assert value_of(x, found, gain, c0, c1) == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("valued", [False, True])
def test_the_order_form_is_the_best_of_all_moves_that_do_not_cross(valued, causal):
    rng = np.random.default_rng(2)
    for _ in range(CASES):
        x = some_line(rng, 7)
        if valued:
            x = x * rng.integers(1, 4, size=len(x)) * rng.choice([-1, 1], size=len(x))
        gain = rng.normal(size=len(x))
        jitter = int(rng.integers(1, len(x) + 1)) if rng.random() < 0.8 else None
        c0, c1 = rng.exponential(size=2) * rng.integers(0, 2, size=2)
        before = np.flatnonzero(x)
        best = -np.inf
        for y in trains(x):
            after = np.flatnonzero(y)
            shift = after - before
            if (jitter is not None and (np.abs(shift) > jitter).any()) or (causal and (shift < 0).any()):
                continue
            best = max(best, gain[after] @ x[before] - c0 * (shift != 0).sum() - c1 * np.abs(shift).sum())
        found = best_lines(
            column(x), column(gain), jitter=jitter, causal=causal, move_cost=c0, delay_cost=c1, ordered=True
        )[:, 0].numpy()
        after = np.flatnonzero(found)
        shift = after - before
        assert np.array_equal(found[after], x[before])
        assert jitter is None or (np.abs(shift) <= jitter).all()
        reached = gain[after] @ x[before] - c0 * (shift != 0).sum() - c1 * np.abs(shift).sum()
        assert reached == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("valued", [False, True])
def test_certificates_are_the_best_of_all_matchings(valued, causal):
    rng = np.random.default_rng(3)
    checked = 0
    while checked < CASES:
        x = some_line(rng, 7)
        if (x != 0).sum() > 5:
            continue
        if valued:
            x = x * rng.integers(1, 3, size=len(x))
        order = rng.permutation(len(x))
        y = x[order]
        jitter = int(rng.integers(1, len(x) + 1)) if rng.random() < 0.8 else None
        seen = displacement(column(x), column(y), jitter)
        every = fewest_moves(x, y, None, causal)
        assert bool(seen.conserved)
        if causal:
            assert bool(seen.delayed) == bool(every)
            if not every:
                continue
        assert int(seen.jitter) == min(one[2] for one in every)
        assert int(seen.delay) == min(one[1] for one in every)
        within = fewest_moves(x, y, jitter, causal)
        assert (jitter is None or int(seen.jitter) <= jitter) == bool(within)
        if within:
            assert int(seen.moves) == min(one[0] for one in within)
            assert (int(seen.moves), int(seen.delay)) in {(m, d) for m, d, _ in within}
        checked += 1


BUDGETS = [
    Budgets(jitter=1), Budgets(jitter=2, causal=True), Budgets(delay=2), Budgets(delay=3, causal=True),
    Budgets(moves=1), Budgets(moves=2), Budgets(moves=2, causal=True), Budgets(delay=3, moves=2),
    Budgets(delay=4, moves=2, causal=True), Budgets(jitter=2, delay=3), Budgets(jitter=1, moves=2),
    Budgets(jitter=2, moves=1, causal=True), Budgets(jitter=2, delay=4, moves=3),
]  # fmt: skip


def options(x, gain, budgets):
    """Legal trains of a line as rows (gain, moves, delay); moves in order where a jitter binds them."""
    before, rows = np.flatnonzero(x), []
    for y in trains(x):
        reach = far(x, y, budgets.causal)
        if reach and (budgets.jitter is None or reach[0] <= budgets.jitter):
            moves = (np.flatnonzero(y) != before).sum() if budgets.jitter else ((x == 1) & (y == 0)).sum()
            rows.append((gain @ (y - x), moves, reach[1]))
    return np.array(rows)


def optimum(x, gain, budgets):
    """Best gain of a sample of two lines."""
    one, other = (options(x[:, i], gain[:, i], budgets) for i in (0, 1))
    both = (one[:, None] + other[None]).reshape(-1, 3)
    for limit, column_ in ((budgets.moves, 1), (budgets.delay, 2)):
        if limit is not None:
            both = both[both[:, column_] <= limit]
    return both[:, 0].max()


def many(seed, samples=1000, T=6):
    rng = np.random.default_rng(seed)
    x = (rng.random((samples, T, 2)) < rng.uniform(0.1, 0.7, size=(samples, 1, 1))).astype(float)
    return x, rng.normal(size=x.shape)


@pytest.mark.parametrize("budgets", BUDGETS, ids=str)
def test_the_step_is_the_best_of_all_trains_of_the_sample(budgets):
    x, gain = many(5)
    found = linear_step(torch.tensor(x), torch.tensor(gain), budgets)
    reached = (gain * (found.numpy() - x)).sum((1, 2))
    best = np.array([optimum(*pair, budgets) for pair in zip(x, gain, strict=True)])
    np.testing.assert_allclose(reached, best, atol=1e-9)
    used = certified(torch.tensor(x), found, budgets)
    for name in ("jitter", "delay", "moves"):
        limit = getattr(budgets, name)
        assert limit is None or bool((used[name] <= limit).all())
        assert bool(torch.isfinite(used[name]).all())


@pytest.mark.parametrize("budgets", [b for b in BUDGETS if b.delay or b.moves], ids=str)
def test_prices_stay_in_the_budget_and_miss_less_than_a_line(budgets, monkeypatch):
    monkeypatch.setattr(retiming_step, "_SMALL", 0)
    x, gain = many(6, samples=200)
    found = linear_step(torch.tensor(x), torch.tensor(gain), budgets)
    reached = (gain * (found.numpy() - x)).sum((1, 2))
    best = np.array([optimum(*pair, budgets) for pair in zip(x, gain, strict=True)])
    free = [[options(x[i, :, j], gain[i, :, j], budgets)[:, 0].max() for j in (0, 1)] for i in range(len(x))]
    assert (reached <= best + 1e-9).all()
    if budgets.delay is None or budgets.moves is None:
        assert (best - reached <= np.max(free, axis=1) + 1e-9).all()
    assert reached.sum() > 0.75 * best.sum()
    used = certified(torch.tensor(x), found, budgets)
    assert budgets.delay is None or bool((used["delay"] <= budgets.delay).all())
    assert budgets.moves is None or bool((used["moves"] <= budgets.moves).all())


@pytest.mark.parametrize("budgets", BUDGETS, ids=str)
def test_integer_packets_keep_their_values_and_budgets(budgets, monkeypatch):
    rng = np.random.default_rng(7)
    x = torch.tensor(rng.integers(0, 4, size=(60, 7, 5)) * (rng.random((60, 7, 5)) < 0.5), dtype=torch.double)
    gain = torch.tensor(rng.normal(size=x.shape))
    for small in (0, retiming_step._SMALL):
        monkeypatch.setattr(retiming_step, "_SMALL", small)
        found = linear_step(x, gain, budgets)
        assert torch.equal(x.sort(1).values, found.sort(1).values)
        used = certified(x, found, budgets)
        for name in ("jitter", "delay", "moves"):
            limit = getattr(budgets, name)
            assert limit is None or bool((used[name] <= limit).all())
        assert not torch.equal(found, x)


def test_the_order_of_the_lines_does_not_matter():
    x, gain = many(8, samples=20)
    turned = linear_step(torch.tensor(x[..., ::-1].copy()), torch.tensor(gain[..., ::-1].copy()), Budgets(jitter=2))
    assert torch.equal(turned.flip(-1), linear_step(torch.tensor(x), torch.tensor(gain), Budgets(jitter=2)))


@pytest.mark.parametrize("budgets", BUDGETS, ids=str)
def test_without_gain_nothing_moves(budgets):
    x = torch.tensor(many(9, samples=20)[0])
    assert torch.equal(linear_step(x, torch.zeros_like(x), budgets), x)


@pytest.mark.parametrize("shape", [(0, 5, 2), (3, 1, 2), (3, 5, 0), (3, 4, 2)])
def test_nothing_to_move_comes_back(shape):
    for x in (torch.zeros(shape), torch.ones(shape)):
        for budgets in BUDGETS:
            assert torch.equal(linear_step(x, torch.randn(shape), budgets), x)
            assert certified(x, x, budgets)["moves"].sum() == 0

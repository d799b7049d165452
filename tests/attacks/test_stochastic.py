"""Stochastic networks: keyed draws, averaged losses, majority votes."""

import numpy as np
import pytest
import torch

from art_snn.attacks.evasion import SNNAutoPGD, SNNSquare
from art_snn.attacks.evasion.victim import Victim
from art_snn.coding import Poisson
from art_snn.coding.draws import keyed_draws


def made(clf, **settings):
    return SNNAutoPGD(clf, **{"eps": 0.15, "max_iter": 3, "eot": 2, "votes": 5, "batch_size": 8, **settings})


def test_keyed_draws_follow_the_sample_and_leave_the_stream():
    code, x = Poisson(T=6, seed=1), torch.full((3, 4), 0.5)
    untouched = Poisson(T=6, seed=1)
    with keyed_draws(code, [5, 6, 7]):
        first, second = code(x), code(x)
    with keyed_draws(code, [7, 5]):
        again = code(x[:2])
    assert torch.equal(again[:, 0], first[:, 2])
    assert torch.equal(again[:, 1], first[:, 0])
    assert not torch.equal(first, second)
    assert torch.equal(code(x), untouched(x))
    with keyed_draws(code, [1]), pytest.raises(ValueError, match="one key per sample"):
        code(x)


def test_results_do_not_depend_on_the_batch(digits):
    x, y = digits.x[:9], digits.y[:9]
    whole = made(digits.poisson, batch_size=16).generate(x, y)
    pieces = made(digits.poisson, batch_size=2).generate(x, y)
    assert np.array_equal(whole, pieces)


def test_no_single_unlucky_draw_is_a_success(digits):
    attack = made(digits.poisson, eps=1e-6, max_iter=12)
    attack.generate(digits.x, digits.y)
    with torch.no_grad():
        victim = Victim(digits.poisson, votes=1)
        x = torch.tensor(digits.x)
        decisions = np.stack([victim.decide(x, list(range(len(x))), salt=i).numpy() for i in range(20)])
    unlucky = (decisions != digits.y).any(0) & ~attack.last_run.initially_wrong
    assert unlucky.sum() > attack.last_run.success.sum()


def test_votes_and_draws_are_paid(digits):
    attack = made(digits.poisson, eps=1e-6, max_iter=3)
    attack.generate(digits.x, digits.y)
    run = attack.last_run
    standing = ~run.initially_wrong & ~run.success
    assert (run.backwards[standing] == 3 * 2).all()
    assert (run.forwards[standing] == 5 + 4 * 2 + 3 * 5).all()


def test_defaults_are_ten_draws_and_ten_votes(digits):
    victim = Victim(digits.poisson)
    assert (victim.eot, victim.votes) == (10, 10)
    assert (Victim(digits.snn).eot, Victim(digits.snn).votes) == (1, 1)


def test_the_networks_own_averaging_is_put_back(digits):
    net = digits.poisson.model
    net.eot = 4
    try:
        made(digits.poisson).generate(digits.x[:2], digits.y[:2])
        assert net.eot == 4
    finally:
        net.eot = 1


def test_query_attacks_vote_too(digits):
    attack = SNNSquare(digits.poisson, eps=0.4, max_iter=10, eot=1, votes=5)
    attack.generate(digits.x, digits.y)
    assert attack.last_run.success.any()

"""Bounds and certificates against exact laws: every train, every displacement, every classifier that can be worst."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from art.attacks.evasion import ProjectedGradientDescent
from scipy.stats import chisquare
from spikingjelly.activation_based import neuron
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import HammingFW, SpikeRetiming
from art_snn.coding import EventFrames, MeanCurrent, Poisson, SpikeDropout, SpikeJitter, Transformed, jitter
from art_snn.coding.draws import SeededDraws
from art_snn.estimators import SmoothedSNN
from art_snn.networks import SpikingNetwork
from art_snn.threats.certificates import BernoulliL1, ChangedFrames, DropoutEdits, JitterDelay, JitterMoves
from art_snn.threats.smoothing_bounds import bernoulli_bound, dropout_bound, frame_bound, jitter_bound


@dataclass(frozen=True)
class Jitter:
    """A law of displacements."""

    J: float
    law: str = "uniform"


Law = dict[tuple[int, ...], float]
"""Probability of each outcome; an outcome is a bit mask per line."""

Train = tuple[int, ...]
"""One bit mask per line; bit t is a spike at step t."""


def times(line: int, T: int) -> list[int]:
    return [t for t in range(T) if line >> t & 1]


def displacement_law(J: float, law: str, T: int) -> list[tuple[int, float]]:
    if law == "uniform":
        return [(k, 1 / (2 * J + 1)) for k in range(-int(J), int(J) + 1)]
    p = math.exp(-1 / J)
    tail = [(k, (1 - p) / (1 + p) * p ** abs(k)) for k in range(-T + 1, T)]
    return [*tail, (-T, p**T / (1 + p)), (T, p**T / (1 + p))]


@functools.cache
def jitter_line(line: int, T: int, J: float, law: str) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    moves = displacement_law(J, law, T)
    for combination in itertools.product(moves, repeat=len(times(line, T))):
        outcome = 0
        for t, (k, _) in zip(times(line, T), combination, strict=True):
            outcome |= 1 << min(max(t + k, 0), T - 1)
        found[outcome] += math.prod(p for _, p in combination)
    return found


def dropout_line(line: int, T: int, keep: float) -> dict[int, float]:
    found: dict[int, float] = defaultdict(float)
    spikes = times(line, T)
    for kept in itertools.product([0, 1], repeat=len(spikes)):
        outcome = sum(1 << t for t, k in zip(spikes, kept, strict=True) if k)
        found[outcome] += keep ** sum(kept) * (1 - keep) ** (len(kept) - sum(kept))
    return found


def product(lines: Iterable[dict[int, float]]) -> Law:
    whole: Law = {(): 1.0}
    for line in lines:
        whole = {(*a, b): p * q for a, p in whole.items() for b, q in line.items()}
    return whole


def frames_law(train: Train, T: int, k: int) -> Law:
    found: Law = defaultdict(float)
    choices = list(itertools.combinations(range(T), k))
    for kept in choices:
        mask = sum(1 << t for t in kept)
        found[tuple(line & mask for line in train)] += 1 / len(choices)
    return found


def bernoulli_law(x: tuple[float, ...], T: int) -> Law:
    lines = [
        {m: math.prod(p if m >> t & 1 else 1 - p for t in range(T)) for m in range(2**T)} for p in x
    ]  # fmt: skip
    return product(lines)


def total_variation(a: Law, b: Law) -> float:
    return sum(abs(a.get(key, 0.0) - b.get(key, 0.0)) for key in a.keys() | b.keys()) / 2


def random_train(rng: np.random.Generator, T: int, d: int, rate: float = 0.4) -> Train:
    return tuple(int(sum(1 << t for t in range(T) if rng.random() < rate)) for _ in range(d))


def retimings(train: Train, T: int, jitter: int) -> Iterator[Train]:
    """Every train with the same number of spikes per line, each within ``jitter`` steps in order."""
    lines = []
    for line in train:
        clean = times(line, T)
        lines.append(
            [
                sum(1 << t for t in new)
                for new in itertools.combinations(range(T), len(clean))
                if all(abs(a - b) <= jitter for a, b in zip(clean, new, strict=True))
            ]
        )
    yield from itertools.product(*lines)


def shifts(a: Train, b: Train, T: int) -> list[int]:
    return [
        abs(s - t) for one, two in zip(a, b, strict=True) for s, t in zip(times(one, T), times(two, T), strict=True)
    ]


def edits(a: Train, b: Train) -> int:
    """Cells that differ, where an added and a removed spike make one move."""
    added = sum((two & ~one).bit_count() for one, two in zip(a, b, strict=True))
    removed = sum((one & ~two).bit_count() for one, two in zip(a, b, strict=True))
    return max(added, removed)


def jitter_law(train: Train, T: int, change: Jitter) -> Law:
    return product(jitter_line(line, T, change.J, change.law) for line in train)


def test_jitter_bound_is_above_the_exact_distance():
    rng, closest = np.random.default_rng(0), 0.0
    for _ in range(250):
        T, d, J = int(rng.integers(2, 8)), int(rng.integers(1, 4)), int(rng.integers(0, 4))
        a = random_train(rng, T, d, 0.3)
        b = tuple(sum(1 << t for t in rng.permutation(T)[: line.bit_count()].tolist()) for line in a)
        k = shifts(a, b, T)
        tv = total_variation(*(jitter_law(train, T, Jitter(J)) for train in (a, b)))
        each = 1 - math.prod(1 - min(1, one / (2 * J + 1)) for one in k)
        moved = [one for one in k if one]
        assert tv <= each + 1e-12
        for budget in ({"jitter": max(k, default=0), "moves": len(moved)}, {"delay": sum(k)}):
            assert each <= jitter_bound(J, **budget) + 1e-12
        assert each <= jitter_bound(J, max(k, default=0), sum(k), len(moved)) + 1e-12
        closest = max(closest, tv / each if each else 0.0)
    assert closest > 0.99


def test_dropout_bound_counts_a_move_once_and_is_tight():
    rng, closest = np.random.default_rng(1), 0.0
    for _ in range(250):
        T, d, q = int(rng.integers(1, 5)), int(rng.integers(1, 4)), float(rng.random())
        a, b = random_train(rng, T, d), random_train(rng, T, d)
        tv = total_variation(*(product(dropout_line(line, T, q) for line in train) for train in (a, b)))
        bound = dropout_bound(q, edits(a, b))
        assert tv <= bound + 1e-12
        closest = max(closest, tv / bound if bound else 0.0)
    assert closest > 0.99


def test_frame_bound():
    rng, closest = np.random.default_rng(2), 0.0
    for _ in range(200):
        T, d = int(rng.integers(1, 8)), int(rng.integers(1, 4))
        k = int(rng.integers(0, T + 1))
        a, b = random_train(rng, T, d), random_train(rng, T, d)
        changed = len({t for one, two in zip(a, b, strict=True) for t in times(one ^ two, T)})
        tv, bound = total_variation(frames_law(a, T, k), frames_law(b, T, k)), frame_bound(T, k, changed)
        assert tv <= bound + 1e-12
        closest = max(closest, tv / bound if bound else 0.0)
    assert closest > 0.99


def test_bernoulli_bound():
    rng, closest = np.random.default_rng(3), 0.0
    for _ in range(150):
        T, d = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        a, b = rng.random(d), rng.random(d)
        if rng.random() < 0.5:
            a, b = (np.eye(d)[0] * v for v in (rng.random() * 0.02, 0.0))
        bound = bernoulli_bound(float(np.abs(a - b).sum()), T)
        tv = total_variation(bernoulli_law(tuple(a), T), bernoulli_law(tuple(b), T))
        assert tv <= bound + 1e-12
        closest = max(closest, tv / bound)
    assert closest > 0.99


def worst_winner(clean: Law, attacked: Law, target: float) -> set[tuple[int, ...]]:
    """The answers of the classifier that gives class A at least ``target`` on the clean train and loses most."""
    ratio = sorted(clean, key=lambda z: attacked.get(z, 0.0) / clean[z])
    chosen: set[tuple[int, ...]] = set()
    total = 0.0
    for outcome in ratio:
        if total >= target:
            break
        chosen.add(outcome)
        total += clean[outcome]
    return chosen


def winner_stays(certificate, clean: Law, attacked: Law, budget: float, targets: Iterable[float]) -> int:
    """Check every target; the number of cases in which the certificate said yes."""
    checked = 0
    for target in targets:
        answers = worst_winner(clean, attacked, target)
        p = min(sum(clean[z] for z in answers), 1.0)
        if certificate.holds(p, budget):
            checked += 1
            assert sum(attacked.get(z, 0.0) for z in answers) > 0.5
    return checked


TARGETS = (0.55, 0.65, 0.75, 0.85, 0.95, 0.999)


@pytest.mark.parametrize("change", [Jitter(1), Jitter(3), Jitter(0.8, "laplace"), Jitter(2.0, "laplace")])
def test_no_retiming_inside_a_jitter_radius_flips_the_worst_classifier(change):
    rng, yes = np.random.default_rng(4), 0
    for _ in range(12):
        T, d = int(rng.integers(2, 8)), int(rng.integers(1, 4))
        train = random_train(rng, T, d, 1.2 / T)
        clean = jitter_law(train, T, change)
        for other in retimings(train, T, jitter=2):
            k = shifts(train, other, T)
            attacked = jitter_law(other, T, change)
            moves = JitterMoves(change.J, max([1, *k]), change.law)
            yes += winner_stays(moves, clean, attacked, sum(one > 0 for one in k), TARGETS)
            yes += winner_stays(JitterDelay(change.J, change.law), clean, attacked, sum(k), TARGETS)
    assert yes > 50


@pytest.mark.parametrize("keep", [0.1, 0.3, 0.7])
def test_no_edit_inside_a_dropout_radius_flips_the_worst_classifier(keep):
    rng, yes = np.random.default_rng(5), 0
    certificate = DropoutEdits(keep)
    for _ in range(60):
        T, d = int(rng.integers(1, 5)), int(rng.integers(1, 4))
        a = random_train(rng, T, d)
        flips = [(int(rng.integers(d)), int(rng.integers(T))) for _ in range(int(rng.integers(1, 4)))]
        b = list(a)
        for line, t in flips:
            b[line] ^= 1 << t
        clean, attacked = (product(dropout_line(line, T, keep) for line in train) for train in (a, tuple(b)))
        yes += winner_stays(certificate, clean, attacked, edits(a, tuple(b)), TARGETS)
    assert yes > 20


def test_no_frame_inside_a_frame_radius_flips_the_worst_classifier():
    rng, yes = np.random.default_rng(6), 0
    for _ in range(80):
        T, d = int(rng.integers(3, 8)), int(rng.integers(1, 4))
        k = int(rng.integers(1, T // 2 + 1))
        a = random_train(rng, T, d)
        changed = rng.permutation(T)[: int(rng.integers(1, T))].tolist()
        b = tuple(line ^ sum(1 << t for t in changed if rng.random() < 0.7) for line in a)
        real = len({t for one, two in zip(a, b, strict=True) for t in times(one ^ two, T)})
        certificate = ChangedFrames(k, T)
        yes += winner_stays(certificate, frames_law(a, T, k), frames_law(b, T, k), real, TARGETS)
    assert yes > 20


def test_no_pixel_change_inside_a_bernoulli_radius_flips_the_worst_classifier():
    rng, yes = np.random.default_rng(7), 0
    for _ in range(40):
        T, d = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        x = rng.random(d)
        delta = rng.normal(size=d) * (rng.random(d) < 0.6)
        delta *= rng.random() * 0.3 / max(np.abs(delta).sum(), 1e-9)
        other = (x + delta).clip(0, 1)
        clean, attacked = bernoulli_law(tuple(x), T), bernoulli_law(tuple(other), T)
        yes += winner_stays(BernoulliL1(T), clean, attacked, float(np.abs(other - x).sum()), TARGETS)
    assert yes > 20


def tiny_network(seed: int, T: int, d: int) -> SpikingNetwork:
    generator = torch.Generator().manual_seed(seed)
    body = nn.Sequential(nn.Linear(d, 6), neuron.LIFNode(tau=2.0, step_mode="m"), nn.Linear(6, 3))
    with torch.no_grad():
        for parameter in body.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 1.5)
    return SpikingNetwork(EventFrames(T), body, MeanCurrent()).eval()


def answers_of(net: SpikingNetwork, outcomes: list[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    grid = torch.tensor([[[line >> t & 1 for line in one] for t in range(net.T)] for one in outcomes])
    with torch.no_grad():
        return dict(zip(outcomes, net(grid.float()).argmax(1).tolist(), strict=True))


def shares(law: Law, answers: dict[tuple[int, ...], int]) -> np.ndarray:
    votes = np.zeros(3)
    for outcome, p in law.items():
        votes[answers[outcome]] += p
    return votes


@pytest.mark.parametrize(("T", "d"), [(4, 3), (6, 2), (7, 1)])
def test_exhaustive_retiming_of_tiny_spiking_networks(T, d):
    every = list(itertools.product(range(2**T), repeat=d))
    rng, radii, tried = np.random.default_rng(8), Counter(), 0
    for seed in range(3):
        answers = answers_of(tiny_network(seed, T, d), every)
        for J in (1, 2, 4):
            train = random_train(rng, T, d, 0.45)
            votes = shares(jitter_law(train, T, Jitter(J)), answers)
            winner, p = int(votes.argmax()), float(votes.max())
            for reach in (1, 2):
                certificate = JitterMoves(J, reach)
                radius = certificate.radius(p)
                radii[radius] += 1
                for other in retimings(train, T, reach):
                    if 0 < sum(k > 0 for k in shifts(train, other, T)) <= radius:
                        tried += 1
                        attacked = shares(jitter_law(other, T, Jitter(J)), answers)
                        assert attacked[winner] > 0.5
    assert tried > 30, radii


@pytest.mark.parametrize(("T", "d"), [(3, 2), (4, 1), (2, 3)])
def test_exhaustive_edits_of_tiny_spiking_networks(T, d):
    every = list(itertools.product(range(2**T), repeat=d))
    rng, tried = np.random.default_rng(9), 0
    for seed in range(6):
        answers = answers_of(tiny_network(seed, T, d), every)
        for keep in (0.1, 0.3, 0.6):
            train = random_train(rng, T, d)
            votes = shares(product(dropout_line(line, T, keep) for line in train), answers)
            winner, radius = int(votes.argmax()), DropoutEdits(keep).radius(float(votes.max()))
            for other in every:
                if 0 < edits(train, other) <= radius:
                    tried += 1
                    attacked = shares(product(dropout_line(line, T, keep) for line in other), answers)
                    assert attacked[winner] > 0.5
    assert tried > 100


def as_array(train: Train, T: int) -> np.ndarray:
    return np.array([[[line >> t & 1 for line in train] for t in range(T)]], dtype=np.float32)


def as_train(s: np.ndarray) -> Train:
    return tuple(int(sum(1 << t for t in np.flatnonzero(line).tolist())) for line in s[0].T)


def smoothed(net: SpikingNetwork, transform, T: int, d: int) -> SNNClassifier:
    network = SpikingNetwork(Transformed(EventFrames(T), transform), net.body, net.decoder)
    return SNNClassifier(network, nn.CrossEntropyLoss(), (T, d), 3, clip_values=(0.0, 1.0), device_type="cpu")


def test_attacks_inside_the_budget_hurt_but_never_break_a_certified_sample():
    """SpikeRetiming and HammingFW on smoothed tiny networks, judged by exact probabilities."""
    T, d, rng = 5, 2, np.random.default_rng(10)
    every = list(itertools.product(range(2**T), repeat=d))
    tried, hurt = 0, 0
    kinds = (
        (SpikeJitter(1), lambda s: jitter_law(s, T, Jitter(1)), JitterMoves(1, 1),
         lambda clf, k: SpikeRetiming(clf, jitter=1, moves=k, max_iter=4, eot=4, votes=3)),
        (SpikeDropout(0.4), lambda s: product(dropout_line(line, T, 0.4) for line in s), DropoutEdits(0.4),
         lambda clf, k: HammingFW(clf, k=k, max_iter=4, eot=4, votes=3)),
    )  # fmt: skip
    for seed in range(150):
        net = tiny_network(seed, T, d)
        answers = answers_of(net, every)
        train = random_train(rng, T, d, 0.5)
        for transform, law, certificate, build in kinds:
            votes = shares(law(train), answers)
            winner, radius = int(votes.argmax()), int(certificate.radius(float(votes.max())))
            if radius == 0 or votes.max() > 1 - 1e-9 or min(train) in (0, 2**T - 1) or tried == 8:
                continue
            attack = build(smoothed(net, transform, T, d), radius)
            other = as_train(attack.generate(as_array(train, T), np.array([winner])))
            after = shares(law(other), answers)
            tried += 1
            hurt += int(after[winner] < votes[winner] - 1e-6)
            assert after[winner] > 0.5
    assert tried > 4
    assert hurt > 0  # the attack is not idle


def test_pgd_on_the_expected_softmax_never_leaves_a_bernoulli_certificate():
    T, d, safe = 2, 2, 0
    every = list(itertools.product(range(2**T), repeat=d))
    for seed in range(12):
        net = tiny_network(seed, T, d)
        answers = answers_of(net, every)
        x = np.random.default_rng(seed).random((1, d)).astype(np.float32)
        votes = shares(bernoulli_law(tuple(x[0].tolist()), T), answers)
        radius = BernoulliL1(T).radius(float(votes.max()))
        if radius == 0:
            continue
        network = SpikingNetwork(Poisson(T), net.body, net.decoder, eot=20)
        clf = SmoothedSNN(network, nn.CrossEntropyLoss(), (d,), 3, clip_values=(0.0, 1.0), device_type="cpu")
        attack = ProjectedGradientDescent(clf, norm=1, eps=radius, eps_step=radius / 3, max_iter=6, verbose=False)
        x_adv = attack.generate(x, votes.argmax(keepdims=True))
        used = float(np.abs(x_adv - x).astype(np.float64).sum())
        assert used <= radius * (1 + 1e-5)
        after = shares(bernoulli_law(tuple(x_adv[0].tolist()), T), answers)
        safe += 1
        assert after.argmax() == votes.argmax()
    assert safe > 4


def test_a_bound_without_T_is_unsound_and_ours_is_not():
    """Majority over T bits of one pixel: the claim p - 1/2 lies beyond the change that flips it."""
    for T, claimed, ours in ((3, 0.284, 0.105), (41, 0.496, None)):
        win = sum(math.comb(T, k) * 0.7**k * 0.3 ** (T - k) for k in range(T // 2 + 1, T + 1))
        flipped = sum(math.comb(T, k) * 0.499**k * 0.501 ** (T - k) for k in range(T // 2 + 1, T + 1))
        assert flipped < 0.5
        assert win - 0.5 == pytest.approx(claimed, abs=1e-3)
        assert win - 0.5 > 0.201 > BernoulliL1(T).radius(win)
        if ours is not None:
            assert BernoulliL1(T).radius(win) == pytest.approx(ours, abs=1e-3)


@pytest.mark.parametrize("change", [Jitter(1), Jitter(2), Jitter(0.7, "laplace")])
def test_the_sampler_draws_the_law_that_is_certified(change):
    train, T, n = (0b01100, 0b10001), 5, 20_000
    s = torch.tensor([[[line >> t & 1 for line in train]] for t in range(T)]).float().expand(T, n, 2)
    seen = jitter(s, change.J, SeededDraws(0), change.law)
    masks = (seen * 2.0 ** torch.arange(T)[:, None, None]).sum(0).long()
    counts = Counter(map(tuple, masks.tolist()))
    law = jitter_law(train, T, change)
    assert set(counts) <= set(law)
    frequent = {z: p for z, p in law.items() if p * n >= 5}
    rest = 1 - sum(frequent.values())
    observed = [counts[z] for z in frequent] + [n - sum(counts[z] for z in frequent)]
    expected = [p * n for p in frequent.values()] + [rest * n]
    keep = slice(None) if rest * n > 5 else slice(-1)
    got, want = np.array(observed[keep], float), np.array(expected[keep])
    assert chisquare(got, want * got.sum() / want.sum()).pvalue > 1e-3

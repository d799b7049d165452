"""Spike-train distances against their definitions, and the pictures."""

import itertools

import hypothesis.strategies as st
import matplotlib as mpl
import pytest
import torch
from hypothesis import given, settings

from art_snn.coding import count_histogram, latency_histogram, raster, spike_times, van_rossum, victor_purpura

mpl.use("Agg")
TRAIN = st.lists(st.integers(0, 40), max_size=4, unique=True).map(lambda t: torch.tensor(sorted(t), dtype=torch.double))


@settings(max_examples=40, deadline=None)
@given(a=TRAIN, b=TRAIN, tau=st.sampled_from([0.7, 3.0, 20.0]))
def test_van_rossum_is_the_filtered_integral(a, b, tau):
    t = torch.arange(0, 60 + 15 * tau, tau / 400).double()

    def filtered(train):
        late = t[:, None] - train
        return (torch.exp(-late.clamp(min=0) / tau) * (late >= 0)).sum(1)

    integral = torch.trapezoid((filtered(a) - filtered(b)) ** 2, t).item() / tau
    assert van_rossum(a, b, tau) ** 2 == pytest.approx(integral, abs=0.03)


def test_van_rossum_limits():
    a, b = torch.tensor([2.0]), torch.tensor([5.0])
    assert van_rossum(a, b, 1e-3) == pytest.approx(1.0)
    assert van_rossum(a, b, 1e9) == pytest.approx(0.0, abs=1e-4)
    assert van_rossum(a, torch.tensor([2.0 + 0.5]), 2.0) ** 2 == pytest.approx(
        1 - torch.exp(torch.tensor(-0.25)).item()
    )


def cheapest(a, b, q):
    """Every way of pairing spikes, in order."""
    a, b = a.tolist(), b.tolist()
    best = len(a) + len(b)
    for k in range(1, min(len(a), len(b)) + 1):
        for left in itertools.combinations(a, k):
            for right in itertools.combinations(b, k):
                moved = sum(q * abs(t - u) for t, u in zip(left, right, strict=True))
                best = min(best, len(a) + len(b) - 2 * k + moved)
    return best


@settings(max_examples=60, deadline=None)
@given(a=TRAIN, b=TRAIN, q=st.sampled_from([0.0, 0.05, 0.3, 2.0]))
def test_victor_purpura_is_the_cheapest_pairing(a, b, q):
    distance = victor_purpura(a, b, q)
    assert distance == pytest.approx(cheapest(a, b, q))
    assert distance == pytest.approx(victor_purpura(b, a, q))
    assert victor_purpura(a, a, q) == 0
    assert victor_purpura(a, b, 0.0) == abs(len(a) - len(b))


@settings(max_examples=30, deadline=None)
@given(a=TRAIN, b=TRAIN, c=TRAIN)
def test_triangle_inequality(a, b, c):
    for distance in (lambda x, y: victor_purpura(x, y, 0.2), lambda x, y: van_rossum(x, y, 4.0)):
        assert distance(a, c) <= distance(a, b) + distance(b, c) + 1e-9


def test_times_and_errors():
    s = torch.zeros(5, 2, 2)
    s[1, 0, 1] = s[4, 0, 1] = 1
    assert [t.tolist() for t in spike_times(s)] == [[], [1.0, 4.0], [], []]
    with pytest.raises(ValueError, match="one-dimensional"):
        van_rossum(s, s, 1.0)
    with pytest.raises(ValueError, match="tau"):
        van_rossum(torch.zeros(1), torch.zeros(1), 0.0)
    with pytest.raises(ValueError, match="q="):
        victor_purpura(torch.zeros(1), torch.zeros(1), -1.0)


def test_pictures():
    from matplotlib import pyplot as plt

    s = torch.zeros(6, 1, 3)
    s[2, 0, 0] = s[3, 0, 0] = s[4, 0, 1] = 1
    figure, axes = plt.subplots(1, 3)
    assert raster(s, axes[0]) is axes[0]
    assert sorted(map(tuple, axes[0].collections[0].get_offsets().tolist())) == [(2, 0), (3, 0), (4, 1)]
    assert [bar.get_height() for bar in latency_histogram(s, axes[1]).patches] == [0, 0, 1, 0, 1, 0, 1]
    assert [bar.get_height() for bar in count_histogram(s, axes[2]).patches] == [1, 1, 1, 0, 0, 0, 0]
    plt.close(figure)
    with pytest.raises(ValueError, match="unit"):
        raster(torch.zeros(4))

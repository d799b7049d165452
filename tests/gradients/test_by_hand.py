"""Two neurons, three steps: every policy's input gradient, written out in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import nn

from art_snn.coding import Direct, MembraneMean
from art_snn.gradients import ASSG, BPTR, HART, PDSG, RGA, ANNTwin, StraightThrough, Surrogate
from art_snn.networks import SpikingNetwork

W1, W2, X = ((1.4, -0.3), (0.5, 0.9)), ((1.0, -0.7), (0.4, 1.2)), (0.9, 0.6)
CURRENT = [sum(W1[j][i] * X[i] for i in range(2)) for j in range(2)]
DELTA = [(W2[0][j] - W2[1][j]) / 3 for j in range(2)]


def simulate(current: float) -> tuple[list[float], list[float]]:
    """Membranes before the reset, and spikes: leak 1/2, threshold 1, hard reset."""
    m, membranes, spikes = 0.0, [], []
    for _ in range(3):
        u = 0.5 * m + current
        s = float(u >= 1)
        m = (1 - s) * u
        membranes.append(u)
        spikes.append(s)
    return membranes, spikes


U, S = zip(*(simulate(current) for current in CURRENT), strict=True)


def through_time(slopes: Callable[[int], list[float]]) -> list[list[float]]:
    """e_t = delta h_t + (1/2)(1 - s_t) e_{t+1}, reset detached."""
    rows = []
    for j in range(2):
        e, row = 0.0, []
        for t in (2, 1, 0):
            e = DELTA[j] * slopes(j)[t] + 0.5 * (1 - S[j][t]) * e
            row.append(e)
        rows.append(row)
    return rows


def by_rate(kappa: Callable[[int], float]) -> list[list[float]]:
    return [[kappa(j) * DELTA[j]] * 3 for j in range(2)]


def atan(j: int) -> list[float]:
    return [2 / (1 + (2 * math.pi * (u - 1)) ** 2) for u in U[j]]


def triangle(j: int) -> list[float]:
    return [max(0.0, 1 - abs(u - 1) / 0.8) / 0.8 for u in U[j]]


def potential(j: int) -> list[float]:
    slopes = []
    for t in range(3):
        seen = [U[k][step] for k in range(2) for step in range(t + 1)]
        mean = sum(seen) / len(seen)
        sigma = math.sqrt(sum((u - mean) ** 2 for u in seen) / len(seen))
        v = U[j][t] - 1
        slopes.append(math.exp(-((v - sigma / 2) ** 2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma))
    return slopes


def adaptive(j: int) -> list[float]:
    w, slopes = 2 / math.pi * math.tan(0.42 * math.pi), []
    for u in U[j]:
        size = abs(u - 1)
        mean = 0.9 + 0.1 * size
        alpha = w / (mean + 1.5 * 0.1 * abs(size - mean) + 1e-4)
        slopes.append(alpha / 2 / (1 + (math.pi * alpha * size / 2) ** 2))
    return slopes


def rate(j: int) -> float:
    return 0.2 if 0 <= CURRENT[j] <= 0.5 else 0.6 if 0.5 < CURRENT[j] <= 2 else 0.0


CASES = {
    "bptt": (Surrogate("atan", 4.0), through_time(atan)),
    "ste": (StraightThrough(), through_time(lambda j: [1.0] * 3)),
    "pdsg": (PDSG(), through_time(potential)),
    "assg": (ASSG(0.42), through_time(adaptive)),
    "bptr": (BPTR(), by_rate(lambda j: float(sum(S[j]) > 0))),
    "rga": (RGA(), by_rate(rate)),
    "twin": (ANNTwin(), by_rate(lambda j: float(0 < CURRENT[j] < 1))),
    "hart": (HART(0.8), by_rate(lambda j: sum(triangle(j)) / 3)),
}


@pytest.mark.parametrize("mode", ["m", "s"])
@pytest.mark.parametrize("name", CASES)
def test_two_neurons_and_three_steps(name: str, mode: str) -> None:
    if name == "hart" and mode == "s":
        pytest.skip("needs the whole train at once")
    policy, g_current = CASES[name]
    first, last = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    first.weight.data, last.weight.data = (torch.tensor(w, dtype=torch.float64) for w in (W1, W2))
    lif = neuron.LIFNode(2.0, False, detach_reset=True, step_mode=mode)
    net = SpikingNetwork(Direct(T=3), nn.Sequential(first, lif, last), MembraneMean(tau=1.0)).double().eval()
    x = torch.tensor([X], dtype=torch.float64, requires_grad=True)
    with net.gradient(policy), policy.attack_scope([0]):
        z = net(x)
    g = torch.autograd.grad(z[0, 0] - z[0, 1], x)[0][0]
    by_hand = [sum(W1[j][i] * sum(g_current[j]) for j in range(2)) for i in range(2)]
    assert g.tolist() == pytest.approx(by_hand, rel=1e-10)
    assert g.abs().sum() > 0

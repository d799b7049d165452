"""The codes that SpikingJelly has too, against it (freshly reset, since its encoders keep the first batch)."""

import pytest
import torch
from spikingjelly.activation_based import encoding

from art_snn.coding import Latency, WeightedPhase


@pytest.mark.parametrize("T", [2, 4, 10, 20])
@pytest.mark.parametrize("convention", ["linear", "log"])
def test_latency(T, convention):
    x = torch.rand(3, 200, generator=torch.Generator().manual_seed(T))
    oracle = encoding.LatencyEncoder(T, convention)
    assert torch.equal(torch.stack([oracle(x) for _ in range(T)]), Latency(T, convention)(x))


def test_phase():
    x = torch.rand(3, 200, generator=torch.Generator().manual_seed(0)) * (1 - 2**-8)
    oracle = encoding.WeightedPhaseEncoder(8)
    assert torch.equal(torch.stack([oracle(x) for _ in range(8)]), WeightedPhase(8)(x))


def test_what_the_oracle_cannot_do():
    """No replay of the first batch, a gradient, and 'log' at T = 100."""
    code = Latency(100, "log")
    first, second = (torch.rand(1, 5, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    code(first)
    assert torch.equal(code(second), Latency(100, "log")(second))
    second.requires_grad_(True)
    assert code(second).requires_grad

"""On a trained network: the default gradient is no weaker than the published masked one."""

import json

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from art_snn import coding
from art_snn.coding import EarlyBurst, Encoder, Latency, MeanCurrent, RateSyn, WeightedPhase
from art_snn.networks import describe, load, mlp, save


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return torch.tensor(data.images / 16).float()[:, None], torch.tensor(data.target)


def trained(code, x, y):
    net = mlp((1, 8, 8), 10, hidden=(48,), encoder=code, decoder=MeanCurrent())
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        for rows in torch.randperm(1000, generator=generator).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    return net.eval()


def robust(net, x, y, backward, eps=0.1, steps=15):
    """Accuracy under signed gradient steps from the input, the best point of each sample kept."""
    net.encoder.backward = backward
    moved, alive = x.clone(), net(x).argmax(1) == y
    for _ in range(steps):
        leaf = moved.clone().requires_grad_(True)
        (grad,) = torch.autograd.grad(nn.functional.cross_entropy(net(leaf), y, reduction="sum"), leaf)
        moved = (moved + 0.03 * grad.sign()).clamp(x - eps, x + eps).clamp(0, 1)
        with torch.no_grad():
            alive &= net(moved).argmax(1) == y
    return alive.float().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize("code", [EarlyBurst, RateSyn, Latency, WeightedPhase])
def test_no_honest_gradient_is_weaker_than_the_masked_one(digits, code):
    x, y = digits
    net = trained(code(8, clip=True) if code is WeightedPhase else code(8), x, y)
    held_out, labels = x[1000:1400], y[1000:1400]
    masked = robust(net, held_out, labels, "masked")
    clean = robust(net, held_out, labels, "none")
    assert clean > 0.8
    for backward in code.backwards:
        if backward not in ("masked", "none"):
            assert robust(net, held_out, labels, backward) <= masked + 0.01, backward


BY_HAND = (
    "Encoder", "Fusion", "Filtered", "MeanOverTime", "Transformed", "Delta", "EventFrames", "Population", "ZTime",
)  # fmt: skip


def test_recipes_survive_the_disk(tmp_path):
    """Every code that is a plain set of arguments is rebuilt from its JSON."""
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for name in coding.__all__:
        kind = getattr(coding, name)
        if not (isinstance(kind, type) and issubclass(kind, Encoder)):
            continue
        if name in BY_HAND:
            continue
        code = kind(8)
        net = mlp((1, 8, 8), 10, hidden=(8,), encoder=code)
        assert json.loads(json.dumps(describe(net)))["encoder"]["name"] == name
        again = load(save(net, tmp_path / "net.safetensors"))
        net.reseed(0), again.reseed(0)
        assert torch.equal(net.eval()(x), again(x))
        assert again.encoder.config() == code.config()

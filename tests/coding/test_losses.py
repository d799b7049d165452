"""Losses of output trains: gradients and values in closed form."""

import math

import pytest
import torch

from art_snn.coding import (
    TET,
    CountLoss,
    KernelLoss,
    LatencyLoss,
    RelativeTargetLoss,
    count_loss,
    first_spike,
    latency_loss,
    relative_target,
    s4nn_error,
    tet,
)  # fmt: skip
from art_snn.coding.filtered import psp

Y = torch.tensor([0, 2, 1])


def trains(seed=0, T=6, rate=0.3):
    return (torch.rand(T, 3, 4, generator=torch.Generator().manual_seed(seed)) < rate).double()


def test_count_loss_gradient_is_its_delta():
    o = trains().requires_grad_(True)
    (grad,) = torch.autograd.grad(count_loss(o, Y, desired=3, undesired=1), o)
    n = o.detach().sum(0)
    for sample, label in enumerate(Y.tolist()):
        for k in range(4):
            delta = (n[sample, k] - (3 if k == label else 1)) / 6
            delta = min(delta, 0) if k == label else max(delta, 0)
            assert torch.allclose(grad[:, sample, k], torch.full((6,), float(delta)).double())
    delta = grad[0]
    assert torch.isclose(CountLoss(3, 1)(o, Y), 3 * (delta**2).sum())


def test_latency_losses():
    o = trains(1)
    worth = first_spike(o)
    cross_entropy = torch.nn.functional.cross_entropy
    assert torch.isclose(latency_loss(o, Y, "2"), cross_entropy(worth, Y))
    assert torch.isclose(latency_loss(o, Y, "3"), cross_entropy(2 * (worth - 6), Y))
    assert torch.isclose(latency_loss(o, Y, "antlr"), cross_entropy(worth / 6, Y))


def test_latency_one_is_bounded_as_stated():
    T, y = 8, torch.tensor([3])
    best, worst = torch.zeros(T, 1, 10), torch.zeros(T, 1, 10)
    best[0, 0, 3] = 1
    worst[0, 0, 5] = 1
    low, high = (LatencyLoss("1", beta=50.0)(o, y).item() for o in (best, worst))
    assert low == pytest.approx(-1 + math.log(math.e + 9), abs=1e-4) == pytest.approx(1.461, abs=1e-3)
    assert high == pytest.approx(math.log(math.e + 9), abs=1e-4) == pytest.approx(2.461, abs=1e-3)


def test_tet_is_the_mean_of_the_steps_and_bounds_the_mean():
    o = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(2)).double()
    cross_entropy = torch.nn.functional.cross_entropy
    steps = torch.stack([cross_entropy(step, Y) for step in o]).mean()
    assert torch.isclose(tet(o, Y), steps)
    assert tet(o, Y) >= cross_entropy(o.mean(0), Y)
    assert torch.isclose(TET(0.1, phi=2.0)(o, Y), 0.9 * steps + 0.1 * ((o - 2) ** 2).mean())
    same = o[:1].expand(5, 3, 4)
    assert torch.isclose(tet(same, Y), cross_entropy(o[0], Y))


def test_kernel_loss():
    o = trains(3, T=5)
    target = torch.zeros(5, 3, 4).double()
    for sample, label in enumerate(Y.tolist()):
        target[1:, sample, label] = 1
    assert torch.isclose(KernelLoss()(o, Y), 0.5 * ((psp(o, 3.0) - psp(target, 3.0)) ** 2).sum())
    assert KernelLoss()(target, Y) == 0
    with pytest.raises(ValueError, match="equal lengths"):
        KernelLoss(target=[0, 1])(o, Y)


def test_relative_targets_by_hand():
    tau = torch.tensor([[4.0, 2.0, 9.0], [10.0, 10.0, 10.0], [3.0, 9.0, 4.0]])
    y = torch.tensor([0, 1, 0])
    target = relative_target(tau, y, 10)
    assert target.tolist() == [[2, 5, 9], [10, 7, 10], [3, 9, 6]]
    error = s4nn_error(tau, y, 10)
    assert torch.allclose(error.norm(dim=1), torch.ones(3))
    assert s4nn_error(torch.tensor([[1.0, 9.0]]), torch.tensor([0]), 10).tolist() == [[0.0, 0.0]]


def test_relative_target_pulls_the_label_forward_and_pushes_rivals_back():
    o = torch.zeros(10, 1, 3).double()
    o[4, 0, 0] = o[2, 0, 1] = 1
    o.requires_grad_(True)
    (grad,) = torch.autograd.grad(RelativeTargetLoss()(o, torch.tensor([0])), o)
    assert grad[4, 0, 0] < 0
    assert grad[2, 0, 1] > 0


@pytest.mark.parametrize("loss", [CountLoss(2), LatencyLoss(), TET(), KernelLoss(), RelativeTargetLoss()], ids=repr)
def test_arguments_are_checked(loss):
    o = trains()
    assert torch.isfinite(loss(torch.zeros_like(o), Y))
    with pytest.raises(ValueError, match=r"\[T, N, K\]"):
        loss(o[0], Y)
    with pytest.raises(ValueError, match="labels in"):
        loss(o, Y + 2)
    with pytest.raises(ValueError, match="class indices"):
        loss(o, Y[:2])

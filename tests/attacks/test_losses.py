import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from art_snn.attacks.evasion import losses

COUNTS = st.lists(st.integers(0, 4), min_size=5, max_size=5)


@settings(max_examples=60, deadline=None)
@given(COUNTS, st.integers(0, 4))
@pytest.mark.parametrize("name", ["ce", "margin", "dlr"])
def test_losses_and_gradients_are_finite_on_rates_that_tie(name, counts, label):
    z = (torch.tensor([counts]).double() / 4).requires_grad_(True)
    loss = losses.LOSSES[name](z, torch.tensor([label]))
    grad = torch.autograd.grad(loss.sum(), z)[0]
    assert bool(torch.isfinite(loss).all())
    assert bool(torch.isfinite(grad).all())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_signs_agree_with_the_decision(seed):
    z = torch.randn(16, 6, generator=torch.Generator().manual_seed(seed)).double()
    y = torch.arange(16) % 6
    wrong = z.argmax(1) != y
    for name in ("margin", "dlr"):
        assert torch.equal(losses.LOSSES[name](z, y) > 0, wrong)


def test_values_by_hand():
    z, y, t = torch.tensor([[4.0, 3.0, 1.0, 0.0]]), torch.tensor([0]), torch.tensor([2])
    assert losses.margin(z, y).item() == -1.0
    assert losses.dlr(z, y).item() == pytest.approx(-1 / 3)
    assert losses.difference(z, y, t).item() == -3.0
    assert losses.dlr_targeted(z, y, t).item() == pytest.approx(-3 / 3.5)
    assert losses.towards("margin", z, y).item() == 1.0


def test_dlr_has_a_floor_where_three_tie():
    z = torch.tensor([[2.0, 2.0, 2.0, 1.0]], requires_grad=True)
    loss = losses.dlr(z, torch.tensor([3]))
    assert loss.item() == 1.0
    assert bool(torch.isfinite(torch.autograd.grad(loss.sum(), z)[0]).all())


def test_ties_share_the_gradient():
    z = torch.tensor([[0.0, 2.0, 2.0]], requires_grad=True)
    grad = torch.autograd.grad(losses.margin(z, torch.tensor([0])).sum(), z)[0]
    assert grad.tolist() == [[-1.0, 0.5, 0.5]]


def test_dlr_does_not_depend_on_the_scale():
    z, y = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)).double(), torch.zeros(8, dtype=torch.long)
    torch.testing.assert_close(losses.dlr(z, y), losses.dlr(7 * z + 3, y))

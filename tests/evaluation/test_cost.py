"""Counting what passes through a model, by hand."""

import pytest
import torch
from torch import nn

from art_snn.coding import Direct, Poisson
from art_snn.evaluation.cost import counted
from art_snn.networks import mlp


@pytest.mark.parametrize(
    "model", [nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), mlp((1, 8, 8), 3, encoder=Direct(T=2))]
)
def test_samples_forward_and_backward(model):
    x = torch.rand(5, 1, 8, 8)
    with counted(model) as cost:
        model(x.requires_grad_(True)).sum().backward()
        with torch.no_grad():
            model(x[:2])
    assert (cost.forwards, cost.backwards) == (7, 5)
    assert cost.seconds > 0
    model(x)
    assert cost.forwards == 7


def test_draws_of_a_stochastic_network_count():
    net = mlp((1, 8, 8), 3, encoder=Poisson(T=2))
    net.eot, net.votes = 3, 4
    x = torch.rand(5, 1, 8, 8)
    with counted(net) as cost:
        net(x.clone().requires_grad_(True)).sum().backward()
        with torch.no_grad():
            net(x)
    assert (cost.forwards, cost.backwards) == (15 + 20, 15)


def test_children_of_a_sequential_called_one_by_one():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    x = torch.rand(5, 1, 8, 8)
    with counted(model) as cost:
        for child in model:
            x = child(x)
    assert cost.forwards == 5


class Pair(nn.Linear):
    """Logits, and something beside them."""

    def forward(self, x):
        return super().forward(x), x


def test_a_model_without_one_output_is_no_sample_forward():
    model = Pair(4, 3)
    with counted(model) as cost:
        model(torch.rand(5, 4))[0].sum().backward()
    assert (cost.forwards, cost.backwards) == (0, 0)

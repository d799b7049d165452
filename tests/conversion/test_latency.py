"""Operation counts against hand counts."""

import pytest
import torch
from torch import nn

from art_snn.coding import MeanCurrent
from art_snn.conversion import QCFS, convert, operations


def test_dense_layer_by_hand():
    layer = nn.Linear(3, 4)
    layer.weight.data = torch.ones(4, 3)
    layer.weight.data[0, 0] = 0
    counted = operations(layer, torch.tensor([[1.0, 0.0, 1.0], [0.5, 2.0, 0.0]]))
    assert counted.synaptic == (3 + 4 + 3 + 4) / 2
    assert counted.dense == 12


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 2)])
def test_convolution_by_brute_force(stride, groups):
    torch.manual_seed(0)
    layer = nn.Conv2d(2, 4, 3, stride=stride, padding=1, groups=groups)
    x = (torch.rand(1, 2, 5, 5) > 0.5).float()
    dense = effective = 0
    padded, inside = nn.functional.pad(x, (1, 1, 1, 1)), nn.functional.pad(torch.ones_like(x), (1, 1, 1, 1))
    out = layer(x).shape[-1]
    per_group = 2 // groups
    for o in range(4):
        group = o // (4 // groups)
        for i in range(per_group):
            for r in range(out):
                for c in range(out):
                    window = (
                        0,
                        group * per_group + i,
                        slice(r * stride, r * stride + 3),
                        slice(c * stride, c * stride + 3),
                    )
                    dense += float(inside[window].sum())
                    effective += float((padded[window] != 0).sum())
    counted = operations(layer, x)
    assert (counted.dense, counted.accumulates, counted.multiplies) == (dense, effective, 0)


def test_spikes_add_and_direct_input_multiplies():
    model = nn.Sequential(nn.Linear(4, 6), QCFS(4, 1.0), nn.Linear(6, 3))
    net = convert(model, T=4)
    x = torch.rand(10, 4) + 0.1
    counted = operations(net, x)
    assert counted.multiplies == 4 * 4 * 6
    rate = counted.rates["body.graph.1"]
    assert counted.accumulates == pytest.approx(rate * 6 * 4 * 3)
    assert counted.dense == 4 * (24 + 18)
    assert counted.rate == rate


def test_read_out_skips_the_steps_that_do_not_count():
    o = torch.rand(6, 3, 2)
    assert torch.equal(MeanCurrent(skip=2)(o), o[2:].mean(0))
    assert MeanCurrent(skip=2).config() == {"skip": 2}
    with pytest.raises(ValueError, match="at least one step left"):
        MeanCurrent(skip=6)(o)
    with pytest.raises(ValueError, match="at least 0"):
        MeanCurrent(skip=-1)


def test_counting_leaves_the_network_alone():
    model = nn.Sequential(nn.Linear(4, 6), QCFS(4, 1.0), nn.Linear(6, 3))
    net = convert(model, T=4)
    x = torch.rand(5, 4)
    before = net(x)
    operations(net, x)
    assert torch.equal(net(x), before)
    assert not any(module._forward_hooks for module in net.modules())

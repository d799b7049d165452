"""Robust conversion and its parts."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from art_snn.conversion import SpikingActivation, fine_tune, percentile, robust_convert
from art_snn.conversion.robust_training import divergence, mart_loss, rfgsm, trades_loss
from art_snn.networks import load, save


def thresholds(net):
    return [float(m.threshold.detach()) for m in net.modules() if isinstance(m, SpikingActivation)]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.997, 1.0])
def test_percentile_agrees_with_numpy(share):
    x = torch.rand(1001, generator=torch.Generator().manual_seed(0))
    assert float(percentile(x, share)) == np.percentile(x.numpy(), 100 * share, method="nearest")


def test_thresholds_are_measured_behind_those_before(ann, digits):
    net = robust_convert(ann, T=4, calibration=digits[0][:64], scale=1.0, calibration_steps=20)
    found = thresholds(net)
    first = robust_convert(ann, T=4, calibration=digits[0][:64], scale=0.3, calibration_steps=20)
    assert thresholds(first) == pytest.approx([0.3 * value for value in found])
    again = robust_convert(ann, T=4, calibration=list(digits[0][:64].flip(0).split(64)), calibration_steps=20)
    assert thresholds(again) == pytest.approx(thresholds(first), rel=1e-5)


def test_long_runs_come_close_to_the_relu_network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 30), nn.ReLU(), nn.Linear(30, 3)).double()
    x = torch.rand(100, 10, dtype=torch.double)
    net = robust_convert(model, T=400, calibration=x, scale=1.0, share=1.0)
    for module in net.modules():  # a soft reset, whose rate is linear in the current
        if isinstance(module, SpikingActivation):
            module.node.v_reset = None
    torch.testing.assert_close(net(x), model(x), atol=0.02, rtol=0)


def test_the_perturbation_keeps_its_budget(ann, digits):
    x = digits[2][:32]
    moved = rfgsm(ann, x, 0.1, 0.05, (0.0, 1.0), torch.Generator().manual_seed(0))
    assert float((moved - x).abs().max()) <= 0.1 + 1e-6
    assert float(moved.min()) >= 0
    assert float(moved.max()) <= 1
    with torch.no_grad():
        assert divergence(ann(x), ann(moved)) > 0.01
    with pytest.raises(ValueError, match="alpha <= eps"):
        rfgsm(ann, x, 0.1, 0.2, (0.0, 1.0), torch.Generator())


def test_loss_reduces(ann, digits):
    x, y = digits[2][:32], digits[3][:32]
    plain = nn.functional.cross_entropy(ann(x), y)
    assert torch.equal(trades_loss(ann, x, x + 0.1, y, beta=0), plain)
    assert float(divergence(ann(x), ann(x)).detach()) == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(trades_loss(ann, x, x, y, beta=3.0), plain)


def test_mart_by_hand():
    z, moved, y = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([[0.5, 1.0, -1.0]]), torch.tensor([0])
    p, q = z.softmax(1)[0], moved.softmax(1)[0]
    apart = sum(p[k] * (p[k] / q[k]).log() for k in range(3))
    wanted = -q[0].log() - torch.log(1.0001 - q[1]) + 3.0 * apart * (1 - p[0])
    net = {0.0: z, 1.0: moved}
    found = mart_loss(lambda x: net[float(x)], torch.tensor(0.0), torch.tensor(1.0), y, beta=3.0)
    torch.testing.assert_close(found, wanted)
    bare = mart_loss(lambda x: net[float(x)], torch.tensor(0.0), torch.tensor(1.0), y, beta=0.0)
    torch.testing.assert_close(bare, -q[0].log() - torch.log(1.0001 - q[1]))


def test_batch_norm_is_estimated_anew(ann, digits):
    x = digits[0][:64]
    net = robust_convert(ann, T=4, calibration=x, calibration_steps=20)
    (norm,) = (m for m in net.modules() if isinstance(m, nn.BatchNorm2d))
    source = ann[1]
    torch.testing.assert_close(norm.weight, source.weight)
    assert not norm.training
    assert norm.momentum == source.momentum
    currents = ann[0](x)  # constant over time: the statistics of the first layer are those of the batch
    torch.testing.assert_close(norm.running_mean, currents.mean((0, 2, 3)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, currents.var((0, 2, 3)), atol=1e-3, rtol=1e-2)
    assert not torch.allclose(norm.running_mean, source.running_mean, atol=1e-3)
    before = norm.running_mean.clone()
    fine_tune(net, [(x + 0.5, digits[1][:64])], torch.optim.SGD(net.parameters(), lr=0.0), eps=0.1)
    assert not torch.allclose(norm.running_mean, before, atol=1e-3)


def test_the_result_is_usable_before_fine_tuning(ann, digits):
    x, y = digits[2][:300], digits[3][:300]
    net = robust_convert(ann, T=16, calibration=digits[0][:256], scale=1.0, calibration_steps=20)
    with torch.no_grad():
        assert float((net(x).argmax(1) == y).float().mean()) > 0.8


def test_fine_tuning_with_mart_lowers_its_loss(ann, digits):
    x, y = digits[0][:128], digits[1][:128]
    net = robust_convert(ann, T=2, calibration=x[:64], calibration_steps=10)
    optimizer = torch.optim.SGD(net.parameters(), lr=5e-3, momentum=0.9)
    losses = [fine_tune(net, [(x, y)], optimizer, eps=0.1, loss=mart_loss, beta=4.0, seed=0) for _ in range(8)]
    assert losses[-1] < losses[0]


def test_fine_tuning_lowers_the_loss_and_keeps_thresholds_up(ann, digits, tmp_path):
    x, y = digits[0][:256], digits[1][:256]
    net = robust_convert(ann, T=4, calibration=x[:64], calibration_steps=20)
    loader = list(zip(x.split(64), y.split(64), strict=True))
    before = thresholds(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=5e-3, momentum=0.9)
    losses = [fine_tune(net, loader, optimizer, eps=0.1, seed=epoch) for epoch in range(4)]
    assert losses[-1] < losses[0]
    assert thresholds(net) != before
    assert not net.training
    path = save(net, tmp_path / "net.safetensors")
    assert torch.equal(load(path)(x[:8]), net(x[:8]))
    hostile = torch.optim.SGD(
        [p for m in net.modules() if isinstance(m, SpikingActivation) for p in [m.threshold]], 1e6
    )
    fine_tune(net, loader[:1], hostile, eps=0.1)
    assert min(thresholds(net)) >= 0.03 - 1e-9


def test_fine_tuning_is_repeatable(ann, digits):
    x, y = digits[0][:64], digits[1][:64]
    start = robust_convert(ann, T=2, calibration=x, calibration_steps=10)
    ends = []
    for _ in range(2):
        net = copy.deepcopy(start)
        fine_tune(net, [(x, y)], torch.optim.SGD(net.parameters(), lr=1e-2), eps=0.1)
        ends.append(net(x[:8]))
    assert torch.equal(*ends)


def test_mistakes_are_explained(ann, qnn):
    with pytest.raises(ValueError, match="without ReLU"):
        robust_convert(qnn, 4, torch.rand(4, 1, 8, 8))
    with pytest.raises(ValueError, match="positive factor"):
        robust_convert(ann, 4, torch.rand(4, 1, 8, 8), scale=0)
    with pytest.raises(ValueError, match="no training data"):
        fine_tune(robust_convert(ann, 2, torch.rand(4, 1, 8, 8), calibration_steps=4), [], None, eps=0.1)

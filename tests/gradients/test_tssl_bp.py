"""TSSL-BP: by hand, against an independent sum, and as a learning rule beside BPTT."""

from contextlib import nullcontext

import pytest
import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, EarlyBurst, Latency, MembraneMean
from art_snn.gradients.tssl_bp import TSSLBP, logistic_slope, tssl_error
from art_snn.neurons import SynapticLIF
from art_snn.neurons.synaptic_lif import SynapticTrace


def error_of(x, g, tau_m=5.0, tau_s=3.0, v_reset=0.0):
    node = SynapticLIF(tau_m, tau_s, v_reset=v_reset)
    trace = node.trace(x)
    return tssl_error(g, x, trace, tau_m, tau_s, 1.0, tau_s), trace


def test_one_spike_by_hand():
    x = torch.tensor([0.4, 0.9, 0.0, 0.0]).double().view(4, 1)
    g = torch.tensor([0.1, 0.2, 0.3, 0.4]).double().view(4, 1)
    e, trace = error_of(x, g)
    assert trace.spikes.flatten().tolist() == [0, 1, 0, 0]
    k = [(2 / 3) ** j / 3 for j in range(4)]
    rise = 0.9 - 0.4 / 5
    moved = sum(k[j - 1] * g[j].item() for j in range(1, 4)) / rise
    assert e[1].item() == pytest.approx(moved)
    silent = sum(k[j] * g[j].item() for j in range(4)) * logistic_slope(torch.tensor(0.4 - 1.0).double()).item()
    assert e[0].item() == pytest.approx(silent)
    assert e[2].item() == 0, "the membrane after the last spike moves nothing while the current is still on"


def by_definition(x, g, trace, tau_m, tau_s):
    """The equations written out, one neuron at a time, with the sums as sums."""
    T = len(x)
    out, theta = [0.0] * T, 0.0
    k = [(1 - 1 / tau_s) ** j / tau_s for j in range(T)]
    for t in range(T - 1, -1, -1):
        o, u = trace.spikes[t].item(), trace.membrane[t].item()
        total = sum(k[j - t] * g[j].item() for j in range(t, T))
        pu = max(min(-1 / (x[t].item() - trace.before[t].item() / tau_m), 0.0), -8.0) * o
        e = -pu * total
        if t < T - 1:
            e += -theta * u * pu / tau_m + theta * (1 - 1 / tau_m) * (1 - o)
        theta = e * o + theta * (1 - o) * (1 - 1 / tau_m)
        low = trace.current[t].item() < 1 / (4 * tau_s)
        out[t] = total * logistic_slope(torch.tensor(u - 1.0).double()).item() if low else e
    return out


@pytest.mark.parametrize("v_reset", [0.0, None])
@pytest.mark.parametrize("taus", [(5.0, 3.0), (2.0, 1.0), (10.0, 2.0)])
def test_the_recursion_is_the_definition(taus, v_reset):
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        x = 0.6 * torch.rand(12, 1, generator=generator).double() + 0.1
        g = torch.randn(12, 1, generator=generator).double()
        e, trace = error_of(x, g, *taus, v_reset=v_reset)
        assert e.flatten().tolist() == pytest.approx(by_definition(x, g, trace, *taus))


def test_a_silent_layer_has_the_activation_gradient():
    x = 0.1 * torch.rand(6, 4, generator=torch.Generator().manual_seed(1)).double()
    g = torch.randn(6, 4).double()
    e, trace = error_of(x, g, tau_s=1.0)
    assert not trace.spikes.any()
    assert torch.allclose(e, g * logistic_slope(trace.membrane - 1))


def test_sign_and_finiteness():
    x = torch.tensor([1.5]).double().view(1, 1)
    e, _ = error_of(x, torch.ones(1, 1).double(), tau_s=1.0)
    assert e.item() > 0
    one = torch.ones(2, 1).double()
    still = SynapticTrace(membrane=one, before=one * 5.0, spikes=one, current=one)
    e = tssl_error(one, one, still, 5.0, 1.0, 1.0, 1.0)
    assert torch.isfinite(e).all()
    assert e[1].item() == pytest.approx(8.0)


def network(seed=0, encoder=None, hidden=64):
    torch.manual_seed(seed)
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.Linear(64, hidden, step_mode="m"), SynapticLIF(),
        layer.Linear(hidden, 10, step_mode="m"),
    )  # fmt: skip
    nn.init.kaiming_normal_(body[1].weight)
    return SpikingNetwork(encoder or Latency(10), body, MembraneMean(tau=1.0))


def test_the_rule_changes_gradients_and_no_spike():
    net = network()
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    plain = net(x)
    (grad,) = torch.autograd.grad(plain[:, 0].sum(), x)
    with net.gradient(TSSLBP()):
        timed = net(x)
        (timed_grad,) = torch.autograd.grad(timed[:, 0].sum(), x)
    assert torch.equal(plain, timed)
    assert torch.isfinite(timed_grad).all()
    assert timed_grad.any()
    assert not torch.allclose(grad, timed_grad)
    assert net.body[2].rule is None
    (after,) = torch.autograd.grad(net(x)[:, 0].sum(), x)
    assert torch.equal(after, grad)
    with pytest.raises(RuntimeError, match="on purpose"), net.gradient(TSSLBP()):
        raise RuntimeError("on purpose")
    assert net.body[2].rule is None


def test_other_neurons_are_refused():
    body = nn.Sequential(layer.Linear(4, 4, step_mode="m"), neuron.LIFNode(step_mode="m"))
    net = SpikingNetwork(Latency(4), body)
    with pytest.raises(ValueError, match="SynapticLIF"), net.gradient(TSSLBP()):
        net(torch.rand(1, 4))
    with pytest.raises(ValueError, match="kernel_tau_s"):
        TSSLBP(0.5)


@pytest.mark.slow
@pytest.mark.parametrize("encoder", [Direct(5), EarlyBurst(8)], ids=["direct", "early_burst"])
def test_both_rules_learn_real_digits(encoder):
    """Within two points of each other's clean accuracy on 597 held-out digits."""
    data = load_digits()
    x = torch.tensor(data.images / 16).float()[:, None]
    y = torch.tensor(data.target)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:1200], order[1200:]
    scores = []
    for rule in (nullcontext(), None):
        net = network(0, encoder, hidden=128)
        optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
        generator = torch.Generator().manual_seed(0)
        with rule or net.gradient(TSSLBP()):
            for _ in range(20):
                for rows in train[torch.randperm(1200, generator=generator)].split(60):
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
                    optimizer.step()
        with torch.no_grad():
            scores.append((net(x[test]).argmax(1) == y[test]).float().mean().item())
    assert min(scores) > 0.93
    assert abs(scores[0] - scores[1]) <= 0.02, scores

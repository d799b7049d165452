"""Graphs of the exchange format: against Euler's method by hand, against the exporting library, and damaged ones."""

import copy
import pickle

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import neuron
from torch import nn

from art_snn.coding import Direct, MembraneMean
from art_snn.gradients import BPTR, RGA, Surrogate
from art_snn.networks import SpikingNetwork
from art_snn.networks.adapters import from_nir
from art_snn.networks.adapters.euler import EulerNeuron
from art_snn.testing import check_estimator, check_policy

nir = pytest.importorskip("nir")
DT = 1e-3


def euler(node, s, dt):
    """The equations of NIR's documentation, neuron by neuron, in float64."""
    p = {key: np.asarray(value, dtype=np.float64) for key, value in vars(node).items() if key in CONSTANTS}
    leak = p.get("tau", p.get("tau_mem"))
    v = np.zeros_like(s[0]) + (p["v_leak"] if leak is not None else p.get("v_reset", 0.0))
    current, out = np.zeros_like(s[0]), []
    for x in s:
        current = current + dt / p["tau_syn"] * (-current + p["w_in"] * x) if "tau_syn" in p else x
        change = (p["v_leak"] - v) + p["r"] * current if leak is not None else p["r"] * current
        v = v + dt * (change / leak if leak is not None else change)
        if "v_threshold" not in p:
            out.append(v)
            continue
        z = (v > p["v_threshold"]).astype(np.float64)
        v = np.where(z == 1, p["v_reset"], v)
        out.append(z)
    return np.stack(out)


CONSTANTS = ("r", "tau", "tau_mem", "tau_syn", "v_leak", "v_threshold", "v_reset", "w_in")


def many(rng, low, high, n=7):
    return rng.uniform(low, high, n)


def nodes(seed=0, n=7):
    rng, one = np.random.default_rng(seed), np.ones(n)
    return {
        "LIF": nir.LIF(0.005 * one, 1.3 * one, 0.1 * one, 0.6 * one, 0.1 * one),
        "LIF of many kinds": nir.LIF(many(rng, 0.002, 0.02), many(rng, 0.5, 2), many(rng, -0.2, 0.2),
                                     many(rng, 0.3, 1), many(rng, -0.3, 0.1)),
        "LIF, tau = dt": nir.LIF(DT * one, one, 0 * one, 0.5 * one, 0 * one),
        "IF": nir.IF(700.0 * one, one, 0 * one),
        "IF of many kinds": nir.IF(many(rng, 300, 1500), many(rng, 0.5, 2), many(rng, -0.3, 0.1)),
        "CubaLIF": nir.CubaLIF(many(rng, 0.002, 0.01), many(rng, 0.004, 0.02), many(rng, 0.5, 2),
                               many(rng, -0.1, 0.1), many(rng, 0.05, 0.3), many(rng, -0.1, 0.0), many(rng, 0.5, 2)),
        "LI": nir.LI(many(rng, 0.002, 0.02), many(rng, 0.5, 2), many(rng, -0.2, 0.2)),
        "CubaLI": nir.CubaLI(many(rng, 0.002, 0.01), many(rng, 0.004, 0.02), many(rng, 0.5, 2), many(rng, -0.1, 0.1)),
        "I": nir.I(many(rng, 300, 1500)),
    }  # fmt: skip


@pytest.mark.parametrize("name", nodes())
def test_neurons_by_hand(name):
    node = nodes()[name]
    s = np.random.default_rng(1).uniform(-0.5, 2.0, (40, 3, 7))
    expected = euler(node, s, DT)
    body = from_nir(nir.NIRGraph.from_list(node), dt=DT).double()
    out = body(torch.tensor(s)).numpy()
    assert np.allclose(out, expected, atol=1e-5)
    if "v_threshold" in vars(node):
        assert 0.02 < expected.mean() < 0.98
        assert set(np.unique(out)) == {0.0, 1.0}
    again = body(torch.tensor(s)).numpy()
    assert np.array_equal(out, again)


@pytest.mark.parametrize("name", ["LIF", "IF"])
def test_uniform_neurons_are_spikingjellys(name):
    body = from_nir(nir.NIRGraph.from_list(nodes()[name]), dt=DT)
    (node,) = [m for m in body.modules() if isinstance(m, neuron.BaseNode)]
    assert node.step_mode == "m"
    assert not any(isinstance(m, EulerNeuron) for m in body.modules())


def test_equality_does_not_fire():
    one = np.ones(1)
    for node in (nir.IF(1 / DT * one, one, 0 * one), nir.IF(np.array([1 / DT, 2 / DT]), np.array([1.0, 2.0])),
                 nir.Threshold(one)):  # fmt: skip
        body = from_nir(nir.NIRGraph.from_list(node), dt=DT)
        width = len(np.atleast_1d(getattr(node, "r", one)))
        assert body(torch.ones(1, 1, width)).sum() == 0
        assert body(torch.full((1, 1, width), 1.001)).sum() == width


def test_layers_by_hand():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(4, 2, 3, 3)), rng.normal(size=4)
    conv = nir.Conv2d((8, 8), weight, 2, 1, 1, 1, bias)
    grouped = nir.Conv2d((4, 4), rng.normal(size=(4, 2, 1, 1)), 1, "same", 1, 2, np.zeros(4))
    size = np.array([2, 2])
    pool = nir.SumPool2d(size, size, np.array([0, 0]))
    flat, head = (
        nir.Flatten({"input": np.array([4, 2, 2])}, 0, -1),
        nir.Affine(rng.normal(size=(5, 16)), rng.normal(size=5)),
    )
    scale, tail = nir.Scale(rng.normal(size=5)), nir.Linear(rng.normal(size=(3, 5)))
    body = from_nir(
        nir.NIRGraph.from_list(conv, grouped, pool, flat, head, scale, tail, type_check=False), dt=DT
    ).double()
    s = torch.rand(3, 2, 2, 8, 8, dtype=torch.float64)
    steps = []
    for x in s:
        y = nn.functional.conv2d(x, torch.tensor(weight), torch.tensor(bias), 2, 1)
        y = nn.functional.conv2d(y, torch.tensor(grouped.weight), groups=2)
        y = 4 * nn.functional.avg_pool2d(y, 2)
        y = y.flatten(1) @ torch.tensor(head.weight).T + torch.tensor(head.bias)
        steps.append(y * torch.tensor(scale.scale) @ torch.tensor(tail.weight).T)
    assert torch.allclose(body(s), torch.stack(steps), atol=1e-5)


def test_branches_are_added():
    one = np.ones((2, 2))
    graph = nir.NIRGraph(
        {"in": nir.Input(np.array([2])), "a.b": nir.Linear(one), "c": nir.Linear(2 * one),
         "out": nir.Output(np.array([2]))},
        [("in", "a.b"), ("in", "c"), ("a.b", "c"), ("a.b", "out"), ("c", "out")],
    )  # fmt: skip
    x = torch.rand(2, 3, 2)
    a = x.sum(-1, keepdim=True).expand_as(x)
    assert torch.allclose(from_nir(graph)(x), a + 2 * (x + a).sum(-1, keepdim=True).expand_as(x))


def network(seed=0, hidden=20):
    rng, one = np.random.default_rng(seed), np.ones(hidden)
    return nir.NIRGraph.from_list(
        nir.Flatten({"input": np.array([1, 8, 8])}, 0, -1), nir.Affine(0.3 * rng.normal(size=(hidden, 64)), 0.1 * one),
        nir.LIF(5 * DT * one, 5 * one, 0 * one, one, 0 * one), nir.Affine(rng.normal(size=(10, hidden)), np.zeros(10)),
        nir.LI(3 * DT * np.ones(10), np.ones(10), np.zeros(10)),
    )  # fmt: skip


def test_files_copies_and_the_classifier(tmp_path, classifier):
    nir.write(tmp_path / "net.nir", network())
    body = from_nir(tmp_path / "net.nir", dt=DT)
    s = torch.rand(4, 3, 1, 8, 8)
    expected = from_nir(network(), dt=DT)(s)
    for twin in (body, copy.deepcopy(body), pickle.loads(pickle.dumps(body))):  # noqa: S301
        assert torch.equal(twin(s), expected)
    clf = classifier(body, epochs=3)
    check_estimator(clf)
    net = SpikingNetwork(Direct(T=6), from_nir(network(), dt=DT), MembraneMean(tau=1.0)).double()
    for policy in (Surrogate("atan", 8.0), BPTR(), RGA()):
        check_policy(policy, net, torch.rand(3, 1, 8, 8))


def test_what_snntorch_exports_computes_the_same():
    snn = pytest.importorskip("snntorch")
    from snntorch.export_nir import export_to_nir

    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 9), snn.Leaky(beta=0.8 * torch.ones(9), threshold=torch.ones(9),
                        reset_mechanism="zero", reset_delay=False, init_hidden=True))  # fmt: skip
    graph = export_to_nir(net, torch.rand(6))
    s = 3 * torch.rand(12, 4, 6)
    expected = torch.stack([net(step) for step in s])
    out = from_nir(graph, dt=1e-4)(s)
    assert 0.02 < expected.mean() < 0.9
    assert (out != expected).float().mean() < 0.01


def test_what_cannot_be_built_is_named():
    delay = nir.NIRGraph.from_list(nir.Delay(np.array([1.0, 2.0])))
    loop = nir.NIRGraph(
        {"in": nir.Input(np.array([2])), "a": nir.Linear(np.eye(2)), "b": nir.Linear(np.eye(2)),
         "out": nir.Output(np.array([2]))},
        [("in", "a"), ("a", "b"), ("b", "a"), ("b", "out")],
    )  # fmt: skip
    inner = nir.NIRGraph(
        {"in": nir.Input(np.array([2])), "sub": nir.NIRGraph.from_list(nir.Linear(np.eye(2))),
         "out": nir.Output(np.array([2]))},
        [("in", "sub"), ("sub", "out")], type_check=False,
    )  # fmt: skip
    one = np.ones(2)
    coarse = nir.NIRGraph.from_list(nir.LIF(1e-4 * one, one, 0 * one, one, 0 * one))
    cases = {"'delay', a Delay": delay, "cycle through": loop, "'sub', a NIRGraph": inner, "at least dt": coarse}
    for message, graph in cases.items():
        with pytest.raises(ValueError, match=message) as raised:
            from_nir(graph, dt=DT)
        assert "Fix:" in str(raised.value)
    with pytest.raises(TypeError, match="NIRGraph"):
        from_nir({"nodes": {}})
    with pytest.raises(ValueError, match="dt"):
        from_nir(network(), dt=0)
    with pytest.raises(FileNotFoundError, match="Fix:"):
        from_nir("nowhere.nir")


def graph(names, edges, **more):
    """Layers of two units by name, and the ends of a graph."""
    ends = {"in": nir.Input(np.array([2])), "out": nir.Output(np.array([2]))}
    return nir.NIRGraph({**ends, **{name: nir.Linear(np.eye(2)) for name in names}, **more}, edges, type_check=False)


ILL_WIRED = {
    "2 nodes of kind Input: ['in', 'other']; expected exactly one": graph(
        "a", [("in", "a"), ("other", "a"), ("a", "out")], other=nir.Input(np.array([2]))
    ),
    "an edge 'a' -> 'gone' to nowhere": graph("a", [("in", "a"), ("a", "gone"), ("a", "out")]),
    "nodes that nothing feeds: ['b']": graph("ab", [("in", "a"), ("a", "out"), ("b", "out")]),
    "nodes that nothing feeds: ['out']": graph("a", [("in", "a")]),
    "expected [out, in]. Fix: export single matrices": graph(
        "", [("in", "a"), ("a", "out")], a=nir.Linear(np.ones((3, 2, 2)))
    ),
}


@pytest.mark.parametrize("message", ILL_WIRED)
def test_graphs_that_lead_nowhere(message):
    with pytest.raises(ValueError, match="Fix:") as raised:
        from_nir(ILL_WIRED[message], dt=DT)
    assert message in str(raised.value)


def test_a_file_that_promises_gigabytes_is_not_unpacked(tmp_path, monkeypatch):
    import h5py

    with h5py.File(tmp_path / "bomb.nir", "w") as file:
        file.create_dataset("node/nodes/a/weight", shape=(2**16, 2**16), dtype="f4", chunks=(2**8, 2**8))
    assert (tmp_path / "bomb.nir").stat().st_size < 10_000
    monkeypatch.setattr(nir, "read", lambda path: pytest.fail("the file was read"))
    with pytest.raises(ValueError, match=rf"bomb.nir, which cannot be read.*{2**34} bytes of arrays"):
        from_nir(tmp_path / "bomb.nir", dt=DT)


def test_without_the_package_the_answer_is_its_extra(monkeypatch):
    monkeypatch.setattr("art_snn.networks.adapters.nir_graph.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"no package nir.*Fix: pip install 'art-snn\[nir\]'"):
        from_nir(network())


@pytest.mark.slow
def test_no_invalidating_flag(classifier):
    from art_snn import diagnose
    from art_snn.testing import tiny

    clf = classifier(from_nir(network(hidden=48), dt=DT), epochs=8)
    report = diagnose(clf, *tiny.samples(64), eps=0.1)
    assert not [name for name, flag in report.flags.items() if name.startswith("E") and flag.raised], str(report)

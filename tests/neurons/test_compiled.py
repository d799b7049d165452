"""Machine code for large layers: when it runs, that threads and blocks change nothing, and that nothing needs it."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import surrogate

from art_snn.coding import Direct
from art_snn.gradients import surrogate as own_surrogate
from art_snn.gradients.families import FAMILIES
from art_snn.gradients.known import FORMULAS, known_slope
from art_snn.gradients.rational import FORMS, rational
from art_snn.networks import cnn
from art_snn.neurons import compiled, kernels
from art_snn.neurons.fused import Dynamics, multi_step

LARGE = (9, 2, 59_000)
"""Just above 4 MiB, a few blocks that do not come out even, and enough for two threads."""


@pytest.fixture
def calls(monkeypatch):
    """Names of the loops that ran."""
    seen = []
    for name in ("run_forward", "run_backward", "halve", "spread"):
        original = getattr(compiled, name)

        def noted(*args, _name=name, _original=original, **kwargs):
            seen.append(_name)
            return _original(*args, **kwargs)

        monkeypatch.setattr(compiled, name, noted)
    return seen


def without_numba(monkeypatch):
    compiled.kernels.cache_clear()
    monkeypatch.setitem(sys.modules, "art_snn.neurons.kernels", None)


@pytest.fixture(autouse=True)
def found_anew():
    yield
    compiled.kernels.cache_clear()


def layer(x, function, **constants):
    """Spikes, gradient of the input and of the start."""
    leaf, start = x.clone().requires_grad_(True), torch.full(x.shape[1:], 0.2, dtype=x.dtype, requires_grad=True)
    spikes, last = multi_step(leaf, start, Dynamics(**constants), known_slope(function))
    weight = torch.linspace(-1, 1, spikes.numel(), dtype=x.dtype).view(spikes.shape)
    return (spikes, last, *torch.autograd.grad((spikes * weight).sum() + last.sum(), (leaf, start)))


def current(seed=0):
    return torch.randn(LARGE, generator=torch.Generator().manual_seed(seed)) * 1.5


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    "constants", [{"tau": 2.0}, {"tau": 3.0, "decay_input": False, "reset": None}, {"reset": 0.2, "detach_reset": True}]
)
def test_large_layers_give_the_same_with_and_without(monkeypatch, calls, threads, constants):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        ours = layer(current(), surrogate.ATan(), **constants)
        assert calls == ["run_forward", "run_backward"]
        without_numba(monkeypatch)
        plain = layer(current(), surrogate.ATan(), **constants)
        assert len(calls) == 2
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(ours[:2], plain[:2], strict=True))
    for one, other in zip(ours[2:], plain[2:], strict=True):
        assert float((one - other).abs().max()) <= 1e-6 * float(other.abs().max())


@pytest.mark.parametrize("family", FAMILIES)
def test_rational_forms_are_their_families(family):
    alpha = FAMILIES[family].alpha * 1.7 + 0.2
    form = rational(family, alpha)
    v = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    if form is None:
        assert own_surrogate(family, alpha).fusible().formula is None
        return
    w, zero = np.zeros(1), np.zeros((1, 1))
    kind = FORMS.index(form.form)
    found = []
    for value in v.numpy():
        dx = zero.copy()
        numbers = (form.a, form.b, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0)
        kernels.walk(np.ones((1, 1)), np.full((1, 1), value), w.copy(), dx, 0, 1, kind, *numbers)
        found.append(dx[0, 0])
    assert np.allclose(found, FAMILIES[family].slope(v, alpha).numpy(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", FORMULAS)
def test_forms_of_spikingjellys_surrogates(kind):
    slope = known_slope(kind(alpha=1.6))
    v = torch.linspace(-2, 2, 801, dtype=torch.float64)
    if slope.formula is not None:
        same = {f for f in FAMILIES if rational(f, 1.6) == slope.formula}
        assert any(torch.allclose(FAMILIES[f].slope(v, 1.6), slope.of(v), rtol=1e-12) for f in same)


def test_a_sharpness_of_zero_has_a_slope_of_zero():
    slope = known_slope(surrogate.ATan(alpha=0.0))
    assert slope.formula.b == slope.of(torch.tensor(0.3)).item() == 0.0


def test_small_layers_and_unknown_slopes_never_wait_for_a_compiler(calls):
    multi_step(torch.rand(4, 2, 100), 0.0, Dynamics(tau=2.0), known_slope(surrogate.ATan()))
    assert calls == []
    layer(current(), surrogate.Sigmoid(), tau=2.0)
    assert calls == ["run_forward"]


def test_strided_input_takes_the_other_way(calls):
    x = torch.randn(2, 9, 59_000, generator=torch.Generator().manual_seed(0)).transpose(0, 1)
    slope = known_slope(surrogate.ATan())
    strided, _ = multi_step(x, 0.0, Dynamics(tau=2.0), slope)
    assert calls == []
    assert torch.equal(strided, multi_step(x.contiguous(), 0.0, Dynamics(tau=2.0), slope)[0])
    assert calls == ["run_forward"]


def test_a_network_gives_the_same_with_and_without(monkeypatch, calls):
    torch.manual_seed(0)
    net = cnn((1, 28, 28), 10, encoder=Direct(8)).eval().requires_grad_(False)
    net.fast = True
    x = torch.rand(16, 1, 28, 28)

    def gradient():
        point = x.clone().requires_grad_(True)
        z = net(point)
        return z.detach(), torch.autograd.grad(z.logsumexp(1).sum(), point)[0]

    ours = gradient()
    assert set(calls) == {"run_forward", "run_backward", "halve", "spread"}
    assert "machine code" in str(net.plan())
    without_numba(monkeypatch)
    plain = gradient()
    assert torch.equal(ours[0], plain[0])
    assert torch.allclose(ours[1], plain[1], rtol=1e-5, atol=1e-6 * float(plain[1].abs().max()))


def test_a_large_body_that_torch_compiles(calls):
    torch.manual_seed(0)
    net = cnn((1, 28, 28), 10, encoder=Direct(8)).eval().requires_grad_(False)
    x = torch.rand(11, 1, 28, 28)
    expected = net(x)
    calls.clear()
    net.body = torch.compile(net.body, backend="eager")
    assert torch.allclose(net(x), expected, atol=1e-6)
    assert calls == []


def test_the_plan_says_how_to_get_machine_code(monkeypatch):
    monkeypatch.setattr(compiled, "installed", lambda: False)
    net = cnn((1, 8, 8), 10)
    net.fast = True
    assert 'pip install "art-snn[numba]"' in str(net.plan())
    net.fast = False
    assert "large layers" not in str(net.plan())


def test_a_missing_or_broken_numba_is_only_noted(monkeypatch, caplog):
    without_numba(monkeypatch)
    with caplog.at_level("INFO", logger="art_snn.neurons.compiled"):
        assert not compiled.compiles(torch.empty(LARGE))
    assert "torch operations" in caplog.text


class Kept:
    """What numba makes of a function that it keeps on disk."""

    stats = SimpleNamespace(cache_path=".")


@pytest.mark.parametrize("trouble", ["no folder", "full disk"])
def test_where_machine_code_cannot_be_kept_it_is_made_anew(monkeypatch, trouble):
    seen = []

    def njit(**settings):
        if settings.get("cache") and trouble == "no folder":
            raise RuntimeError("cannot cache function: no locator available")
        seen.append(settings)
        return (lambda function: Kept) if settings.get("cache") else lambda function: function

    monkeypatch.setattr(kernels, "njit", njit)
    assert kernels._compiled(len) is (len if trouble == "no folder" else Kept)
    monkeypatch.setattr(kernels, "disk_usage", lambda path: SimpleNamespace(free=1000))
    assert kernels._compiled(len) is len
    assert seen[-1] == {"nogil": True, "error_model": "numpy"}

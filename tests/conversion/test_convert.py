"""Whole networks: exactness, independence, storage, latency, and what is refused."""

import copy
import json
import pickle
import subprocess
import sys

import pytest
import torch
from torch import nn

from art_snn.conversion import (
    COS,
    METHODS,
    QCFS,
    SRP,
    LocalThresholdBalancing,
    RateCoding,
    convert,
    fold_batch_norm,
    latency,
    layer_residuals,
    operations,
    replace_activations,
)
from art_snn.networks import describe, load, save


def accuracy(net, x, y):
    with torch.no_grad():
        return float((net(x).argmax(1) == y).double().mean())


QUANTIZED = ("qcfs", "srp", "cos", "residual_noise")


def test_two_layer_network_is_exact_at_T_equal_L():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 50), QCFS(8, 1.0), nn.Linear(50, 5)).double()
    x = torch.rand(200, 20, dtype=torch.double)
    torch.testing.assert_close(convert(model, T=8)(x), model(x), atol=1e-12, rtol=1e-12)


def test_accuracy_follows_the_quantized_network(ann, qnn, digits):
    x, y = digits[2:]
    assert accuracy(ann, x, y) > 0.95
    assert accuracy(convert(qnn, T=8), x, y) >= accuracy(qnn, x, y) - 0.01


def test_calibration_comes_closer_to_the_network_of_T_levels(qnn, digits):
    coarse = copy.deepcopy(qnn)
    for step in coarse.layer_steps((QCFS,)):
        coarse.get_submodule(step.target).levels = 4
    x = digits[2][:200]
    far, near = ((convert(qnn, 4, m)(x) - coarse(x)).abs().mean() for m in ("qcfs", "cos"))
    assert near < 0.5 * far


def test_the_source_stays_as_it_is(qnn, digits):
    before = {name: value.clone() for name, value in qnn.state_dict().items()}
    z = qnn(digits[2][:8])
    convert(qnn, T=4, method="srp", calibration=digits[0][:32])
    assert all(torch.equal(value, before[name]) for name, value in qnn.state_dict().items())
    assert torch.equal(qnn(digits[2][:8]), z)


@pytest.mark.parametrize("method", [*QUANTIZED, SRP(pre=3, certain=False)])
def test_nothing_leaks_between_batches(qnn, digits, method):
    net = convert(qnn, T=4, method=method).double()
    x = digits[2][:24].double()
    whole = net(x)
    torch.testing.assert_close(torch.cat([net(part) for part in x.split(5)]), whole, atol=1e-12, rtol=0)
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(net(x[order]), whole[order], atol=1e-12, rtol=0)
    assert torch.equal(net(x), whole)


@pytest.mark.parametrize("method", [*QUANTIZED, SRP(pre=2, certain=False), "rate_coding", "local_threshold_balancing"])
def test_a_saved_network_loads_without_its_source(ann, qnn, digits, method, tmp_path):
    source = ann if method in ("rate_coding", "local_threshold_balancing") else qnn
    net = convert(source, T=3, method=method, calibration=digits[0][:128])
    x = digits[2][:16]
    path = save(net, tmp_path / "net.safetensors")
    assert json.loads(json.dumps(describe(net)))["builder"] == "converted"
    for other in (load(path), load(path, into=copy.deepcopy(net)), pickle.loads(pickle.dumps(net))):  # noqa: S301
        assert torch.equal(other(x), net(x))
        assert other.T == net.T
    again = save(load(path), tmp_path / "again.safetensors")
    assert torch.equal(load(again)(x), net(x))


def test_loading_needs_nothing_but_the_file(qnn, digits, tmp_path):
    net = convert(qnn, T=3, method="cos")
    path = save(net, tmp_path / "net.safetensors")
    torch.save((digits[2][:4], net(digits[2][:4]).detach()), tmp_path / "pair.pt")
    code = (
        "import sys, torch; from art_snn.networks import load; net = load(sys.argv[1]);"
        "x, z = torch.load(sys.argv[2]); assert torch.equal(net(x), z); print(type(net.body.graph).__name__)"
    )
    arguments = [sys.executable, "-c", code, str(path), str(tmp_path / "pair.pt")]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "LayerGraph", done.stderr


def test_latency_contains_every_step(qnn, digits):
    for method, pre in (("qcfs", 0), (SRP(pre=3), 3), (COS(pre=5), 5)):
        net = convert(qnn, T=2, method=method)
        assert (latency(net).pre, latency(net).read, latency(net).total) == (pre, 2, pre + 2)
        assert pre + 2 == net.T
    plain, long = (operations(convert(qnn, 2, m), digits[2][:8]) for m in ("qcfs", SRP(pre=2)))
    assert long.dense == 2 * plain.dense
    assert long.synaptic > 1.5 * plain.synaptic


def test_latency_is_for_converted_networks():
    with pytest.raises(TypeError, match="made by convert"):
        latency(nn.Linear(2, 2))


@pytest.mark.parametrize("method", [SRP(pre=0), COS(pre=0)])
def test_no_pre_steps_is_plain_conversion(qnn, digits, method):
    x = digits[2][:16]
    assert torch.equal(convert(qnn, 4, method)(x), convert(qnn, 4)(x))


def test_calibration_lowers_residuals_of_a_real_network(qnn, digits):
    x = digits[2][:100]
    plain, cos = (layer_residuals(convert(qnn, 4, m), x) for m in ("qcfs", "cos"))
    deep = list(plain)[1:]
    assert all(cos[name].abs().mean() < plain[name].abs().mean() for name in deep)
    first = next(iter(plain))
    assert float(plain[first].abs().max()) == 0


def test_spikingjelly_recipes_are_spikingjellys(ann, digits):
    from art_snn.conversion.spikingjelly import spikingjelly_network

    calibration, x = digits[0][:128], digits[2][:16]
    for way in (RateCoding(), RateCoding(mode="Max"), LocalThresholdBalancing(rounds=3)):
        theirs = spikingjelly_network(fold_batch_norm(ann), way, list(calibration.split(64)))
        mean = torch.stack([theirs(x) for _ in range(5)]).mean(0)
        torch.testing.assert_close(convert(ann, 5, way, calibration=calibration)(x), mean, atol=1e-5, rtol=1e-5)


def test_quantized_conversion_beats_rate_coding_at_low_latency(ann, qnn, digits):
    x, y = digits[2:]
    for T in (2, 4, 8):
        theirs = accuracy(convert(ann, T, "rate_coding", calibration=digits[0][:256]), x, y)
        assert all(accuracy(convert(qnn, T, method), x, y) >= theirs for method in ("qcfs", "srp", "cos"))


def test_folding_keeps_the_logits(ann, digits):
    folded = fold_batch_norm(ann)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    torch.testing.assert_close(folded(digits[2]), ann(digits[2]), atol=1e-5, rtol=1e-5)


def test_batch_norm_elsewhere_stays_and_stays_exact():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(6), nn.Linear(6, 20), QCFS(4, 1.0), nn.BatchNorm1d(20), nn.Linear(20, 3))
    model.train()
    for _ in range(5):
        model(torch.randn(64, 6) * 2 + 1)
    model.eval().double()
    net = convert(model, T=4)
    assert sum(isinstance(module, nn.BatchNorm1d) for module in net.modules()) == 2
    x = torch.randn(50, 6, dtype=torch.double)
    torch.testing.assert_close(net(x), model(x), atol=1e-12, rtol=1e-12)


class Odd(nn.Module):
    """One linear layer before and one after whatever ``middle`` does."""

    def __init__(self, middle):
        super().__init__()
        self.before, self.after, self.middle = nn.Linear(8, 8), nn.Linear(8, 2), middle

    def forward(self, x):
        return self.after(self.middle(self.before(x)))


@pytest.mark.parametrize(
    ("layer", "fix"),
    [(nn.GELU(), "nn.ReLU"), (nn.LayerNorm(8), "replace"), (nn.Softmax(1), "replace"), (nn.LeakyReLU(), "nn.ReLU"),
     (nn.BatchNorm1d(8, track_running_stats=False), "track_running_stats"), (nn.MaxPool1d(2), "max_pool='average'")],
)  # fmt: skip
def test_unsupported_layers_are_named_with_a_fix(layer, fix):
    with pytest.raises(ValueError, match="layer 'middle'") as error:
        convert(Odd(layer), T=4)
    assert fix in str(error.value)


class Calls(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function, self.layer = function, nn.Linear(4, 4)

    def forward(self, x):
        return self.function(self.layer(x))


@pytest.mark.parametrize(
    "function",
    [torch.sigmoid, lambda x: x.abs(), lambda x: nn.functional.dropout(x, 0.5), lambda x: x * x, lambda x: 1 / x,
     lambda x: x if x.sum() > 0 else -x, lambda x: nn.functional.max_pool1d(x, 2), lambda x: x // 2],
)  # fmt: skip
def test_unsupported_operations_are_refused(function):
    with pytest.raises(ValueError, match="Fix:"):
        replace_activations(Calls(function))


@pytest.mark.parametrize("T", [0, -1, 1.5, True])
def test_impossible_steps_are_refused(qnn, T):
    with pytest.raises(ValueError, match="T >= 1"):
        convert(qnn, T)


def test_missing_calibration_is_an_error(ann, qnn):
    with pytest.raises(ValueError, match=r"ReLU at '2', and no calibration data.*calibration=x_train"):
        convert(ann, 4)
    with pytest.raises(ValueError, match="no calibration data"):
        convert(ann, 4, calibration=[])
    with pytest.raises(ValueError, match="QCFS activations for 'rate_coding'"):
        convert(qnn, 4, "rate_coding", calibration=torch.rand(4, 1, 8, 8))


def test_unusable_calibration_data_are_explained(ann):
    with pytest.raises(ValueError, match="finite calibration data"):
        convert(ann, 4, calibration=torch.full((4, 1, 8, 8), torch.nan))
    with pytest.raises(ValueError, match="the model's input shape"):
        convert(ann, 4, calibration=torch.rand(4, 3, 8, 8))


def test_what_spikes_already_is_not_converted(qnn):
    with pytest.raises(TypeError, match="does not spike yet"):
        convert(convert(qnn, 4), 4)


def test_calibration_data_may_be_a_loader_or_an_array(ann):
    x = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    pairs = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, torch.zeros(32)), batch_size=64)
    nets = [convert(ann, 4, calibration=data) for data in (x, x.numpy(), [x], pairs)]
    assert all(torch.equal(net(x), nets[0](x)) for net in nets)


def test_a_negative_threshold_is_an_error_that_names_the_layer(qnn):
    broken = copy.deepcopy(qnn)
    broken.get_submodule("5").threshold.data.fill_(-0.2)
    with pytest.raises(ValueError, match=r"threshold -0.2 in layer '5'"):
        convert(broken, 4)


def test_other_mistakes_are_explained(ann):
    with pytest.raises(ValueError, match="did you mean 'srp'"):
        convert(ann, 4, "spr")
    with pytest.raises(TypeError, match="pass the network"):
        convert("model", 4)
    with pytest.raises(ValueError, match="without activations"):
        convert(nn.Linear(2, 2), 4)
    with pytest.raises(ValueError, match="without ReLU"):
        replace_activations(nn.Linear(2, 2))
    dead = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    dead[0].bias.data.fill_(-100)
    with pytest.raises(ValueError, match="never activates"):
        convert(dead, 4, calibration=torch.rand(8, 4))
    for bad in ({"pre": -1}, {"pre": 1.5}):
        with pytest.raises(ValueError, match="at least 0"):
            SRP(**bad)
    with pytest.raises(ValueError, match="at least 1"):
        COS(iterations=0)


def test_every_method_has_a_class():
    assert set(METHODS) == {*QUANTIZED, "rate_coding", "local_threshold_balancing"}


class Branched(nn.Module):
    """Functional activations, one reused ReLU, a residual sum and a buffer."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.relu = nn.ReLU(inplace=True)
        self.register_buffer("shift", torch.full((6,), 0.1))

    def forward(self, x):
        x = (x - self.shift) / 0.5
        y = nn.functional.relu(self.a(x))
        y = self.relu(self.b(y)) + y
        y += x.relu()
        y = self.relu(y)
        return self.c(y.view(y.size(0), -1))


def test_functional_reused_and_residual_activations(tmp_path):
    torch.manual_seed(0)
    model, x = Branched().double(), torch.rand(40, 6, dtype=torch.double)
    quantized = replace_activations(model, levels=256, threshold=4.0)
    names = [name for name, module in quantized.named_modules() if isinstance(module, QCFS)]
    assert len(names) == 4
    torch.testing.assert_close(quantized(x), model(x), atol=0.05, rtol=0)
    net = convert(quantized, T=256)
    torch.testing.assert_close(net(x), quantized(x), atol=0.03, rtol=0)
    path = save(net, tmp_path / "net.safetensors")
    assert torch.equal(load(path)(x), net(x))


def test_double_precision_survives(qnn, digits):
    net = convert(copy.deepcopy(qnn).double(), 4)
    assert net(digits[2][:2].double()).dtype == torch.double


def test_layers_keep_their_names(ann):
    graph = replace_activations(ann, levels=4)
    assert [name for name, module in graph.named_modules() if isinstance(module, QCFS)] == ["2", "5", "8"]

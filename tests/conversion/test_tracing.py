"""Forwards of every shape: what is read, step by step and exactly, and what is refused with its repair."""

import pytest
import torch
from torch import nn

from art_snn.conversion import (
    QCFS,
    EmpiricalNoise,
    GaussianNoise,
    convert,
    fold_batch_norm,
    percentile,
    replace_activations,
    robust_convert,
)
from art_snn.conversion.graph import LayerGraph
from art_snn.conversion.spikingjelly import spikingjelly_network
from art_snn.conversion.storage import rebuild
from art_snn.conversion.tracing import trace
from art_snn.networks import load, save


class Halves(nn.Module):
    """Takes its input apart with slices, joins a list of parts, and asks for a shape."""

    def __init__(self):
        super().__init__()
        self.act = QCFS(8, 1.0)
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = self.act(self.first(x))
        x = torch.cat([x[:, 3:], x[:, :3]], 1)
        return self.last(x.view(x.shape[0], -1))


def test_slices_lists_and_shapes_are_read_run_and_stored(tmp_path):
    torch.manual_seed(0)
    model, x = Halves().double(), torch.rand(20, 6, dtype=torch.double)
    graph = trace(model)
    assert [step.target for step in graph.steps if step.op == "function"].count("getitem") == 3
    assert torch.equal(graph(x), model(x))
    net = convert(model, T=8)
    torch.testing.assert_close(net(x), model(x), atol=1e-12, rtol=1e-12)
    read = load(save(net, tmp_path / "halves.safetensors"))
    assert torch.equal(read(x), net(x))


def test_a_traced_network_is_copied_not_traced_again():
    graph = trace(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2)))
    again = trace(graph)
    assert isinstance(again, LayerGraph)
    assert again is not graph
    again.get_submodule("0").weight.data.zero_()
    assert bool(graph.get_submodule("0").weight.any())


class Two(nn.Module):
    def forward(self, x, other):
        return x + other


class Pair(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("model", "came", "fix"),
    [(Two(), "a second input 'other'", "wrap the model so that forward takes the batch alone"),
     (Pair(), "got tuple as output", "return the logits")],
)  # fmt: skip
def test_one_tensor_goes_in_and_one_comes_out(model, came, fix):
    with pytest.raises(ValueError, match=came) as error:
        trace(model)
    assert f"Fix: {fix}" in str(error.value)


def test_max_pool_is_refused_or_averaged_and_nothing_else():
    with pytest.raises(ValueError, match=r"max_pool='mean'; expected 'refuse' or 'average'\. Fix: max_pool='average'"):
        trace(nn.MaxPool2d(2), max_pool="mean")


@pytest.mark.parametrize(
    ("pool", "average"),
    [(nn.MaxPool2d(2), nn.AvgPool2d(2)), (nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 2, 1, ceil_mode=True)),
     (nn.AdaptiveMaxPool2d(2), nn.AdaptiveAvgPool2d(2)), (nn.AdaptiveMaxPool2d((1, 3)), nn.AdaptiveAvgPool2d((1, 3)))],
)  # fmt: skip
def test_an_average_has_the_geometry_of_the_maximum(pool, average):
    x = torch.rand(3, 2, 7, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(trace(nn.Sequential(pool), max_pool="average")(x), average(x))


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2, dilation=2), nn.AdaptiveMaxPool1d(2), nn.AdaptiveMaxPool3d(2)])
def test_a_maximum_without_such_an_average_is_still_refused(pool):
    with pytest.raises(ValueError, match=r"layer '0', a .*MaxPool.*Fix: train with average pooling"):
        trace(nn.Sequential(pool), max_pool="average")


class Reused(nn.Module):
    """One ReLU in two places, and a layer that has the name which the second would get."""

    def __init__(self):
        super().__init__()
        self.relu, self.relu_1, self.last = nn.ReLU(), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.relu(self.relu_1(self.relu(x))))


def test_a_reused_activation_takes_nobodys_name():
    torch.manual_seed(0)
    model = Reused()
    made = replace_activations(model, levels=4)
    assert [name for name, part in made.named_modules() if isinstance(part, QCFS)] == ["relu", "relu_1_"]
    assert torch.equal(made.get_submodule("relu_1").weight, model.relu_1.weight)


def test_every_activation_draws_its_own_noise():
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    given = GaussianNoise(0.1, seed=7)
    noises = [part.noise for part in replace_activations(model, noise=given).modules() if isinstance(part, QCFS)]
    assert [noise.draws.seed for noise in noises] == [7, 8]
    one, two = (noise(torch.zeros(1, 50)) for noise in noises)
    assert not torch.equal(one, two)
    assert torch.equal(given(torch.zeros(1, 50)), one)  # the argument's stream was left where it stood


@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm_folds_with_and_without_a_scale_of_its_own(affine):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4, affine=affine), nn.ReLU(), nn.Linear(4, 2)).double()
    for _ in range(5):
        model(torch.randn(32, 5, dtype=torch.double) * 3 + 1)
    if affine:
        model[1].weight.data.uniform_(0.5, 2)
        model[1].bias.data.normal_()
    model.eval()
    folded, x = fold_batch_norm(model), torch.randn(9, 5, dtype=torch.double)
    assert not any(isinstance(part, nn.BatchNorm1d) for part in folded.modules())
    torch.testing.assert_close(folded(x), model(x), atol=1e-12, rtol=1e-12)


def test_a_stored_layer_of_another_version_is_named(tmp_path):
    net = convert(nn.Sequential(nn.Linear(4, 3), QCFS(4, 1.0), nn.Linear(3, 2)), T=2)
    arguments = net.recipe["arguments"]
    arguments["layers"]["0"]["kind"] = "Hopfield"
    with pytest.raises(ValueError, match=r"layer '0' of kind 'Hopfield'.*'Linear'.*Fix: update art-snn"):
        rebuild(**arguments, encoder=net.encoder, decoder=net.decoder)
    with pytest.raises(ValueError, match=r"newer.safetensors, whose recipe cannot be followed.*'Hopfield'"):
        load(save(net, tmp_path / "newer.safetensors"))


def test_a_spiking_activation_wants_whole_trains():
    net = convert(nn.Sequential(nn.Linear(4, 3), QCFS(4, 1.0), nn.Linear(3, 2)), T=4)
    [spiking] = [part for part in net.modules() if type(part).__name__ == "SpikingActivation"]
    assert spiking(torch.rand(8, 3)).shape == (8, 3)
    with pytest.raises(ValueError, match=r"7 rows for 4 steps; expected a multiple of 4\. Fix: run the network's own"):
        spiking(torch.rand(7, 3))


def test_measured_amounts_need_something_to_measure():
    with pytest.raises(ValueError, match=r"no residuals; expected at least one\. Fix: EmpiricalNoise\(layer_residuals"):
        EmpiricalNoise(torch.zeros(0))
    for x, share in ((torch.zeros(0), 0.5), (torch.ones(3), -0.1), (torch.ones(3), 1.1)):
        with pytest.raises(ValueError, match=rf"share = {share} of {x.numel()} values.*Fix: 0.997"):
            percentile(x, share)


def test_robust_conversion_names_the_layer_that_stays_silent():
    torch.manual_seed(0)
    dead = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    dead[0].bias.data.fill_(-100)
    with pytest.raises(ValueError, match=r"layer '1', which never activates.*Fix: pass inputs of every class"):
        robust_convert(dead, 4, torch.rand(8, 4), calibration_steps=4)


def test_only_spikingjellys_own_recipes_are_handed_to_it():
    graph = trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2)))
    with pytest.raises(ValueError, match=r"expected RateCoding or LocalThresholdBalancing\. Fix: method='rate_coding'"):
        spikingjelly_network(graph, "qcfs", [torch.rand(4, 4)])

"""Inner layers by name, samples first, whatever their step mode."""

import copy

import numpy as np
import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn

from art_snn import SNNClassifier, SpikingNetwork
from art_snn.coding import Direct, Latency, Poisson
from art_snn.networks import cnn, mlp

T = 4


def wrap(net):
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))


def images(count=6):
    return np.random.default_rng(0).random((count, 1, 8, 8), dtype=np.float32)


def boxed():
    torch.manual_seed(0)
    body = nn.Sequential(
        layer.Flatten(step_mode="m"), layer.SeqToANNContainer(nn.Linear(64, 16), nn.ReLU()),
        layer.MultiStepContainer(neuron.LIFNode(), nn.Linear(16, 10)),
    )  # fmt: skip
    return SpikingNetwork(Direct(T=T), body)


def single(net):
    net = copy.deepcopy(net)
    functional.set_step_mode(net.body, "s")
    return net


def make_mlp():
    return mlp((1, 8, 8), 10, hidden=(8, 16), encoder=Latency(T=T))


NETWORKS = {
    "multi": make_mlp,
    "single": lambda: single(make_mlp()),
    "cnn": lambda: cnn((1, 8, 8), 10, channels=(4,), hidden=16, encoder=Direct(T=T)),
    "boxed": boxed,
}


def trains(net, x):
    """``[T, N, *]`` of every leaf of a plain multi-step Sequential, by running it by hand."""
    s = net.encode(torch.from_numpy(x))
    found = {"encoder": s}
    for index, module in enumerate(net.body):
        s = module(s)
        found[f"body.{index}"] = s.detach().clone()
    functional.reset_net(net.body)
    return found


def test_layer_names_are_dotted_and_in_order():
    assert wrap(make_mlp()).layer_names == ["encoder", *[f"body.{i}" for i in range(6)], "decoder"]
    assert wrap(boxed()).layer_names == ["encoder", "body.0", "body.1.0", "body.1.1", "body.2.0", "body.2.1", "decoder"]


@pytest.mark.parametrize("name", ["multi", "single"])
@pytest.mark.parametrize("count", [T, 1, 6])
def test_values_with_every_treatment_of_time(name, count):
    """N = T, and N = T = width, where shapes alone cannot tell samples from steps."""
    clf, x = wrap(NETWORKS[name]()), images(count)
    expected = trains(make_mlp().eval(), x)
    for layer_name, train in expected.items():
        train = train.numpy()
        assert np.allclose(clf.get_activations(x, layer_name), train.mean(0), atol=1e-6), layer_name
        assert np.allclose(clf.get_activations(x, layer_name, time="last"), train[-1], atol=1e-6)
        steps = clf.get_activations(x, layer_name, time="none")
        assert np.allclose(steps, train.swapaxes(0, 1), atol=1e-6)


def test_a_stepped_layer_whose_width_and_batch_equal_the_number_of_steps():
    net = mlp((1, 8, 8), 10, hidden=(8,), encoder=Direct(T=8))
    x = images(8)
    multi, one = wrap(net), wrap(single(net))
    for name in ("body.1", "body.2"):
        assert np.allclose(multi.get_activations(x, name), one.get_activations(x, name), atol=1e-6)


def test_one_time_step():
    net = mlp((1, 8, 8), 10, hidden=(8,), encoder=Direct(T=1))
    for count in (1, 3):
        multi, one = wrap(net), wrap(single(net))
        for name in multi.layer_names:
            a, b = multi.get_activations(images(count), name), one.get_activations(images(count), name)
            assert a.shape[0] == count
            assert np.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_layer_has_one_row_per_sample_in_any_batch_size(name):
    clf, x = wrap(NETWORKS[name]()), images(9)
    for layer_name in clf.layer_names:
        whole = clf.get_activations(x, layer_name)
        assert whole.shape[0] == 9
        assert np.allclose(whole, clf.get_activations(x, layer_name, batch_size=4), atol=1e-5)


def test_layers_inside_containers_are_put_in_order():
    net = boxed().eval()
    clf, x = wrap(net), images()
    flat = net.encode(torch.from_numpy(x)).flatten(2)
    linear = net.body[1][0](flat)
    assert np.allclose(clf.get_activations(x, "body.1.0", time="none"), linear.transpose(0, 1).detach(), atol=1e-6)
    spikes = clf.get_activations(x, "body.2.0", time="none")
    assert set(np.unique(spikes)) <= {0.0, 1.0}
    out = clf.get_activations(x, "body.2.1", time="none")
    assert np.allclose(out, net.body[2][1](torch.from_numpy(spikes)).detach(), atol=1e-6)


def test_the_decoder_gives_the_logits():
    clf = wrap(make_mlp())
    assert np.array_equal(clf.get_activations(images(), "decoder"), clf.predict(images()))


def test_indices_and_names():
    clf = wrap(make_mlp())
    for index, name in enumerate(clf.layer_names):
        assert np.array_equal(clf.get_activations(images(), index), clf.get_activations(images(), name))
    assert np.array_equal(clf.get_activations(images(), -1), clf.predict(images()))


@pytest.mark.parametrize(
    ("layer_name", "error"),
    [
        ("body.99", ValueError), (8, ValueError), (-9, ValueError), (None, TypeError), (1.0, TypeError),
        (True, TypeError),
    ],
)  # fmt: skip
def test_layers_that_do_not_exist(layer_name, error):
    with pytest.raises(error, match="layer="):
        wrap(make_mlp()).get_activations(images(), layer_name)


def test_an_unknown_treatment_of_time():
    with pytest.raises(ValueError, match="time='mean'"):
        wrap(make_mlp()).get_activations(images(), 0, time="median")


def test_a_layer_that_is_never_called():
    net = make_mlp()
    net.body.add_module("spare", nn.Sequential())
    net.body.spare.add_module("idle", nn.Linear(2, 2))
    net.body.spare.forward = lambda x: x
    with pytest.raises(ValueError, match=r"'body.spare.idle', which the forward pass never calls"):
        wrap(net).get_activations(images(), "body.spare.idle")


@pytest.mark.parametrize("name", ["multi", "single"])
def test_framework_keeps_the_gradient(name):
    clf = wrap(NETWORKS[name]())
    x = torch.from_numpy(images()).requires_grad_(True)
    active = clf.get_activations(x, "body.2", framework=True)
    assert isinstance(active, torch.Tensor)
    assert np.allclose(active.detach(), clf.get_activations(images(), "body.2"), atol=1e-6)
    assert (torch.autograd.grad(active.sum(), x)[0] != 0).any()
    weights = clf.get_activations(images(), "body.2", framework=True)
    assert torch.autograd.grad(weights.sum(), clf.model.body[1].weight)[0].abs().sum() > 0


def test_no_hook_stays():
    clf = wrap(make_mlp())
    clf.get_activations(images(), "body.2")
    with pytest.raises(ValueError, match="spike train"):
        SNNClassifier.get_activations(wrap_wrong(clf), images(), "body.2")
    assert not any(module._forward_hooks for module in clf.model.modules())


def wrap_wrong(clf):
    wrong = copy.copy(clf)
    clf.model.body[3] = layer.Linear(3, 3, step_mode="m")
    return wrong


def test_draws_are_averaged():
    net = mlp((1, 8, 8), 10, hidden=(8,), encoder=Poisson(T=T, seed=1))
    net.votes = 3
    clf, x = wrap(net), images()
    steps = clf.get_activations(x, "encoder", time="none")
    assert set(np.round(np.unique(steps) * 3, 5)) == {0.0, 1.0, 2.0, 3.0}
    single_step = wrap(single(net))
    net.reseed()
    single_step.model.reseed()
    for name in ("body.2", "decoder"):
        assert np.allclose(clf.get_activations(x, name), single_step.get_activations(x, name), atol=1e-6)

"""Gradients: those of autograd, those of ART, and nothing left behind."""

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import surrogate
from torch import nn

from art_snn import SNNClassifier
from art_snn.coding import Direct, Latency
from art_snn.gradients import Surrogate
from art_snn.networks import cnn, mlp


@pytest.fixture
def batch(digits):
    return digits[2][:12], digits[3][:12]


def one_hot(y):
    return np.eye(10, dtype=np.float32)[y]


def autograd(clf, x, y):
    clf.model.eval()
    clf.model.reseed()
    source = torch.from_numpy(x).requires_grad_(True)
    loss = nn.functional.cross_entropy(clf.model(source), torch.from_numpy(y))
    return torch.autograd.grad(loss, source)[0].numpy()


def plain(clf, loss=None):
    return PyTorchClassifier(clf.model, loss or nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))


@pytest.mark.parametrize("code", ["direct", "latency", "poisson"])
def test_loss_gradient_is_autograd_and_arts_own(code, trained, batch):
    clf, (x, y) = trained(code), batch
    expected = autograd(clf, x, y)
    assert np.abs(expected).max() > 0
    for labels in (y, y[:, None], one_hot(y), list(y), torch.from_numpy(y), torch.from_numpy(one_hot(y))):
        clf.model.reseed()
        assert np.array_equal(clf.loss_gradient(x, labels), expected)
    clf.model.reseed()
    assert np.allclose(plain(clf).loss_gradient(x, one_hot(y)), expected, atol=1e-7)


def test_loss_gradient_of_a_tensor_is_a_tensor(trained, batch):
    clf, (x, y) = trained("latency"), batch
    source = torch.from_numpy(x)
    grad = clf.loss_gradient(source, y)
    assert isinstance(grad, torch.Tensor)
    assert np.array_equal(grad.numpy(), clf.loss_gradient(x, y))
    assert not source.requires_grad
    assert source.grad is None


def test_a_row_of_probabilities_is_a_label_too(trained, batch):
    clf, (x, y) = trained("latency"), batch
    soft = 0.9 * one_hot(y) + 0.01
    expected = clf.loss_gradient(x, soft)
    assert np.allclose(expected, plain(clf).loss_gradient(x, soft), atol=1e-7)


@pytest.mark.parametrize("call", ["loss_gradient", "class_gradient"])
def test_parameters_keep_their_grad(call, trained, batch):
    clf, (x, y) = trained(), batch
    marks = {name: torch.full_like(p, 3.0) for name, p in clf.model.named_parameters()}
    for name, p in clf.model.named_parameters():
        p.grad = marks[name].clone()
    clf.loss_gradient(x, y) if call == "loss_gradient" else clf.class_gradient(x)
    for name, p in clf.model.named_parameters():
        assert torch.equal(p.grad, marks[name])
        p.grad = None


def test_batch_norm_statistics_are_untouched(batch):
    clf = SNNClassifier(cnn((1, 8, 8), 10, channels=(4,), hidden=8), nn.CrossEntropyLoss(), (1, 8, 8), 10)
    clf.model.train()
    before = {name: value.clone() for name, value in clf.model.state_dict().items()}
    clf.loss_gradient(*batch)
    clf.class_gradient(batch[0])
    clf.get_activations(batch[0], 0)
    assert all(torch.equal(before[name], value) for name, value in clf.model.state_dict().items())
    clf.loss_gradient(*batch, training_mode=True)
    assert not all(torch.equal(before[name], value) for name, value in clf.model.state_dict().items())


@pytest.mark.parametrize("code", ["direct", "latency", "poisson"])
def test_class_gradient_is_the_loop_over_classes(code, trained, batch):
    clf, (x, _) = trained(code), batch
    clf.model.reseed()
    source = torch.from_numpy(x).requires_grad_(True)
    z = clf.model(source)
    loop = [torch.autograd.grad(z[:, k].sum(), source, retain_graph=True)[0] for k in range(10)]
    expected = torch.stack(loop, 1).numpy()
    clf.model.reseed()
    everything = clf.class_gradient(x)
    assert everything.shape == (12, 10, 1, 8, 8)
    assert np.allclose(everything, expected, atol=1e-6)
    clf.model.reseed()
    assert np.allclose(clf.class_gradient(x, 3), expected[:, 3:4], atol=1e-6)
    picked = np.arange(12) % 10
    for labels in (picked, list(picked)):
        clf.model.reseed()
        assert np.allclose(clf.class_gradient(x, labels), expected[np.arange(12), picked][:, None], atol=1e-6)
    clf.model.reseed()
    tensor = clf.class_gradient(torch.from_numpy(x))
    assert torch.allclose(tensor, torch.from_numpy(expected), atol=1e-6)


@pytest.mark.parametrize("label", [None, 3, np.arange(12) % 10])
def test_class_gradient_is_arts_own(label, trained, batch):
    clf = trained("latency")
    assert np.allclose(clf.class_gradient(batch[0], label), plain(clf).class_gradient(batch[0], label), atol=1e-6)


@pytest.mark.parametrize("label", [10, -1, np.full(12, 10), np.arange(5)])
def test_class_gradient_of_a_class_that_does_not_exist(label, trained, batch):
    with pytest.raises(ValueError, match=r"0\.\.9|broadcast|shape"):
        trained().class_gradient(batch[0], label)


class Looped(nn.Module):
    """A body with an autograd function that vmap does not know, so that batched gradients have to fall back."""

    class Old(torch.autograd.Function):
        @staticmethod
        def forward(ctx, s):
            return s * 2

        @staticmethod
        def backward(ctx, grad):
            return torch.from_numpy(grad.numpy() * 2)

    def forward(self, s):
        return self.Old.apply(s.flatten(2)[..., :10])


def test_class_gradient_falls_back_to_the_loop(batch):
    from art_snn import SpikingNetwork
    from art_snn.coding import MembraneMean

    net = SpikingNetwork(Direct(T=1), Looped(), MembraneMean(tau=1.0))
    clf = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10)
    grads = clf.class_gradient(batch[0]).reshape(12, 10, 64)
    assert np.array_equal(grads, np.broadcast_to(2 * np.eye(10, 64, dtype=np.float32), grads.shape))


@pytest.mark.parametrize("labels", [lambda y: y, one_hot])
def test_compute_loss(labels, trained, batch):
    clf, (x, y) = trained("latency"), batch
    each = nn.functional.cross_entropy(torch.from_numpy(clf.predict(x)), torch.from_numpy(y), reduction="none").numpy()
    assert np.allclose(clf.compute_loss(x, labels(y)), each, atol=1e-6)
    assert np.allclose(clf.compute_loss(x, labels(y), reduction="none"), each, atol=1e-6)
    assert clf.compute_loss(x, labels(y), reduction="mean") == pytest.approx(each.mean(), abs=1e-6)
    assert clf.compute_loss(x, labels(y), reduction="sum") == pytest.approx(each.sum(), abs=1e-5)
    assert clf.loss.reduction == "mean"


def test_standardization_in_front_of_a_direct_code(batch):
    """Through the torch chain, and through ART's numpy chain after set_params."""
    x, y = batch
    net = mlp((1, 8, 8), 10, hidden=(32,), encoder=Direct(T=4))
    clf = SNNClassifier(
        net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), preprocessing=(0.3, 0.5)
    )  # fmt: skip
    source = torch.from_numpy(x).requires_grad_(True)
    z = net((source - 0.3) / 0.5)
    grad = torch.autograd.grad(nn.functional.cross_entropy(z, torch.from_numpy(y)), source)[0].numpy()
    per_class = torch.autograd.grad(net((source - 0.3) / 0.5)[:, 4].sum(), source)[0].numpy()
    for _ in range(2):
        assert np.allclose(clf.predict(x), z.detach().numpy(), atol=1e-6)
        assert np.allclose(clf.loss_gradient(x, y), grad, atol=1e-6)
        assert np.allclose(clf.class_gradient(x, 4)[:, 0], per_class, atol=1e-6)
        clf.set_params(preprocessing=(0.3, 0.5))
    with pytest.raises(NotImplementedError, match="both of one kind"):
        clf.loss_gradient(torch.from_numpy(x), y)


def test_a_policy_is_the_same_on_classifier_and_network(trained, batch):
    clf, (x, y) = trained("latency"), batch
    own, z = clf.loss_gradient(x, y), clf.predict(x)
    policy = Surrogate(surrogate.ATan(), sharpness=8.0)
    with clf.gradient(policy) as inside:
        assert inside is clf
        steered = clf.loss_gradient(x, y)
        assert np.array_equal(steered, autograd(clf, x, y))
        assert np.array_equal(clf.predict(x), z)
    assert not np.array_equal(steered, own)
    with clf.model.gradient(policy):
        assert np.array_equal(clf.loss_gradient(x, y), steered)
    assert np.array_equal(clf.loss_gradient(x, y), own)


@pytest.mark.parametrize("code", ["direct", "latency", "poisson"])
def test_the_spike_edge(code, trained, batch):
    clf, (x, y) = trained(code), batch
    z = clf.predict(x)
    clf.model.reseed()
    train = clf.model.encode(torch.from_numpy(x)).transpose(0, 1).numpy()
    edge = clf.at_spikes()
    assert edge.input_shape == train.shape[1:]
    assert np.allclose(edge.predict(train), z, atol=1e-6)
    assert edge.loss_gradient(train, y).shape == train.shape
    assert np.allclose(edge.clip_values, (0.0, 1.0))
    assert edge.loss is clf.loss


def test_the_spike_edge_does_not_consume_random_numbers(trained, batch):
    clf = trained("poisson")
    expected = clf.predict(batch[0])
    clf.model.reseed()
    clf.at_spikes()
    assert np.array_equal(clf.predict(batch[0]), expected)


def test_the_spike_edge_of_a_standardized_classifier_has_standardized_clip_values(batch):
    net = mlp((1, 8, 8), 10, hidden=(32,), encoder=Direct(T=4))
    clf = SNNClassifier(
        net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0), preprocessing=(0.5, 0.25)
    )  # fmt: skip
    edge = clf.at_spikes()
    assert np.allclose(edge.clip_values, (-2.0, 2.0))
    train = net.encode(torch.from_numpy((batch[0] - 0.5) / 0.25)).transpose(0, 1).numpy()
    assert np.allclose(edge.predict(train), clf.predict(batch[0]), atol=1e-6)


class Cut(nn.Module):
    def forward(self, s):
        return s.detach().flatten(2)[..., :10]


class Flat(nn.Module):
    def forward(self, s):
        return s.flatten(2)[..., :10] * 0


def test_a_network_without_a_gradient_is_refused_and_one_with_zeros_announced():
    from art_snn import SpikingNetwork
    from art_snn.errors import GradientWarning

    def make(body, encoder):
        return SNNClassifier(SpikingNetwork(encoder, body), nn.CrossEntropyLoss(), (1, 8, 8), 10)

    with pytest.raises(ValueError, match="no input gradient"):
        make(Cut(), Direct(T=2))
    with pytest.warns(GradientWarning, match="exactly zero"):
        make(Flat(), Direct(T=2))
    with pytest.warns(GradientWarning, match="is not robustness"):
        make(nn.Sequential(nn.Flatten(2), nn.Linear(64, 10)), Latency(T=2, backward="masked"))


@pytest.mark.parametrize(("clip", "passed_on"), [(None, None), ((-1.0, 2.0), (-1.0, 2.0))])
def test_an_analog_code_passes_its_range_on_to_the_spike_edge(clip, passed_on):
    net = mlp((1, 8, 8), 10, hidden=(4,), encoder=Direct(T=2))
    edge = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=clip).at_spikes()
    found = edge.clip_values
    assert found is None if passed_on is None else tuple(map(float, found)) == passed_on

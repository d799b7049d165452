"""The canary that stands in for ART's reference classifier: it computes the same, and misuse shows."""

import copy

import art_canary
import numpy as np
import pytest
import torch
from art.attacks.evasion import AutoProjectedGradientDescent, ProjectedGradientDescent
from art.defences.detector.evasion import BinaryActivationDetector
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn.spiking import memory_modules


class Reference(nn.Module):
    """ART's network, without time."""

    def __init__(self, body, logits):
        super().__init__()
        self.conv, self.pool = body.conv, body.pool
        self.fullyconnected = nn.Linear(body.fullyconnected.in_features, 10)
        self.fullyconnected.weight, self.fullyconnected.bias = body.fullyconnected.weight, body.fullyconnected.bias
        self.logits = logits

    def forward(self, x):
        z = self.fullyconnected(self.pool(torch.relu(self.conv(x))).flatten(1))
        return z if self.logits else z.softmax(1)


@pytest.fixture(params=[(True, True), (False, True), (True, False)], ids=["logits", "probabilities", "no pooling"])
def pair(request):
    logits, pooled = request.param
    torch.manual_seed(0)
    net = art_canary.network(from_logits=logits, use_maxpool=pooled).eval()
    return net, Reference(net.body, logits).eval()


@pytest.fixture
def x():
    return torch.rand(7, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def test_it_is_the_reference_network_to_the_bit(pair, x):
    net, reference = pair
    assert torch.equal(net(x), reference(x))


def test_its_gradients_are_those_of_the_reference(pair, x):
    found = []
    for module in pair:
        source = x.clone().requires_grad_(True)
        value = (module(source) * torch.arange(10)).sum()
        names = dict(module.named_parameters())
        weights = [names[name] for name in names if name.endswith(("conv.weight", "fullyconnected.weight"))]
        found.append(torch.autograd.grad(value, [source, *weights]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_every_layer_has_the_time_mean_of_the_reference_and_not_its_last_step(pair, x):
    net, reference = pair
    clf = art_canary.classifier(net)
    conv = reference.conv(x).detach().numpy()
    relu = np.maximum(conv, 0)
    assert np.array_equal(clf.get_activations(x.numpy(), "body.conv"), conv)
    assert np.array_equal(clf.get_activations(x.numpy(), "body.relu"), relu)
    assert np.array_equal(clf.get_activations(x.numpy(), "body.relu", time="last"), art_canary.STEPS * relu)


def test_the_gradient_of_a_layer_is_that_of_the_reference(pair, x):
    """What ART's test asks for, by the name of the layer and not by its place among the children."""
    net, reference = pair
    poison, target = x[:1].clone().requires_grad_(True), x[1:2]
    distance = torch.norm(torch.relu(reference.conv(poison)) - torch.relu(reference.conv(target)), p=2)
    clf = art_canary.classifier(net)
    found = clf.custom_loss_gradient(torch.norm, x[:1].numpy(), x[1:2].numpy(), "body.relu")
    expected = torch.autograd.grad(distance, poison)[0].numpy()
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_detector_of_activations_works_on_the_convolution(x):
    """ART's test asks for layer 0, which is the spike code here; the convolution has another number."""
    clf = art_canary.classifier(art_canary.network(from_logits=True))
    small = nn.Sequential(nn.MaxPool2d(2, 2), nn.Flatten(), nn.Linear(121, 2))
    adam = torch.optim.Adam(small.parameters(), lr=0.01)
    eye = PyTorchClassifier(small, nn.CrossEntropyLoss(), (1, 22, 22), 2, adam, device_type="cpu")
    number = clf.layer_names.index("body.conv")
    detector = BinaryActivationDetector(classifier=clf, detector=eye, layer=number)
    images = np.concatenate([x.numpy(), 1 - 0.2 * x.numpy()])
    detector.fit(images, np.eye(2)[[0] * 7 + [1] * 7], nb_epochs=30, batch_size=7)
    assert detector.detect(images)[1].tolist() == [False] * 7 + [True] * 7


def test_a_missed_reset_yields_nan(x):
    net = art_canary.network().eval()
    for module in memory_modules(net):
        module.reset = lambda: None
    assert torch.isfinite(net(x)).all()
    assert torch.isnan(net(x)).all()


def test_a_stale_graph_is_an_error(x):
    """Within one call the state keeps the graph; two passes without reset in one call would be differentiated twice."""
    body = art_canary.network().body
    first = sum(body(x.requires_grad_(True)) for _ in range(2)).sum()
    first.backward()
    second = sum(body(x) for _ in range(2)).sum()
    with pytest.raises(RuntimeError, match="second time"):
        second.backward()


def test_it_survives_what_attacks_do(x):
    """Attacks through the classifier, through one rebuilt around the module, and on a copy: the same function."""
    net = art_canary.network(from_logits=True).eval()
    clf = art_canary.classifier(net)
    plain = PyTorchClassifier(
        Reference(net.body, True).eval(), nn.CrossEntropyLoss(reduction="sum"), (1, 28, 28), 10, clip_values=(0, 1),
        device_type="cpu",
    )  # fmt: skip
    y = plain.predict(x.numpy()).argmax(1)
    for estimators in ((clf, plain), (copy.deepcopy(clf), plain)):
        found = [
            ProjectedGradientDescent(one, eps=0.3, eps_step=0.1, max_iter=3, verbose=False).generate(x.numpy(), y)
            for one in estimators
        ]
        np.testing.assert_allclose(*found, atol=1e-6)
    attack = AutoProjectedGradientDescent(
        clf, eps=0.3, max_iter=3, nb_random_init=1, loss_type="cross_entropy", verbose=False
    )
    assert np.isfinite(attack.generate(x.numpy(), y)).all()
    assert np.isfinite(clf.predict(x.numpy())).all()

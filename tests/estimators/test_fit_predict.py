"""Training and predicting as an ART PyTorchClassifier."""

import numpy as np
import pytest
import torch
from art.data_generators import DataGenerator, PyTorchDataGenerator
from art.estimators.classification import PyTorchClassifier
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from art_snn import SNNClassifier
from art_snn.errors import RepeatWarning
from art_snn.networks import mlp


def accuracy(clf, x, y):
    return float((clf.predict(x).argmax(1) == y).mean())


@pytest.mark.parametrize("code", ["direct", "latency", "poisson"])
def test_training_learns_the_digits(code, trained, digits):
    _, _, x, y = digits
    assert accuracy(trained(code), x, y) > 0.88


@pytest.mark.parametrize("one_hot", [False, True])
def test_fit_lowers_the_loss(one_hot, classifier, digits):
    x, y = digits[0][:400], digits[1][:400]
    clf = classifier("latency")
    losses = [clf.compute_loss(x, y, reduction="mean")]
    for _ in range(3):
        clf.fit(x, np.eye(10, dtype=np.float32)[y] if one_hot else y, batch_size=32, nb_epochs=2)
        losses.append(clf.compute_loss(x, y, reduction="mean"))
    assert losses == sorted(losses, reverse=True)


def test_fit_is_repeatable_under_torchs_seed(classifier, digits):
    x, y, _, _ = digits
    results = []
    for _ in range(2):
        clf = classifier("poisson")
        torch.manual_seed(5)
        clf.fit(x[:128], y[:128], batch_size=32, nb_epochs=1)
        results.append(clf.model.body[1].weight.detach().clone())
    assert torch.equal(*results)


def test_fit_wants_an_optimizer(digits):
    x, y, _, _ = digits
    clf = SNNClassifier(mlp((1, 8, 8), 10), nn.CrossEntropyLoss(), (1, 8, 8), 10)
    with pytest.raises(ValueError, match=r"torch.optim.Adam\(net.parameters\(\)\)"):
        clf.fit(x, y)
    with pytest.raises(ValueError, match="without optimizer"):
        clf.clone_for_refitting()


@pytest.mark.parametrize("code", ["direct", "latency"])
@pytest.mark.parametrize("batch_size", [1, 7, 64, 1000])
def test_predict_does_not_depend_on_the_batch_size(code, batch_size, trained, digits):
    clf, x = trained(code), digits[2]
    assert np.allclose(clf.predict(x, batch_size=batch_size), clf.predict(x, batch_size=50), atol=1e-5)


def test_a_reseeded_poisson_network_does_not_depend_on_the_batch_size_either(trained, digits):
    clf, x = trained("poisson"), digits[2]
    whole = clf.predict(x, batch_size=200)
    for size in (1, 33):
        clf.model.reseed()
        assert np.allclose(clf.predict(x, batch_size=size), whole, atol=1e-5)


def test_predict_is_the_network(trained, digits):
    clf, x = trained("latency"), digits[2]
    z = clf.predict(x)
    assert z.dtype == np.float32
    assert np.array_equal(z, clf.model(torch.from_numpy(x)).detach().numpy())
    assert np.array_equal(clf.predict(x=x, y=digits[3]), z)
    assert np.array_equal(clf.predict(x.astype(np.float64)), z)
    assert np.array_equal(clf.predict(torch.from_numpy(x)), z)
    assert np.array_equal(clf.predict(x), PyTorchClassifier.predict(clf, x))


def test_predict_leaves_the_mode_as_art_does(trained, digits):
    clf = trained()
    clf.predict(digits[2], training_mode=True)
    assert clf.model.training
    clf.predict(digits[2])
    assert not clf.model.training


def test_the_input_is_not_written_to(trained, digits):
    clf, x = trained("latency"), digits[2][:8].copy()
    y = digits[3][:8]
    clf.predict(x)
    clf.loss_gradient(x, y)
    clf.class_gradient(x)
    assert np.array_equal(x, digits[2][:8])


class Generic(DataGenerator):
    """Batches by hand."""

    def __init__(self, x, y):
        super().__init__(size=len(x), batch_size=50)
        self.x, self.y, self.at = x, y, 0

    def get_batch(self):
        self.at = (self.at + 50) % len(self.x)
        return self.x[self.at : self.at + 50], self.y[self.at : self.at + 50]


def loader(x, y):
    data = TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    return PyTorchDataGenerator(DataLoader(data, batch_size=48), size=len(x), batch_size=48)


@pytest.mark.parametrize("labels", ["index", "one-hot"])
@pytest.mark.parametrize("generator", [Generic, loader])
def test_fit_generator(generator, labels, classifier, digits):
    x, y = digits[0][:200], digits[1][:200]
    clf = classifier("direct")
    before = clf.compute_loss(x, y, reduction="mean")
    clf.fit_generator(generator(x, y if labels == "index" else np.eye(10, dtype=np.float32)[y]), nb_epochs=3)
    assert clf.compute_loss(x, y, reduction="mean") < before


def test_one_epoch_of_a_loader_is_one_pass(classifier, digits):
    x, y = digits[0][:100], digits[1][:100]
    by_generator, by_hand = classifier("direct"), classifier("direct")
    by_generator.fit_generator(loader(x, y), nb_epochs=2)
    for _ in range(2):
        for start in range(0, 100, 48):
            by_hand.fit(x[start : start + 48], y[start : start + 48], batch_size=48, nb_epochs=1)
    for a, b in zip(by_generator.model.parameters(), by_hand.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)  # fit shuffles inside a batch, which changes the order of sums


def test_fit_generator_wants_a_generator(classifier, digits):
    with pytest.raises(TypeError, match="PyTorchDataGenerator"):
        classifier().fit_generator(DataLoader(TensorDataset(torch.from_numpy(digits[0]))))


class Drifting(nn.Module):
    """Keeps a state that nobody can reset."""

    calls = 0

    def forward(self, s):
        self.calls += 1
        return s.flatten(2)[..., :10] * self.calls


def test_a_network_that_does_not_repeat_is_announced():
    from art_snn import SpikingNetwork
    from art_snn.coding import Direct

    with pytest.warns(RepeatWarning, match="keeps a state"):
        SNNClassifier(SpikingNetwork(Direct(T=2), Drifting()), nn.CrossEntropyLoss(), (1, 8, 8), 10)

"""Contract, clause 4: every random number comes from the network's own seeded streams."""

import copy
import pickle

import pytest
import torch
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, MembraneMean, Poisson
from art_snn.coding.draws import SeededDraws
from art_snn.networks import mlp
from art_snn.networks.replay import replayed


def network(T=4, seed=0, **kwargs):
    net = mlp((1, 8, 8), 10, hidden=(20,), encoder=Poisson(T=T, seed=seed)).eval()
    for name, value in kwargs.items():
        setattr(net, name, value)
    return net


def images(count=6):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(3))


def linear(T=1, **kwargs):
    """Logit k is the mean spike count of pixel k: the mean and variance over draws are known."""
    torch.manual_seed(0)
    body = nn.Flatten(2)
    return SpikingNetwork(Poisson(T=T, seed=0), body, MembraneMean(tau=1.0), **kwargs).eval()


def test_same_seed_same_result():
    assert torch.equal(network(seed=7)(images()), network(seed=7)(images()))
    assert not torch.equal(network(seed=7)(images()), network(seed=8)(images()))


def test_each_call_takes_fresh_draws():
    net = network()
    assert not torch.equal(net(images()), net(images()))


def test_reseed_rewinds():
    net = network(seed=7)
    first, second = net(images()), net(images())
    net.reseed()
    assert torch.equal(net(images()), first)
    assert torch.equal(net(images()), second)
    net.reseed(9)
    other = net(images())
    assert not torch.equal(other, first)
    assert torch.equal(network(seed=9)(images()), other)
    net.reseed()
    assert torch.equal(net(images()), first)


@pytest.mark.parametrize("size", [1, 4, 17])
def test_the_draws_of_a_sample_do_not_depend_on_the_batch_split(size):
    like = torch.zeros(33, 2, 5, 3)
    whole = SeededDraws(5).uniform(7, like)
    stream = SeededDraws(5)
    parts = torch.cat([stream.uniform(7, part) for part in like.split(size)], dim=1)
    assert torch.equal(whole, parts)


def test_a_batch_split_with_the_same_seed_gives_the_same_spikes_and_logits():
    net = network()
    whole = net.encode(images())
    logits = (net.reseed(), net(images()))[1]
    net.reseed()
    assert torch.equal(torch.cat([net.encode(row[None]) for row in images()], dim=1), whole)
    net.reseed()
    assert torch.allclose(torch.cat([net(row[None]) for row in images()]), logits, atol=1e-6)


def test_the_global_generator_is_neither_read_nor_moved():
    net = network()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = net(images().requires_grad_(True))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    net.reseed()
    assert torch.equal(net(images()), first)


def test_copies_continue_the_stream_on_their_own():
    net = network()
    net(images())
    clones = copy.deepcopy(net), pickle.loads(pickle.dumps(net))  # noqa: S301
    following = net(images())
    for clone in clones:
        assert torch.equal(clone(images()), following)


def test_is_stochastic():
    assert network().is_stochastic
    assert not mlp((1, 8, 8), 10).is_stochastic


class Noise(nn.Module):
    """A random layer that follows the convention: ``is_stochastic`` and ``reseed``."""

    is_stochastic = True

    def __init__(self):
        super().__init__()
        self.reseed()

    def reseed(self, seed=None):
        self.generator = torch.Generator().manual_seed(seed or 0)

    def forward(self, x):
        return x + torch.randn(x.shape, generator=self.generator)


def test_a_random_module_of_the_body_counts_and_is_reseeded():
    net = SpikingNetwork(Direct(T=2), nn.Sequential(nn.Flatten(2), Noise()), eot=3)
    assert net.is_stochastic
    first = net(images())
    assert not torch.equal(net(images()), first)
    net.reseed()
    assert torch.equal(net(images()), first)
    assert net.draws(images().requires_grad_(True)) == 3


def test_eot_is_for_gradients_and_votes_for_predictions():
    net = network(eot=5, votes=3)
    x = images()
    assert net.draws(x) == 3
    assert net.draws(x.clone().requires_grad_(True)) == 5
    with torch.no_grad():
        assert net.draws(x.clone().requires_grad_(True)) == 3
    assert net.train().draws(x) == 5
    assert mlp((1, 8, 8), 10).draws(x) == 1


@pytest.mark.parametrize("name", ["eot", "votes"])
def test_draws_are_averaged(name):
    net = network(**{name: 4})
    x = images().requires_grad_(name == "eot")
    mean = net(x)
    single = network()
    each = torch.stack([single(images()) for _ in range(4)])
    assert torch.allclose(mean, each.mean(0), atol=1e-6)


@pytest.mark.parametrize("name", ["eot", "votes"])
def test_the_variance_falls_as_one_over_n(name):
    """Var of a mean of n Bernoulli draws is x(1 - x)/n, exactly; estimated from 4000 independent logits."""
    x = torch.full((1000, 1, 2, 2), 0.3).requires_grad_(name == "eot")
    for n in (1, 4, 16):
        z = linear(**{name: n})(x).detach()
        expected = 0.3 * 0.7 / n
        spread = expected * (2 / z.numel()) ** 0.5 * 3  # three standard errors of a variance, and the kurtosis' share
        assert abs(z.mean() - 0.3) < 4 * (expected / z.numel()) ** 0.5
        assert abs(z.var() - expected) < 2 * spread


def test_the_gradient_is_that_of_the_averaged_logits():
    net = linear(eot=4)
    x = images().requires_grad_(True)
    grad = torch.autograd.grad(net(x)[:, 5].sum(), x)[0].flatten(1)
    assert torch.allclose(grad[:, 5], torch.ones(6))
    assert grad.sum() == pytest.approx(6)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
@pytest.mark.parametrize("name", ["eot", "votes"])
def test_invalid_numbers_of_draws(name, value):
    with pytest.raises(ValueError, match=f"{name} = "):
        SpikingNetwork(Poisson(T=2), nn.Flatten(2), **{name: value})
    net = network()
    with pytest.raises(ValueError, match=f"net.{name} = 10"):
        setattr(net, name, value)
    assert getattr(net, name) == 1


def test_streams_of_a_device_that_is_not_here_are_left_out(monkeypatch):
    """Pickled beside a GPU, restored without one: the streams of this device go on as they were."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    there, x = SeededDraws(5), torch.zeros(3)
    there.uniform(4, x)
    state = there.__getstate__()
    state["states"]["cuda:0"] = torch.zeros(16, dtype=torch.uint8)
    here = SeededDraws(0)
    here.__setstate__(state)
    assert here.seed == 5
    assert torch.equal(here.uniform(4, x), there.uniform(4, x))


class OwnGenerator(nn.Module):
    """Noise from a generator that is an attribute, as modules outside this package have it."""

    def __init__(self):
        super().__init__()
        self.generator, self.flatten = torch.Generator().manual_seed(3), nn.Flatten(2)

    def forward(self, s):
        return self.flatten(s + torch.rand(s.shape, generator=self.generator))


def test_a_replay_uses_up_no_number_of_a_generator():
    net, x = SpikingNetwork(Direct(T=2), OwnGenerator()), images(2)
    untouched = copy.deepcopy(net)
    for _ in range(2):
        with replayed(net):
            inside = net(x)
    assert torch.equal(inside, untouched(x))
    assert torch.equal(net(x), inside)
    assert not torch.equal(net(x), inside)

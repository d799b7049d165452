"""A batch in pieces gives what the whole batch gives, and takes no more memory than it may."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from art_snn import SpikingNetwork
from art_snn.coding import Direct, Poisson
from art_snn.coding.draws import SeededDraws, keyed_draws
from art_snn.coding.randomized import SpikeJitter
from art_snn.coding.transform import Transformed
from art_snn.gradients import ASSG, BPTR, Ensemble, Surrogate
from art_snn.networks import cnn, memory
from art_snn.networks.memory import Footprint, Pieces
from art_snn.networks.operations import counting


def images(count=20):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network(limit, **more):
    torch.manual_seed(0)
    net = cnn((1, 8, 8), 5, channels=(4, 6), hidden=12, **{"encoder": Direct(T=6), **more}).eval()
    for weight in net.parameters():  # so that every layer fires
        weight.data.mul_(2)
    net.max_memory = limit
    return net


def near(one, other, share=1e-5):
    """Sums over samples come in another order: compare with the largest entry."""
    if one is None or other is None:
        return one is other
    return float((one - other).detach().abs().max()) <= share * max(float(other.detach().abs().max()), 1e-6)


def sizes(net, x):
    """Batch sizes that the body sees."""
    found = []
    hook = net.body.register_forward_hook(lambda _, args, __: found.append(args[0].shape[1]))
    z = net(x)
    hook.remove()
    return found, z


@pytest.mark.parametrize("policy", [None, Surrogate("atan", 8.0), BPTR(), Ensemble([Surrogate("atan", 8.0), BPTR()])])
def test_pieces_are_the_whole(policy):
    found = []
    assert len(network(None)(images()).unique()) > 20
    for net in (network(None), network(200_000)):
        x = images().requires_grad_(True)
        with net.gradient(policy or Surrogate("atan", 2.0)):
            z = net(x)
        weights = torch.arange(z.numel(), dtype=z.dtype).view(z.shape).sin()
        found.append((z.detach(), *torch.autograd.grad((z * weights).sum(), [x, *net.parameters()], allow_unused=True)))
    assert torch.equal(found[0][0], found[1][0])
    assert all(near(a, b) for a, b in zip(*found, strict=True))


def test_the_limit_decides_the_size_of_a_piece():
    net = network(200_000)
    with torch.no_grad():
        pieces, _ = sizes(net, images())
    ((count, _),) = net._footprints.values()
    assert max(pieces) <= 200_000 // count.alive < len(images())
    assert sum(pieces) == 20
    assert len(pieces) > 1
    tight, _ = sizes(net, images().requires_grad_(True))
    outside = images().numel() * 4
    assert max(tight) <= (200_000 - outside) // count.kept < max(pieces)
    assert max(tight) - min(tight) <= 1
    net.max_memory = None
    assert sizes(net, images())[0] == [20]


def test_speed_parts_a_batch_and_runs_nothing_twice(monkeypatch):
    net = network(None)
    net.fast = True
    x = images().requires_grad_(True)
    whole = torch.autograd.grad(net(x).pow(2).sum(), x)[0]
    monkeypatch.setattr(memory, "_BLOCK", 40_000)
    found = []
    body = type(net)._steps
    monkeypatch.setattr(type(net), "_steps", lambda self, s: found.append(s.shape[1]) or body(self, s))
    parted = torch.autograd.grad(net(x).pow(2).sum(), x)[0]
    assert len(found) > 2
    assert sum(found[1:]) == 20  # the first is the sample that is counted
    assert torch.allclose(whole, parted, rtol=1e-5, atol=1e-7)
    found.clear()
    net.fast = False
    net(x)
    assert found[-1] == 20
    net.fast = True
    found.clear()
    hook = net.body.register_forward_hook(lambda *_: None)
    net(x)
    hook.remove()
    assert found == [20]  # hooks see whole batches


def test_the_gradient_of_a_piece_runs_it_again_and_alone():
    net = network(200_000)
    x = images().requires_grad_(True)
    found = []
    net.body.register_forward_hook(lambda _, args, __: found.append(args[0].shape[1]))
    z = net(x)
    once = len(found)
    torch.autograd.grad(z.sum(), x)
    assert sorted(found[once:]) == sorted(found[:once])


def test_counting_disturbs_nobody():
    net = network(200_000)
    heard = []
    net.body[0].register_forward_hook(lambda _, args, __: heard.append(args[0].shape[1]))
    state = torch.random.get_rng_state()
    with torch.no_grad():
        net(images())
    assert sum(heard) == 20
    assert torch.equal(torch.random.get_rng_state(), state)


def test_what_cannot_be_parted_runs_whole():
    assert sizes(network(200_000).train(), images())[0] == [20]
    net = network(200_000)
    policy = ASSG(0.45)
    with net.gradient(policy), policy.attack_scope(range(20)):
        assert sizes(net, images().requires_grad_(True))[0] == [20]


def stochastic(limit, kind="poisson"):
    if kind == "poisson":
        return network(limit, encoder=Poisson(T=6, seed=3))
    if kind == "jittered":  # two streams
        return network(limit, encoder=Transformed(Poisson(T=6, seed=3), SpikeJitter(2, seed=5)))
    net = network(limit, encoder=Direct(T=6))
    net.body[2] = RandomlyFiring() if kind == "unknown" else TwiceDrawing()
    return net


class Drawn(nn.Module):
    is_stochastic = True

    def __init__(self):
        super().__init__()
        self.draws = SeededDraws(1)

    def reseed(self, seed):
        self.draws.reseed(1 if seed is None else seed)


class TwiceDrawing(Drawn):
    """Asks its stream twice in a run: pieces would get other numbers than the whole batch."""

    def forward(self, s):
        return s + self.draws.uniform(len(s), s[0]) + self.draws.uniform(len(s), s[0]).pow(2)


class RandomlyFiring(Drawn):
    """Draws from torch's global generator, which nobody can follow."""

    def forward(self, s):
        return s + torch.rand(s.shape)


@pytest.mark.parametrize("eot", [1, 3])
@pytest.mark.parametrize("policy", [None, Surrogate("atan", 8.0), Ensemble([Surrogate("atan", 8.0), BPTR()])])
@pytest.mark.parametrize("kind", ["poisson", "jittered"])
def test_pieces_of_a_stochastic_network_draw_what_the_whole_batch_draws(kind, policy, eot):
    found = []
    for limit in (None, 200_000):
        net = stochastic(limit, kind)
        net.eot = net.votes = eot
        x = images().requires_grad_(True)
        with torch.no_grad():
            votes = net(x)
        with net.gradient(policy or Surrogate("atan", 2.0)):
            z = net(x)
            grads = torch.autograd.grad(z.pow(2).sum(), [x, *net.parameters()], allow_unused=True)
        found.append((votes, z.detach(), *grads, net(x).detach()))  # streams stand where they would
        seen, _ = sizes(net, x)
        assert (max(seen) < 20) == (limit is not None)
    whole, parted = found
    assert all(torch.equal(whole[i], parted[i]) for i in (0, 1, -1))
    assert all(near(a, b) for a, b in zip(whole, parted, strict=True))


@pytest.mark.parametrize("kind", ["poisson", "jittered", "twice"])
def test_with_keys_every_known_stream_can_be_parted(kind):
    found = []
    for limit in (None, 200_000):
        net = stochastic(limit, kind)
        x = images().requires_grad_(True)
        with keyed_draws(net, range(20)):
            z, again = net(x), net(x)
            seen, _ = sizes(net, x)
            found.append((z.detach(), again.detach(), torch.autograd.grad(again.pow(2).sum(), x)[0]))
        assert not torch.equal(z, again)
        assert (max(seen) < 20) == (limit is not None)
    assert all(near(a, b) for a, b in zip(*found, strict=True))


def test_streams_that_nobody_can_follow_are_not_parted():
    assert sizes(stochastic(200_000, "twice"), images())[0] == [20]
    net = stochastic(200_000, "unknown")
    assert sizes(net, images())[0] == [20]
    with keyed_draws(net, range(20)):
        assert sizes(net, images())[0] == [20]


def test_second_derivatives_of_pieces():
    found = []
    for net in (network(None), network(200_000)):
        x = images().requires_grad_(True)
        grad = torch.autograd.grad(net(x).pow(2).sum(), x, create_graph=True)[0]
        found.append(torch.autograd.grad(grad.pow(2).sum(), [x, *net.parameters()], allow_unused=True))
    assert all(near(a, b, 1e-4) for a, b in zip(*found, strict=True))


def test_gradients_of_parameters_alone():
    found = []
    for net in (network(None), network(200_000)):
        net(images()).pow(2).sum().backward()
        found.append([p.grad for p in net.parameters()])
    assert all(near(a, b) for a, b in zip(*found, strict=True))


def test_operations_are_counted_on_whole_batches():
    net = network(200_000)
    with counting(net) as counter:
        net(images())
    assert counter.calls == 1
    assert net.max_memory == 200_000


@pytest.mark.parametrize("limit", [0, -5, True, 2.5])
def test_a_limit_is_a_number_of_bytes(limit):
    with pytest.raises(ValueError, match="max_memory"):
        SpikingNetwork(Direct(T=2), torch.nn.Linear(3, 2), max_memory=limit)


def test_at_least_one_sample_fits():
    assert Footprint(kept=10**9, alive=10**8).pieces(5, 1000, gradient=10, swift=False) == Pieces(1, again=True)
    assert Footprint(kept=10**9, alive=10**8).pieces(5, 1000, gradient=10**6, swift=False) == Pieces(1, again=True)


@given(st.integers(2, 500), st.integers(1, 500))
def test_pieces_cover_the_batch(count, samples):
    pieces = Pieces(samples).of(count)
    assert [i for rows in pieces for i in range(rows.start, rows.stop)] == list(range(count))
    lengths = [rows.stop - rows.start for rows in pieces]
    assert max(lengths) <= samples
    assert max(lengths) - min(lengths) <= 1


class Pair(nn.Module):
    """A layer with two outputs, of which the next takes the first."""

    def forward(self, s):
        return s.flatten(2), None


class First(nn.Module):
    def forward(self, pair):
        return pair[0]


@pytest.mark.parametrize("encoder", [Direct(T=4), Poisson(T=4, seed=0)], ids=repr)
def test_a_layer_with_several_outputs_takes_no_part_in_the_count(encoder):
    torch.manual_seed(0)
    net = SpikingNetwork(encoder, nn.Sequential(Pair(), First(), nn.Linear(64, 5))).eval()
    x, keys = images(), list(range(20))
    found = []
    with keyed_draws(net, keys):
        whole = net(x)
    net.max_memory = 60_000
    net.body[2].register_forward_hook(lambda _, args, __: found.append(args[0].shape[1]))
    with keyed_draws(net, keys):
        assert torch.allclose(net(x), whole, atol=1e-6)
    assert len(found) > 1
    assert max(found) < 20

"""A batch in pieces gives what the whole batch gives, and takes no more memory than it may."""

import pytest
import torch

from art_snn import SpikingNetwork
from art_snn.coding import Direct, Poisson
from art_snn.gradients import ASSG, BPTR, Ensemble, Surrogate
from art_snn.networks import cnn
from art_snn.networks.memory import Footprint


def images(count=20):
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network(limit, **more):
    net = cnn((1, 8, 8), 5, channels=(4, 6), hidden=12, **{"encoder": Direct(T=6), **more}).eval()
    net.max_memory = limit
    return net


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
    for net in (network(None), network(200_000)):
        x = images().requires_grad_(True)
        with net.gradient(policy or Surrogate("atan", 2.0)):
            z = net(x)
        weights = torch.arange(z.numel(), dtype=z.dtype).view(z.shape).sin()
        found.append((z.detach(), *torch.autograd.grad((z * weights).sum(), [x, *net.parameters()], allow_unused=True)))
    for whole, parted in zip(*found, strict=True):
        assert (whole is None) == (parted is None)
        assert whole is None or torch.allclose(whole, parted, rtol=1e-4, atol=1e-6)


def test_the_limit_decides_the_size_of_a_piece():
    net = network(200_000)
    with torch.no_grad():
        pieces, _ = sizes(net, images())
    (count,) = net._footprints.values()
    assert pieces[0] == count.samples(200_000, gradient=False)
    assert sum(pieces) == 20
    assert len(pieces) > 1
    tight, _ = sizes(net, images().requires_grad_(True))
    assert tight[0] == count.samples(200_000, gradient=True) < pieces[0]
    net.max_memory = None
    assert sizes(net, images())[0] == [20]


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
    stochastic = network(200_000, encoder=Poisson(T=6))
    assert sizes(stochastic, images())[0] == [20]
    assert sizes(network(200_000).train(), images())[0] == [20]
    net = network(200_000)
    policy = ASSG(0.45)
    with net.gradient(policy), policy.attack_scope(range(20)):
        assert sizes(net, images().requires_grad_(True))[0] == [20]


@pytest.mark.parametrize("limit", [0, -5, True, 2.5])
def test_a_limit_is_a_number_of_bytes(limit):
    with pytest.raises(ValueError, match="max_memory"):
        SpikingNetwork(Direct(T=2), torch.nn.Linear(3, 2), max_memory=limit)


def test_at_least_one_sample_fits():
    assert Footprint(kept=10**9, alive=10**8).samples(1000, gradient=True) == 1

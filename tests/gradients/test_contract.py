"""What every policy promises beside its gradient: restored networks, nesting, copies, ART."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from art.attacks.evasion import AutoProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn.coding import Direct, MembraneMean
from art_snn.gradients import ASSG, BPTR, HART, PDSG, RGA, SCG, AttackScope, GradientPolicy, Surrogate
from art_snn.networks import SpikingNetwork, cnn, mlp

pytestmark = pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")


@pytest.fixture
def model() -> SpikingNetwork:
    return cnn((1, 8, 8), 3, channels=(4,), hidden=8, neuron="plif", encoder=Direct(T=4)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def snapshot(net: nn.Module) -> dict:
    modules = dict(net.named_modules())
    return {
        "surrogates": {
            name: id(m.surrogate_function) for name, m in modules.items() if hasattr(m, "surrogate_function")
        },
        "flags": {name: m.detach_reset for name, m in modules.items() if hasattr(m, "detach_reset")},
        "hooks": {name: (len(m._forward_hooks), len(m._forward_pre_hooks)) for name, m in modules.items()},
        "training": {name: m.training for name, m in modules.items()},
        "learn": {name: (p.requires_grad, p.grad) for name, p in net.named_parameters()},
        "state": {name: value.tolist() for name, value in net.state_dict().items()},
        "rng": torch.get_rng_state().tolist(),
        "policies": list(net.policies),
        "memories": {name: repr(m._memories) for name, m in modules.items() if hasattr(m, "_memories")},
    }


def test_everything_is_as_found(model, images, policies, gradient) -> None:
    before = snapshot(model)
    for policy in [*policies(), SCG(2.0)]:
        gradient(model, images, policy)
        assert snapshot(model) == before, policy
        with model.gradient(policy):
            inside = snapshot(model)
            assert inside["state"] == before["state"]
            assert inside["surrogates"] == before["surrogates"]


class Broken(nn.Module):
    def forward(self, x):
        raise ArithmeticError("broken layer")


def test_everything_is_as_found_after_an_exception(images, policies) -> None:
    parts = [layer.Flatten(step_mode="m"), nn.Linear(64, 4), neuron.LIFNode(step_mode="m"), Broken()]
    net = SpikingNetwork(Direct(T=3), nn.Sequential(*parts), MembraneMean())
    before = snapshot(net)
    for policy in [*policies(), SCG(2.0)]:
        with pytest.raises(ArithmeticError, match="broken"), net.gradient(policy):
            net(images.clone().requires_grad_(True))
        assert snapshot(net) == before, policy
        with pytest.raises(KeyError), net.gradient(policy):
            raise KeyError
        assert snapshot(net) == before, policy


def test_the_innermost_policy_steers_alone(model, images, policies, gradient) -> None:
    alone = [gradient(model, images, policy) for policy in policies()]
    with model.gradient(BPTR()), model.gradient(PDSG()), model.gradient(HART(0.5)):
        for policy, expected in zip(policies(), alone, strict=True):
            assert torch.equal(gradient(model, images, policy), expected), policy
    with model.gradient(BPTR()):
        with model.gradient(PDSG()):
            pass
        x = images.clone().requires_grad_(True)
        back = torch.autograd.grad((model(x) * torch.tensor([1.0, -2.0, 0.5])).sum(), x)[0]
    assert torch.equal(back, gradient(model, images, BPTR()))


def test_backward_may_run_after_the_context(model, images, policies, gradient) -> None:
    mixture = torch.tensor([1.0, -2.0, 0.5])
    for policy in policies():
        inside = gradient(model, images, policy)
        x = images.clone().requires_grad_(True)
        with model.gradient(policy):
            z = model(x)
        model(images)
        assert torch.equal(torch.autograd.grad((z * mixture).sum(), x)[0], inside), policy


def test_policies_differ_where_logits_do_not(model, images, gradient) -> None:
    grads = [gradient(model, images, p) for p in (None, Surrogate("atan", 8.0), BPTR(), RGA(), HART(0.5), PDSG())]
    for i, one in enumerate(grads):
        for other in grads[i + 1 :]:
            assert not torch.allclose(one, other, rtol=1e-2)


def test_batch_size_and_order_do_not_matter(model, images, policies, gradient) -> None:
    order, model, images = torch.tensor([3, 0, 4, 2, 1]), model.double(), images.double()
    for policy in policies():
        whole = gradient(model, images, policy)
        single = torch.cat([gradient(model, x[None], policy) for x in images])
        assert torch.allclose(single, whole, rtol=1e-10, atol=1e-13), policy
        assert torch.allclose(gradient(model, images[order], policy), whole[order], rtol=1e-10, atol=1e-13), policy


def test_finite_and_non_zero_in_both_modes(model, images, policies, gradient) -> None:
    for training in (False, True):
        model.train(training)
        for policy in policies():
            g = gradient(model, images, policy)
            assert bool(torch.isfinite(g).all())
            assert g.abs().max() > 0


def test_copies_are_clean(model, images, policies, gradient) -> None:
    plain = model(images)
    for policy in policies():
        gradient(model, images, policy)
        for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
            assert not copied.policies
            assert torch.equal(copied(images), plain)
    with model.gradient(BPTR()):
        inside = copy.deepcopy(model)
    x = images.clone().requires_grad_(True)
    assert torch.equal(inside(x), plain)


def test_the_spike_edge_follows(images) -> None:
    net = mlp((1, 8, 8), 3, hidden=(9,), encoder=Direct(T=4)).eval()
    edge = net.at_spikes()
    train = net.encode(images).transpose(0, 1).detach().requires_grad_(True)

    def gradient() -> torch.Tensor:
        return torch.autograd.grad(edge(train)[:, 0].sum(), train)[0]

    plain = gradient()
    with net.gradient(BPTR()):
        steered = gradient()
        assert torch.equal(net.at_spikes()(train), edge(train))
    assert not torch.equal(plain, steered)
    assert torch.equal(gradient(), plain)


def test_plain_classifier_and_rebuilt_ones_take_the_policys_gradient(model, images) -> None:
    x, y = images.numpy(), np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
    classifier = PyTorchClassifier(model, nn.CrossEntropyLoss(), (1, 8, 8), 3, clip_values=(0, 1))
    plain = classifier.loss_gradient(x, y)
    leaf = images.clone().requires_grad_(True)
    with model.gradient(BPTR()):
        steered = classifier.loss_gradient(x, y)
        loss = nn.functional.cross_entropy(model(leaf), torch.tensor(y))
    np.testing.assert_allclose(steered, torch.autograd.grad(loss, leaf)[0].numpy(), rtol=1e-4, atol=1e-7)
    assert np.abs(steered - plain).max() > 1e-4

    class Counted(BPTR):
        runs = 0

        def steer(self, net, draw=0):
            Counted.runs += 1
            return super().steer(net, draw)

    attack = AutoProjectedGradientDescent(
        classifier, eps=0.1, eps_step=0.02, max_iter=3, nb_random_init=1, loss_type="cross_entropy", verbose=False
    )
    with model.gradient(Counted()):
        x_adv = attack.generate(x, y)
    assert Counted.runs > 0
    assert np.abs(x_adv - x).max() <= 0.1 + 1e-6


def test_stateless_policies_take_a_scope_and_ignore_it(model, images, gradient) -> None:
    policy = RGA()
    expected = gradient(model, images, policy)
    with policy.attack_scope([3, 1, 4]) as scope:
        assert isinstance(scope, AttackScope)
        scope.batch([3])
        scope.restart()
        with scope.frozen():
            assert torch.equal(gradient(model, images, policy), expected)


def test_unfollowable_neurons_are_named() -> None:
    def around(node: nn.Module) -> SpikingNetwork:
        return SpikingNetwork(Direct(T=3), nn.Sequential(nn.Linear(4, 2), node), MembraneMean())

    cases = [
        (around(neuron.DSRIFNode(T=3, step_mode="m")), Surrogate("atan")),
        (around(neuron.KLIFNode(step_mode="m")), RGA()),
        (around(neuron.KLIFNode(step_mode="m")), HART()),
        (around(neuron.TernaryIFNode(step_mode="m")), ASSG()),
        (around(neuron.ILIFNode(step_mode="m")), Surrogate("atan")),
        (around(neuron.PSN(T=3)), Surrogate("atan", detach_reset=True)),
        (around(neuron.PSN(T=3)), SCG()),
    ]
    for net, policy in cases:
        with pytest.raises(ValueError, match=r"body\.1"), net.gradient(policy):
            pass
        assert not net.policies
    silent = SpikingNetwork(Direct(T=3), nn.Linear(4, 2), MembraneMean())
    for policy in (Surrogate("atan"), BPTR(), HART(), PDSG(), ASSG(), SCG()):
        with pytest.raises(ValueError, match="Fix:"), silent.gradient(policy):
            pass


def test_scg_layers() -> None:
    hidden = mlp((1, 4, 4), 3, hidden=(9, 8))
    last = [m for m in hidden.modules() if isinstance(m, neuron.LIFNode)][-1]
    assert SCG()._target(hidden) is last
    firing = SpikingNetwork(
        Direct(T=3),
        nn.Sequential(nn.Linear(4, 3), neuron.IFNode(step_mode="m"), nn.Linear(3, 2), neuron.IFNode(step_mode="m")),
    )
    assert SCG()._target(firing) is firing.body[1]
    assert SCG(layer="body.3")._target(firing) is firing.body[3]
    with pytest.raises(ValueError, match=r"body\.1, body\.3"), firing.gradient(SCG(layer="body.0")):
        pass
    with pytest.raises(ValueError, match="Fix:"):
        SCG(theta_pen=0.0)


def test_scg_is_the_other_threshold_with_the_window_around_the_first() -> None:
    node = neuron.IFNode(v_reset=None, step_mode="m")
    net = SpikingNetwork(Direct(T=1), nn.Sequential(nn.Identity(), node), MembraneMean(tau=1.0)).eval()
    x = torch.tensor([[0.4, 0.6, 1.2, 1.6, 2.5]], requires_grad=True)
    with net.gradient(SCG(theta_pen=1.5)):
        z = net(x)
    assert z.tolist() == [[0, 0, 0, 1, 1]]
    assert torch.autograd.grad(z.sum(), x)[0].tolist() == [[0, 1, 1, 0, 0]]
    assert net(x).tolist() == [[0, 0, 1, 1, 1]]


def test_only_networks_can_be_steered() -> None:
    with pytest.raises(TypeError, match="SpikingNetwork"), BPTR().applied(nn.Linear(2, 2)):
        pass
    net = mlp((1, 4, 4), 3)
    with pytest.raises(TypeError, match="GradientPolicy"), net.gradient("bptr"):
        pass
    with pytest.raises(NotImplementedError), net.gradient(GradientPolicy()):
        net(torch.rand(1, 1, 4, 4))

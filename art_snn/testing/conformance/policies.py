"""Does this gradient policy change gradients, and nothing else?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.coding import Direct, MembraneMean
from art_snn.gradients.base import AttackScope, GradientPolicy
from art_snn.gradients.bptt import Surrogate
from art_snn.networks import SpikingNetwork, mlp
from art_snn.testing.conformance.contracts import Contracts, global_streams, maker

POLICY = Contracts("policy")
"""What a conforming gradient policy keeps."""

_SHAPE, _CLASSES, _SAMPLES = (1, 4, 4), 3, 5


@dataclass(frozen=True)
class PolicyCase:
    """A policy under examination, on a network in eval mode and a batch that it takes."""

    make: Callable[[], GradientPolicy]
    net: SpikingNetwork
    x: Tensor

    def gradient(self, policy: GradientPolicy | None = None, x: Tensor | None = None) -> Tensor:
        """Input gradient of a fixed mixture of the logits."""
        leaf = (self.x if x is None else x).clone().requires_grad_(True)
        self.net.reseed()
        if policy is None:
            return _of(self.net(leaf), leaf)
        with self.net.gradient(policy):
            return _of(self.net(leaf), leaf)


def _of(z: Tensor, leaf: Tensor) -> Tensor:
    weights = torch.arange(1.0, z.shape[1] + 1).to(z) * (-1.0) ** torch.arange(z.shape[1]).to(z)
    return torch.autograd.grad((z * weights).sum(), leaf)[0]


def check_policy(
    policy: GradientPolicy | Callable[[], GradientPolicy], net: SpikingNetwork | None = None, x: Tensor | None = None,
    *, unless: Collection[str] = (),
) -> tuple[str, ...]:  # fmt: skip
    """Check every contract of a gradient policy.

    :param policy: an instance, or a function that makes one.
    :param net: a network that it can follow; a small one of LIF neurons by default.
    :param x: a batch of at least two inputs for ``net``.
    :param unless: names of contracts that it does not claim to keep.
    :return: names of the contracts that it keeps.
    :raises ConformanceError: naming each broken contract and its repair.
    :raises TypeError: if ``policy`` is no gradient policy.
    :raises ValueError: for an unknown name in ``unless``.

    >>> from art_snn.gradients import BPTR
    >>> "spikes stay" in check_policy(BPTR())
    True
    """
    make = maker(policy, GradientPolicy)
    network = _network() if net is None else copy.deepcopy(net).eval()
    batch = torch.rand((_SAMPLES, *_SHAPE), generator=torch.Generator().manual_seed(0)) if x is None else x
    first = next((p for p in network.parameters() if p.is_floating_point()), batch)
    return POLICY.check(PolicyCase(make, network, batch.to(first.dtype)), type(make()).__name__, unless)


def _network() -> SpikingNetwork:
    """Two layers of LIF neurons in float64, so that batches do not matter."""
    return mlp(_SHAPE, _CLASSES, hidden=(32, 16), encoder=Direct(T=4), decoder=MembraneMean(tau=1.0)).double().eval()


def snapshot(net: nn.Module) -> dict[str, Any]:
    """Everything of a network that a policy must leave, or put back."""
    modules = dict(net.named_modules())
    return {
        "surrogates": {n: (id(s), repr(s)) for n, m in modules.items() if (s := m._modules.get("surrogate_function"))},
        "detach_reset": {n: m.detach_reset for n, m in modules.items() if hasattr(m, "detach_reset")},
        "thresholds": {n: repr(m.v_threshold) for n, m in modules.items() if hasattr(m, "v_threshold")},
        "hooks": {n: (len(m._forward_hooks), len(m._forward_pre_hooks)) for n, m in modules.items()},
        "modes": {n: m.training for n, m in modules.items()},
        "requires_grad": {n: p.requires_grad for n, p in net.named_parameters()},
        "grad": {n: None if p.grad is None else p.grad.tolist() for n, p in net.named_parameters()},
        "weights": {n: value.tolist() for n, value in net.state_dict().items()},
        "policies": [id(policy) for policy in getattr(net, "policies", [])],
        "global generators": global_streams(),
    }  # fmt: skip


def _differing(before: dict[str, Any], after: dict[str, Any]) -> str | None:
    changed = [name for name in before if before[name] != after[name]]
    return f"{', '.join(changed)} not as before" if changed else None


@POLICY.contract(
    "spikes stay", "logits that are the same bit for bit, unless modifies_forward = True",
    "change the backward pass only: fire exactly where v >= 0, and return the neuron's own spikes",
)  # fmt: skip
def _spikes_stay(case: PolicyCase) -> str | None:
    policy = case.make()
    if policy.modifies_forward:
        return None
    case.net.reseed()
    expected = case.net(case.x)
    case.net.reseed()
    with case.net.gradient(policy):
        z = case.net(case.x.clone().requires_grad_(True))
    return None if torch.equal(z.detach(), expected.detach()) else "other logits"


@POLICY.contract(
    "predictions stay",
    "plain predictions inside the context, where no gradient is taken",
    "steer runs with gradients only",
)
def _predictions_stay(case: PolicyCase) -> str | None:
    with torch.no_grad():
        case.net.reseed()
        expected = case.net(case.x)
        case.net.reseed()
        with case.net.gradient(case.make()):
            return None if torch.equal(case.net(case.x), expected) else "other predictions"


@POLICY.contract(
    "gradient",
    "a finite gradient of the shape of the input, which is not zero",
    "look for a slope of too narrow support",
)
def _gradient(case: PolicyCase) -> str | None:
    for training in (False, True):
        case.net.train(training)
        try:
            grad = case.gradient(case.make())
        finally:
            case.net.eval()
        if grad.shape != case.x.shape or not bool(torch.isfinite(grad).all()):
            return f"a gradient of shape {tuple(grad.shape)}, with {int((~torch.isfinite(grad)).sum())} bad values"
        if not bool((grad != 0).any()):
            return "a gradient that is zero everywhere"
    return None


@POLICY.contract(
    "left as found", "a network that is afterwards as it was: surrogates, hooks, modes, weights, generators",
    "swap objects, never mutate them, and put everything back in finally",
)  # fmt: skip
def _restored(case: PolicyCase) -> str | None:
    before = snapshot(case.net)
    case.gradient(case.make())
    return _differing(before, snapshot(case.net))


@POLICY.contract(
    "left as found after an error", "the same when a forward inside the context fails", "put everything back in finally"
)
def _restored_after_error(case: PolicyCase) -> str | None:
    failing = copy.deepcopy(case.net)
    failing.decoder = _ExplodingDecoder()
    before = snapshot(failing)
    try:
        with failing.gradient(case.make()):
            failing(case.x.clone().requires_grad_(True))
    except ArithmeticError:
        return _differing(before, snapshot(failing))
    return "an error that was swallowed"


class _ExplodingDecoder(MembraneMean):
    """A read-out that fails, after the whole body ran."""

    def decode(self, o: Tensor) -> Tensor:  # noqa: ARG002 - whatever comes
        raise ArithmeticError


@POLICY.contract("each alone", "gradients that depend on their own sample only", "no statistics over the batch axis")
def _alone(case: PolicyCase) -> str | None:
    if case.net.is_stochastic:
        return None
    whole = case.gradient(case.make())
    apart = torch.cat([case.gradient(case.make(), case.x[n : n + 1]) for n in range(len(case.x))])
    rounding = 1e-8 if whole.dtype == torch.float64 else 1e-4 * float(whole.abs().max())
    return None if torch.allclose(whole, apart, rtol=1e-5, atol=rounding) else "another gradient in a batch of one"


@POLICY.contract("repeats", "the same gradient twice", "keep state in an attack_scope only (is_stateful = True)")
def _repeats(case: PolicyCase) -> str | None:
    policy = case.make()
    same = torch.equal(case.gradient(policy), case.gradient(policy))
    return None if same else "another gradient at the second call"


@POLICY.contract(
    "innermost",
    "the innermost policy of several steers, alone",
    "derive from GradientPolicy, and leave applied as it is",
)
def _innermost(case: PolicyCase) -> str | None:
    alone = case.gradient(case.make())
    with case.net.gradient(Surrogate("triangle", 0.7)):
        nested = case.gradient(case.make())
    return None if torch.equal(alone, nested) else "a gradient that depends on the policy around it"


@POLICY.contract(
    "backward later", "a backward pass that may run after the context is left",
    "decide while the forward runs what a spike passes back, and keep it in the graph",
)  # fmt: skip
def _later(case: PolicyCase) -> str | None:
    inside, leaf = case.gradient(case.make()), case.x.clone().requires_grad_(True)
    case.net.reseed()
    with case.net.gradient(case.make()):
        z = case.net(leaf)
    return None if torch.equal(_of(z, leaf), inside) else "another gradient after the context"


@POLICY.contract(
    "scope",
    "an attack scope that follows samples which leave",
    "return a scope from attack_scope, also where nothing is kept",
)
def _scope(case: PolicyCase) -> str | None:
    policy, ids = case.make(), list(range(10, 10 + len(case.x)))
    left = [0, len(case.x) - 1]
    with policy.attack_scope(ids) as scope:
        if not isinstance(scope, AttackScope):
            return f"a {type(scope).__name__} as scope"
        case.gradient(policy)
        scope.batch([ids[i] for i in left])
        with scope.frozen():
            case.gradient(policy, case.x[left])
        scope.restart()
        return None


@POLICY.contract(
    "only networks", "a TypeError for what cannot be steered", "derive from GradientPolicy, and leave applied as it is"
)
def _only_networks(case: PolicyCase) -> str | None:
    try:
        with case.make().applied(nn.Linear(2, 2)):  # type: ignore[arg-type]
            return "an nn.Linear that was taken for a network"
    except TypeError:
        return None


@POLICY.contract(
    "copies",
    "deepcopy of the policy, and of a network inside the context, that do the same",
    "no closures over networks",
)
def _copies(case: PolicyCase) -> str | None:
    policy = case.make()
    expected = case.gradient(policy)
    if not torch.equal(case.gradient(copy.deepcopy(policy)), expected):
        return "another gradient from a copy"
    copied = copy.deepcopy(case.net)
    return "policies that stick to a copy of the network" if copied.policies else None

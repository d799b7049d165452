"""Checks before an evaluation: conditions under which no robust accuracy means anything are errors.

Errors: logits that are not finite or are probabilities, a prediction that changes between two calls or with the batch,
a code whose backward hides gradient, no gradient, a policy that changes the forward, a threat model that contains what
it must not. The rest is measured and reported: ties, decisions that flip between draws, clean accuracy, and whether a
step along the gradient raises the loss.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion import losses
from art_snn.attacks.evasion.draws import sample_ids
from art_snn.attacks.evasion.victim import Victim
from art_snn.coding.base import HIDING
from art_snn.coding.first_spike import tie_rate
from art_snn.errors import GradientWarning, explain
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.threats import PixelBudget

_SAMPLES = 64
_CLOSE = 1e-4
_MAX_ZERO_SHARE = 0.01


def preflight(victim: Victim, x: Tensor, y: Tensor, threat: PixelBudget) -> dict[str, float]:
    """Check model, code and threat on a few samples.

    :param victim: the attached model, with the policy to be checked.
    :param x: samples ``[N, *]``; the first 64 are used.
    :param y: their labels.
    :param threat: the threat model.
    :return: what was measured, by name.
    :raises ValueError: if an evaluation would be worthless, with the reason.
    """
    x, y = x[:_SAMPLES], y[:_SAMPLES]
    ids = sample_ids(x)
    _check_code(victim)
    z = victim.logits(x, ids)
    _check_logits(z)
    _check_calls(victim, x, ids, z)
    _check_threat(threat, x)
    return {"tie_rate": tie_rate(z), "flip_rate": _flips(victim, x, ids), **_check_gradient(victim, x, y, ids, threat)}


def _check_code(victim: Victim) -> None:
    net = victim.model
    if isinstance(net, SpikingNetwork) and net.encoder.obfuscates:
        open_ones = [name for name in net.encoder.backwards if name not in HIDING]
        came = f"backward={net.encoder.backward!r} in the {type(net.encoder).__name__} code, which hides gradient"
        raise ValueError(explain(came, f"one of {open_ones}", f"net.encoder.backward = {open_ones[0]!r}"))


def _check_logits(z: Tensor) -> None:
    if not bool(torch.isfinite(z).all()):
        raise ValueError(explain("logits that are not finite", "finite logits", "repair the network"))
    rows = (z >= 0).all(1) & (z <= 1).all(1) & ((z.sum(1) - 1).abs() < 1e-5)
    if len(z) > 1 and bool(rows.all()):
        fix = "return the input of the softmax instead of its output"
        raise ValueError(explain("probabilities: every row sums to 1", "logits", fix))


def _check_calls(victim: Victim, x: Tensor, ids: list[int], z: Tensor) -> None:
    again = victim.logits(x, ids)
    alone = victim.logits(x[:1], ids[:1])
    scale = 1 + float(z.abs().max())
    for name, first, second in (("from call to call", z, again), ("with the size of the batch", z[:1], alone)):
        gap = float((first - second).abs().max())
        if gap > _CLOSE * scale:
            fix = "reset the state in every forward, or declare is_stochastic and draw from seeded streams"
            raise ValueError(explain(f"logits that change {name}, by {gap:.3g}", "a function of the sample", fix))


def _check_threat(threat: PixelBudget, x: Tensor) -> None:
    if not bool(threat.contains(x, x).all()):
        raise ValueError(explain("clean samples outside clip_values", "samples in range", "rescale x"))
    outside = x + 2 * threat.eps + 1
    if threat.eps < 1 and bool(threat.contains(x, outside).any()):
        raise ValueError(explain(f"{threat!r} that contains far points", "a budget that binds", "check contains()"))


def _flips(victim: Victim, x: Tensor, ids: list[int]) -> float:
    """Share of samples whose decision differs between two single draws."""
    if not victim.is_stochastic:
        return 0.0
    first = victim.logits(x, ids).argmax(1)
    other = victim.logits(x, [one + 1 for one in ids]).argmax(1)
    return float((first != other).double().mean())


def _check_gradient(victim: Victim, x: Tensor, y: Tensor, ids: list[int], threat: PixelBudget) -> dict[str, float]:
    with victim.scope(list(range(len(x)))) as scope:
        seen = victim.query(x, lambda z: losses.ce(z, y), ids, 0, gradient=True, scope=scope)
    plain = victim.query(x, lambda z: losses.ce(z, y), ids, 0, gradient=False)
    if not torch.equal(seen.logits, plain.logits):
        fix = "a policy must leave every spike alone; mark it modifies_forward where it cannot"
        raise ValueError(explain(f"logits that change under {victim.policy!r}", "the same forward", fix))
    right = plain.logits.argmax(1) == y
    zero = (seen.ascent == 0).flatten(1).all(1)
    share = float(zero[right].double().mean()) if bool(right.any()) else float(zero.double().mean())
    if share > _MAX_ZERO_SHARE:
        message = explain(
            f"an input gradient that is zero for {share:.0%} of the correctly classified samples",
            f"at most {_MAX_ZERO_SHARE:.0%}", "look for silent layers; query attacks still count",
        )  # fmt: skip
        warnings.warn(message, GradientWarning, stacklevel=4)
    rise = _rise(victim, x, seen.ascent, y, ids, threat)
    if rise <= 0 and share <= _MAX_ZERO_SHARE:
        message = explain(
            f"a loss that changes by {rise:.3g} along the gradient", "a rise", "check the sign of the backward pass"
        )
        warnings.warn(message, GradientWarning, stacklevel=4)
    return {"clean_accuracy": float(right.double().mean()), "zero_gradients": share, "rise": rise}


def _rise(victim: Victim, x: Tensor, grad: Tensor, y: Tensor, ids: list[int], threat: PixelBudget) -> float:
    """Mean loss after a step along the sign of the gradient, minus after one against it."""
    reach = min(threat.eps, 1.0)
    values: list[Any] = []
    for sign in (1, -1):
        point = threat.project(x, x + sign * reach * grad.sign())
        values.append(victim.query(point, lambda z: losses.ce(z, y), ids, 0, gradient=False).loss.mean())
    return float(values[0] - values[1])

r"""Random changes of a spike train ``[T, N, *]``: jitter, spike dropout, frame dropout, time warp.

*Jitter.* Every spike moves by a displacement of its own, :math:`t' = \mathrm{clip}(t + \xi, 0, T-1)`; spikes of a line
that meet become one. :math:`\xi` is uniform on :math:`\{-J, \dots, J\}`, or discrete Laplace,
:math:`P(\xi) = \frac{1-p}{1+p}\, p^{|\xi|}` with :math:`p = e^{-1/J}`. Moving and merging look at the unordered set of
new times only, which is what a certificate of the smoothed network needs.

*Spike dropout.* Every cell is kept with probability q, on its own. *Frame dropout.* k of the T frames of a sample are
kept, each choice equally likely, and the others are silent.

*Time warp.* One number a per sample, uniform on :math:`[-w, w]`, bends time:
:math:`t' = \mathrm{round}\bigl((T-1)(v + \frac{a}{\pi} \sin \pi v)\bigr)`, :math:`v = t/(T-1)`: monotone for
:math:`w \le 1`, ends fixed, spikes that meet become one.

Every function draws sample by sample from a stream of the caller, and all are identities, bit for bit, where their
parameter says so. Gradients follow the drawn change: a cell, empty or not, gets the gradient of the place that its
spike would go to.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from art_snn.coding.draws import SeededDraws
from art_snn.coding.straight_through import clamp_straight_through
from art_snn.errors import explain, summary

LAWS = ("uniform", "laplace")
"""Laws of the displacement of :func:`jitter`."""


def jitter(s: Tensor, J: float, draws: SeededDraws, law: str = "uniform") -> Tensor:
    """Move every spike by a random number of steps of its own; spikes that meet become one.

    :param s: binary trains ``[T, N, *]``.
    :param J: largest displacement in steps (``uniform``, a whole number), or scale in steps (``laplace``).
    :param draws: the random stream.
    :param law: ``uniform`` or ``laplace``.
    :return: binary trains of the same shape; ``s`` itself for J = 0.
    :raises ValueError: for trains that are not binary, J out of range, or another law.

    >>> s = torch.zeros(5, 1, 1)
    >>> s[2] = 1.0
    >>> sorted({int(jitter(s, 1, SeededDraws(seed)).argmax()) for seed in range(20)})
    [1, 2, 3]
    """
    check_jitter(J, law)
    check_binary(s)
    if J == 0:
        return s
    u = draws.uniform(len(s), s[0].double())
    displacement = torch.floor(u * (2 * J + 1)) - J if law == "uniform" else _laplace(u, J)
    steps = torch.arange(len(s), device=s.device).view(-1, *[1] * (s.dim() - 1))
    return _moved(s, (steps + displacement).clamp(0, len(s) - 1).long())


def _laplace(u: Tensor, scale: float) -> Tensor:
    """Inverse distribution function: the sign from the half that u falls into, the size from the rest."""
    p = math.exp(-1 / scale)
    side = 2 * u - 1
    tail = (1 - side.abs()).clamp(min=2.0**-53) * (1 + p) / 2
    return side.sign() * torch.floor(tail.log() / math.log(p))


def drop_spikes(s: Tensor, keep: float, draws: SeededDraws) -> Tensor:
    """Keep every cell with probability ``keep``, on its own; the others become 0.

    :param s: trains ``[T, N, *]`` of any values.
    :param keep: q, in [0, 1].
    :param draws: the random stream.
    :return: same shape; ``s`` itself for q = 1.
    :raises ValueError: if q is no probability, or ``s`` no train.

    >>> s = torch.ones(1000, 1, 1)
    >>> abs(drop_spikes(s, 0.3, SeededDraws(0)).mean().item() - 0.3) < 0.05
    True
    """
    check_probability("keep", keep)
    check_train(s)
    if keep == 1:
        return s
    return s * (draws.uniform(len(s), s[0].double()) < keep).to(s.dtype)


def drop_frames(s: Tensor, keep_frames: int, draws: SeededDraws) -> Tensor:
    """Keep ``keep_frames`` of the T frames of each sample, every choice equally likely; the others are silent.

    :param s: trains ``[T, N, *]`` of any values.
    :param keep_frames: k, 0 to T.
    :param draws: the random stream.
    :return: same shape; ``s`` itself for k = T.
    :raises ValueError: if k is no whole number in 0..T, or ``s`` no train.

    >>> drop_frames(torch.ones(5, 2, 1), 3, SeededDraws(0)).sum(0).flatten().tolist()
    [3.0, 3.0]
    """
    check_train(s)
    check_frames(keep_frames, len(s))
    if keep_frames == len(s):
        return s
    place = draws.uniform(len(s), s.flatten(1)[0].new_zeros(s.shape[1], dtype=torch.double)).argsort(0).argsort(0)
    kept = (place < keep_frames).to(s.dtype)
    return s * kept.view(*kept.shape, *[1] * (s.dim() - 2))


def time_warp(s: Tensor, strength: float, draws: SeededDraws) -> Tensor:
    r"""Bend the time axis of each sample by a random monotone map; spikes that meet become one.

    :param s: binary trains ``[T, N, *]``.
    :param strength: w, in [0, 1]; spikes move by up to :math:`w(T-1)/\pi` steps.
    :param draws: the random stream.
    :return: binary trains of the same shape; ``s`` itself for w = 0.
    :raises ValueError: for trains that are not binary, or w out of range.

    >>> s = torch.zeros(9, 1, 1)
    >>> s[4] = 1.0
    >>> int(time_warp(s, 1.0, SeededDraws(0)).argmax()) != 4
    True
    """
    check_strength(strength)
    check_binary(s)
    if strength == 0 or len(s) == 1:
        return s
    amplitude = strength * (2 * draws.uniform(1, s.new_zeros(s.shape[1], dtype=torch.double)) - 1)
    v = torch.linspace(0, 1, len(s), dtype=torch.double, device=s.device)[:, None]
    target = torch.round((len(s) - 1) * (v + amplitude / math.pi * torch.sin(math.pi * v))).long()
    return _moved(s, target.clamp(0, len(s) - 1).view(*target.shape, *[1] * (s.dim() - 2)).expand(s.shape))


def _moved(s: Tensor, target: Tensor) -> Tensor:
    """Every cell at its new time ``target [T, N, *]``; spikes that meet become one."""
    return clamp_straight_through(torch.zeros_like(s).scatter_add(0, target, s), 0.0, 1.0)


def check_train(s: Tensor) -> None:
    """Check the axes of a train.

    :raises ValueError: if there is no time axis or no batch axis.
    """
    if s.dim() < 2 or len(s) == 0:
        raise ValueError(explain(summary(s), "a spike train [T, N, *]", "put time first and add the batch axis"))


def check_binary(s: Tensor) -> None:
    """Check that a train holds zeros and ones only.

    :raises ValueError: if it does not, or has no time or batch axis.
    """
    check_train(s)
    if not bool(((s == 0) | (s == 1)).all()):
        fix = "give it the spikes: encoder(x) instead of x, or (counts > 0).float() for event counts"
        raise ValueError(explain(summary(s), "a binary train: every value 0 or 1", fix))


def check_jitter(J: float, law: str) -> None:
    """Check the parameters of :func:`jitter`.

    :raises ValueError: if J is negative, not finite, or fractional under the uniform law; for another law.
    """
    if law not in LAWS:
        raise ValueError(explain(f"law={law!r}", f"one of {LAWS}", "law='uniform'"))
    whole = law == "laplace" or float(J).is_integer()
    if isinstance(J, bool) or not 0 <= J < math.inf or not whole:
        expected = "a whole number of steps, at least 0" if law == "uniform" else "a scale in steps, at least 0"
        raise ValueError(explain(f"J={J!r}", expected, "pass J=2"))


def check_probability(name: str, value: float) -> None:
    """Check a probability.

    :raises ValueError: if it is outside [0, 1] or no number.
    """
    if isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(explain(f"{name}={value!r}", "a probability in [0, 1]", f"pass {name}=0.8"))


def check_strength(strength: float) -> None:
    """Check the strength of :func:`time_warp`.

    :raises ValueError: if it is outside [0, 1] or no number.
    """
    if isinstance(strength, bool) or not 0 <= strength <= 1:
        raise ValueError(explain(f"strength={strength!r}", "a number in [0, 1]", "pass strength=0.5"))


def check_frames(k: int, T: int) -> None:
    """Check a number of frames.

    :raises ValueError: if ``k`` is no whole number in 0..T.
    """
    if isinstance(k, bool) or int(k) != k or not 0 <= k <= T:
        expected = f"a whole number in 0..{T}, the frames of the train"
        raise ValueError(explain(f"keep_frames={k!r}", expected, f"pass keep_frames={T}"))

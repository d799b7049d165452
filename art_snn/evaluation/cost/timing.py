r"""When a spiking network has decided: what it would answer if it were read after each step.

The logits after step t are the decoder's, of the first t outputs, :math:`z_t = D(o_0, \dots, o_{t-1})`. The decision
step is the first after which the answer never changes,

.. math:: t^* = \min \{ t : \arg\max z_{t'} = \arg\max z_T \ \text{for all}\ t' \ge t \},

counted from 1. A decoder that needs more steps than there are (pre-simulation) has no answer yet. Steps are the
network's own time; the time that a simulator takes says nothing about neuromorphic latency.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from art_snn.networks.spiking_network import SpikingNetwork

Array = np.ndarray[Any, np.dtype[Any]]
_BATCH = 128


def logits_at_each_step(net: SpikingNetwork, x: Array, draws: int = 1) -> Array:
    """Logits after each step, ``[T, N, K]``; NaN where the decoder has no answer yet.

    :param net: a spiking network; it answers as in evaluation.
    :param x: samples ``[N, *]``.
    :param draws: draws of a stochastic network whose logits are averaged.

    >>> from art_snn.coding import Direct
    >>> from art_snn.networks import mlp
    >>> logits_at_each_step(mlp((1, 2, 2), 3, encoder=Direct(T=4)), np.ones((5, 1, 2, 2), dtype=np.float32)).shape
    (4, 5, 3)
    """
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    batches = []
    for batch in torch.as_tensor(x, device=device).split(_BATCH):
        runs = [_one_draw(net, batch) for _ in range(draws if net.is_stochastic else 1)]
        batches.append(np.mean(runs, axis=0))
    return np.concatenate(batches, axis=1)


def _one_draw(net: SpikingNetwork, batch: torch.Tensor) -> Array:
    outputs: list[torch.Tensor] = []
    handle = net.decoder.register_forward_pre_hook(lambda _, args: outputs.append(args[0]))
    training, votes = net.training, net.votes
    net.eval()
    net.votes = 1
    try:
        with torch.no_grad():
            z = net(batch)
            handle.remove()
            return np.stack([_read(net, outputs[-1][: t + 1], z).cpu().numpy() for t in range(len(outputs[-1]))])
    finally:
        handle.remove()
        net.votes = votes
        net.train(training)


def _read(net: SpikingNetwork, o: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    try:
        z: torch.Tensor = net.decoder(o)
    except ValueError:
        return torch.full_like(like, torch.nan)
    return z


def decision_steps(z: Array) -> Array:
    """Step from which on the answer stays, ``[N]`` in 1 .. T.

    :param z: logits after each step ``[T, N, K]``.

    >>> decision_steps(np.array([[[1.0, 0.0]], [[0.0, 1.0]], [[0.0, 2.0]]])).tolist()
    [2]
    """
    known = ~np.isnan(z).any(2)
    answers = np.where(known, np.where(np.isnan(z), -np.inf, z).argmax(2), -1)
    differs = answers != answers[-1]
    last = np.where(differs.any(0), len(z) - 1 - differs[::-1].argmax(0), -1)
    return np.asarray(last + 2)


def correct_at_each_step(z: Array, y: Array) -> Array:
    """Whether the answer after each step is right, boolean ``[T, N]``; no answer is wrong.

    :param z: logits after each step ``[T, N, K]``.
    :param y: index labels ``[N]``.
    """
    known = ~np.isnan(z).any(2)
    return np.asarray(known & (np.where(np.isnan(z), -np.inf, z).argmax(2) == y))

r"""Robust conversion: an adversarially trained network, converted, then fine-tuned with trainable thresholds.

1. Train the ReLU network adversarially, with ART's or any other trainer.
2. Find thresholds layer by layer, each with those before it already installed: the percentile .997 of the
   pre-activations over T steps, largest over batches, times a scale (:func:`robust_convert`).
3. Fine-tune with hard reset and learnable thresholds, clamped from below (:func:`fine_tune`), on

   .. math:: CE(f(x), y) + \beta\,KL(f(x)\,\|\,f(x')), \quad
       x_0 = \mathrm{clip}(x + \alpha\,\mathrm{sign}\,\mathcal N), \quad
       x' = \Pi_\epsilon\big(x_0 + (\epsilon-\alpha)\,\mathrm{sign}\,\nabla_{x_0} KL(f(x)\,\|\,f(x_0))\big).

A recipe of the other parts of this package; it quotes no numbers.

Source: Özdenizci and Legenstein, "Adversarially robust spiking neural networks through conversion", TMLR 2024.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from art_snn.coding.base import check_steps
from art_snn.coding.direct import Direct
from art_snn.coding.membrane import MeanCurrent
from art_snn.conversion.folding import fold_batch_norm
from art_snn.conversion.graph import LayerGraph
from art_snn.conversion.neurons import ConvertedIF, FoldedTime, SpikingActivation
from art_snn.conversion.replace import replace_steps
from art_snn.conversion.storage import recipe_of
from art_snn.conversion.thresholds import batches, percentile
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork

LOWEST_THRESHOLD = 0.03


def robust_convert(
    model: nn.Module,
    T: int,
    calibration: Any,
    *,
    scale: float = 0.3,
    share: float = 0.997,
    calibration_steps: int = 100,
) -> SpikingNetwork:
    """A network of hard-reset IF neurons with thresholds found in forward order, ready for :func:`fine_tune`.

    Batch norm is folded, so its statistics are those of the source.

    :param model: a trained ReLU network.
    :param T: steps of the result.
    :param calibration: inputs, or an iterable of batches; their order does not matter.
    :param scale: factor of the measured thresholds, above 0.
    :param share: percentile, as a share.
    :param calibration_steps: steps that thresholds are measured over.
    :raises ValueError: for a layer that cannot be converted, no ReLU, no data, or a layer that never activates.

    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> robust_convert(model, T=4, calibration=torch.rand(16, 4))(torch.rand(3, 4)).shape
    torch.Size([3, 2])
    """
    T, long = check_steps(T), check_steps(calibration_steps)
    if not scale > 0:
        raise ValueError(explain(f"scale = {scale}", "a positive factor", "scale=0.3"))
    graph = fold_batch_norm(model)
    steps = graph.layer_steps((nn.ReLU,))
    if not steps:
        raise ValueError(explain("a network without ReLU", "an adversarially trained ReLU network", "train one first"))
    data = list(batches(calibration, graph))

    def spiking(_: str, __: int) -> nn.Module:
        return SpikingActivation(ConvertedIF(start=0.0, v_reset=0.0), torch.tensor(1.0), long)

    replace_steps(graph, spiking, (nn.ReLU,))
    layers = [graph.get_submodule(s.target) for s in graph.steps if s.op == "layer"]
    activations = [m for m in layers if isinstance(m, SpikingActivation)]
    for step, activation in zip(steps, activations, strict=True):
        found = _measured(graph, activation, data, long, share)
        if not found > 0:
            came = f"layer {step.target!r}, which never activates on the calibration data"
            raise ValueError(explain(came, "activations to measure a threshold from", "pass inputs of every class"))
        activation.threshold.data.fill_(found)
    for activation in activations:
        activation.threshold.data.mul_(scale)
        activation.T = T
    encoder = Direct(T)
    net = SpikingNetwork(encoder, FoldedTime(graph, encoder), MeanCurrent())
    net.recipe = recipe_of(graph, T)
    return net.eval()


def _measured(graph: LayerGraph, activation: nn.Module, data: list[Tensor], T: int, share: float) -> float:
    seen: list[float] = []
    hook = activation.register_forward_pre_hook(lambda _, args: seen.append(float(percentile(args[0], share))))
    try:
        with torch.no_grad():
            for x in data:
                graph(Direct(T)(x).flatten(0, 1))
    finally:
        hook.remove()
    return max(seen)


def rfgsm(
    net: nn.Module, x: Tensor, eps: float, alpha: float, clip: tuple[float, float], generator: torch.Generator
) -> Tensor:
    """One projected step on the divergence from ``net(x)``, from a random sign start of size ``alpha``.

    :param net: a network ``[N, *] -> [N, K]``; it is used in the mode it is in.
    :param eps: L-infinity budget, at least ``alpha``.
    :param alpha: size of the random start.
    :param clip: range of valid inputs.
    :param generator: source of the random signs.
    :raises ValueError: if ``alpha`` is not in [0, ``eps``].
    """
    if not 0 <= alpha <= eps:
        raise ValueError(explain(f"alpha = {alpha}, eps = {eps}", "0 <= alpha <= eps", "alpha=eps / 2"))
    noise = torch.randn(x.shape, generator=generator).to(x)
    start = (x + alpha * noise.sign()).clamp(*clip).detach().requires_grad_(True)
    with torch.no_grad():
        calm = net(x)
    gradient = torch.autograd.grad(divergence(calm, net(start)), start)[0]
    moved = start.detach() + (eps - alpha) * gradient.sign()
    return torch.minimum(torch.maximum(moved, x - eps), x + eps).clamp(*clip)


def divergence(z: Tensor, perturbed: Tensor) -> Tensor:
    r""":math:`KL(\mathrm{softmax}\,z\,\|\,\mathrm{softmax}\,z')`, mean over the batch.

    >>> divergence(torch.ones(2, 3), torch.ones(2, 3)).item()
    0.0
    """
    return F.kl_div(perturbed.log_softmax(1), z.log_softmax(1), reduction="batchmean", log_target=True)


def robust_loss(net: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor, beta: float = 2.0) -> Tensor:
    """Cross-entropy on ``x`` and ``beta`` times the divergence at ``x_adv``; ``beta=0`` is cross-entropy alone."""
    z = net(x)
    loss = F.cross_entropy(z, y)
    return loss + beta * divergence(z, net(x_adv)) if beta else loss


def fine_tune(
    net: nn.Module,
    data: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    *,
    eps: float,
    alpha: float | None = None,
    beta: float = 2.0,
    clip: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
) -> float:
    """One epoch of adversarial fine-tuning; thresholds learn with the weights and stay at .03 or above.

    Choose a checkpoint on validation data, never on test data.

    :param net: from :func:`robust_convert`, any converted network, or the ReLU network before it.
    :param data: batches of inputs and labels.
    :param optimizer: over ``net.parameters()``.
    :param eps: L-infinity budget.
    :param alpha: random start; half of ``eps`` by default.
    :param beta: weight of the divergence.
    :param clip: range of valid inputs.
    :param seed: seed of the random starts.
    :return: mean loss of the epoch.
    :raises ValueError: if there are no data.
    """
    generator = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    training = net.training
    for x, y in data:
        net.eval()
        x_adv = rfgsm(net, x, eps, eps / 2 if alpha is None else alpha, clip, generator) if beta else x
        net.train()
        optimizer.zero_grad()
        loss = robust_loss(net, x, x_adv, y, beta)
        loss.backward()
        optimizer.step()
        for module in net.modules():
            if isinstance(module, SpikingActivation):
                module.threshold.data.clamp_(min=LOWEST_THRESHOLD)
        losses.append(float(loss.detach()))
    net.train(training)
    if not losses:
        raise ValueError(explain("no training data", "batches of inputs and labels", "fine_tune(net, loader, ...)"))
    return sum(losses) / len(losses)

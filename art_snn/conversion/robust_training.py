r"""Adversarial training of a network to be converted, and fine-tuning of what was converted: one loop, two losses.

.. math::
   x_0 &= \mathrm{clip}(x + \alpha\,\mathrm{sign}\,\mathcal N), \qquad
   x' = \Pi_\epsilon\big(x_0 + (\epsilon-\alpha)\,\mathrm{sign}\,\nabla_{x_0} KL(f(x)\,\|\,f(x_0))\big)

   \text{TRADES}&: CE(f(x), y) + \beta\,KL(f(x)\,\|\,f(x'))

   \text{MART}&: CE(f(x'), y) - \log\big(1.0001 - \max_{k \ne y} p'_k\big)
   + \beta\,\mathrm{mean}\big[KL(p\,\|\,p')(1 - p_y)\big]

with :math:`p, p'` the probabilities at :math:`x` and :math:`x'`.

Sources: Zhang et al., ICML 2019 (TRADES); Wang et al., ICLR 2020 (MART); the step: Özdenizci and Legenstein, TMLR 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from art_snn.conversion.neurons import SpikingActivation
from art_snn.errors import explain

LOWEST_THRESHOLD = 0.03

Logits = Callable[[Tensor], Tensor]
"""A network, or anything else that maps a batch to logits ``[N, K]``."""

Loss = Callable[[Logits, Tensor, Tensor, Tensor, float], Tensor]
"""``loss(net, x, x_adv, y, beta)``."""


def rfgsm(
    net: Logits, x: Tensor, eps: float, alpha: float, clip: tuple[float, float], generator: torch.Generator
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


def trades_loss(net: Logits, x: Tensor, x_adv: Tensor, y: Tensor, beta: float = 2.0) -> Tensor:
    """Cross-entropy on ``x`` and ``beta`` times the divergence at ``x_adv``; ``beta=0`` is cross-entropy alone.

    :param net: batch to logits.
    :param x: clean samples.
    :param x_adv: perturbed samples.
    :param y: labels ``[N]``.
    :param beta: weight of the divergence.

    >>> x, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> trades_loss(nn.Identity(), x, x, y).item() == F.cross_entropy(x, y).item()
    True
    """
    z = net(x)
    loss = F.cross_entropy(z, y)
    return loss + beta * divergence(z, net(x_adv)) if beta else loss


def mart_loss(net: Logits, x: Tensor, x_adv: Tensor, y: Tensor, beta: float = 4.0) -> Tensor:
    """Boosted cross-entropy on ``x_adv``, and ``beta`` times the divergence of samples as far as they are misread.

    :param net: batch to logits.
    :param x: clean samples.
    :param x_adv: perturbed samples.
    :param y: labels ``[N]``.
    :param beta: weight of the divergence.

    >>> x, y = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> mart_loss(nn.Identity(), x, x, y).item() < mart_loss(nn.Identity(), x, x - x, y).item()
    True
    """
    calm, moved = net(x).log_softmax(1), net(x_adv).log_softmax(1)
    own = F.one_hot(y, moved.shape[1]).bool()
    rival = moved.exp().masked_fill(own, 0.0).amax(1)
    loss = F.nll_loss(moved, y) - torch.log(1.0001 - rival).mean()
    if not beta:
        return loss
    apart = F.kl_div(moved, calm, reduction="none", log_target=True).sum(1)
    return loss + beta * (apart * (1 - calm.exp()[own])).mean()


def clamp_thresholds(net: nn.Module) -> None:
    """Bring learned thresholds of a converted network back to :data:`LOWEST_THRESHOLD` or above."""
    for module in net.modules():
        if isinstance(module, SpikingActivation):
            module.threshold.data.clamp_(min=LOWEST_THRESHOLD)


def fine_tune(
    net: nn.Module,
    data: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    *,
    eps: float,
    alpha: float | None = None,
    loss: Loss = trades_loss,
    beta: float = 2.0,
    clip: tuple[float, float] = (0.0, 1.0),
    seed: int = 0,
) -> float:
    """One epoch of adversarial training or fine-tuning; thresholds learn with the weights and stay at .03 or above.

    Choose a checkpoint on validation data, never on test data.

    :param net: from :func:`robust_convert`, any converted network, or the ReLU network before it.
    :param data: batches of inputs and labels.
    :param optimizer: over ``net.parameters()``.
    :param eps: L-infinity budget.
    :param alpha: random start; half of ``eps`` by default.
    :param loss: :func:`trades_loss` or :func:`mart_loss`.
    :param beta: weight of the divergence.
    :param clip: range of valid inputs.
    :param seed: seed of the random starts.
    :return: mean loss of the epoch.
    :raises ValueError: if there are no data.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    >>> batches = [(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]))]
    >>> fine_tune(net, batches, torch.optim.SGD(net.parameters(), lr=0.1), eps=0.0) > 0
    True
    """
    generator = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    training = net.training
    for x, y in data:
        net.eval()
        x_adv = rfgsm(net, x, eps, eps / 2 if alpha is None else alpha, clip, generator)
        net.train()
        optimizer.zero_grad()
        value = loss(net, x, x_adv, y, beta)
        value.backward()
        optimizer.step()
        clamp_thresholds(net)
        losses.append(float(value.detach()))
    net.train(training)
    if not losses:
        raise ValueError(explain("no training data", "batches of inputs and labels", "fine_tune(net, loader, ...)"))
    return sum(losses) / len(losses)

r"""The inner problem of adversarial training: ascent on an objective within an :math:`L_\infty` ball.

.. math:: x_0 = \Pi(x + U[-\epsilon, \epsilon]), \qquad
   x_{k+1} = \Pi\big(x_k + \eta\, \mathrm{sign}\, \nabla_x J(x_k)\big)

with :math:`\Pi` the projection on the ball around x and on the range of valid inputs, after every step and after the
start. A network of spikes has flat places: a sample whose gradient is zero everywhere takes a step of random signs.

Source: Madry et al., ICLR 2018.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.errors import explain


def linf_ascent(
    objective: Callable[[Tensor], Tensor],
    x: Tensor,
    eps: float,
    eps_step: float,
    max_iter: int,
    clip: tuple[float, float],
    generator: torch.Generator,
) -> Tensor:
    """Points of larger ``objective`` around ``x``; the last of ``max_iter`` steps.

    :param objective: a batch to a scalar, larger is worse for the defender.
    :param x: ``[N, *]``, inside ``clip``.
    :param eps: budget in the units of ``x``.
    :param eps_step: size of a step.
    :param max_iter: number of steps.
    :param clip: range of valid inputs.
    :param generator: source of the random start, on the CPU.

    >>> x = torch.tensor([[0.5, 0.95]])
    >>> moved = linf_ascent(lambda p: p.sum(), x, 0.1, 0.1, 3, (0.0, 1.0), torch.Generator())
    >>> moved
    tensor([[0.6000, 1.0000]])
    """
    low, high = (x - eps).clamp(min=clip[0]), (x + eps).clamp(max=clip[1])
    point = _within(x + eps * (2 * torch.rand(x.shape, generator=generator).to(x) - 1), low, high)
    for _ in range(max_iter):
        point = point.detach().requires_grad_(True)
        signs = torch.autograd.grad(objective(point), point)[0].sign()
        flat = (signs == 0).flatten(1).all(1)
        if bool(flat.any()):
            random = (torch.rand(x.shape, generator=generator).to(x) < 0.5).to(x) * 2 - 1
            signs = torch.where(flat.view(-1, *[1] * (x.dim() - 1)), random, signs)
        point = _within(point.detach() + eps_step * signs, low, high)
    return point.detach()


def _within(point: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(point, low), high)


class LinfTrainer(ValidatedTrainer):
    """Base class of trainers that perturb inputs within an L-infinity ball.

    :param eps: budget in input units.
    :param eps_step: size of a step; a quarter of ``eps`` for several steps, ``eps`` for one, by default.
    :param max_iter: number of steps.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.base.ValidatedTrainer`.

    :raises ValueError: for a budget, step or number of steps out of range.

    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> net = mlp((1, 8, 8), 10, hidden=(8,))
    >>> clf = tiny.classifier(net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    >>> trainer = LinfTrainer(clf, eps=0.1, max_iter=2, validation=0.5)
    >>> trainer.fit(*tiny.samples(20), nb_epochs=1)
    >>> sorted(trainer.history[0])
    ['epoch', 'loss', 'validation_clean', 'validation_robust']
    """

    perturbs = True

    def __init__(
        self, classifier: Any, *, eps: float = 8 / 255, eps_step: float | None = None, max_iter: int = 10, **kwargs: Any
    ) -> None:
        super().__init__(classifier, **kwargs)
        step = (eps if max_iter == 1 else eps / 4) if eps_step is None else eps_step
        if not (eps >= 0 and math.isfinite(eps) and step >= 0 and max_iter >= 1):
            came = f"eps={eps}, eps_step={eps_step}, max_iter={max_iter}"
            fix = f"{type(self).__name__}(classifier, eps=8 / 255, eps_step=2 / 255, max_iter=10)"
            raise ValueError(explain(came, "eps >= 0, eps_step >= 0 and at least one step", fix))
        self.eps, self.eps_step, self.max_iter = float(eps), float(step), int(max_iter)

    def objective(self, x: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:  # noqa: ARG002
        """What the perturbation of ``x`` increases: the classifier's loss."""
        return lambda point: self.task_loss(self.logits(point), y)

    def perturb(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """See the base class."""
        return linf_ascent(self.objective(x, y), x, self.eps, self.eps_step, self.max_iter, self.clip, generator)

r"""HIRE: noise crafted from gradients that training computes anyway.

The T steps are cut into P periods of T/P. In period p the network goes on from the membranes it has, on the code of
:math:`x_p`; the loss of that period updates the weights, and its input gradient the inputs of the next one,

.. math:: x_{p+1} = \Pi_\epsilon\big(x_p + \mathrm{clip}(\epsilon_s\, \mathrm{sign}\, \nabla_{x_p} L,\,
   -\epsilon_t,\, \epsilon_t)\big), \qquad x_1 = x,

so no pass is spent on perturbations. Gradients stop between periods. The total is bounded by :math:`\epsilon`, here and
at every step, and by the range of valid inputs; the paper leaves the total open.

Only for codes whose steps are alike: a period of a latency code would hold the bright pixels alone.

Source: Kundu et al., ICCV 2021; its training code is not public, so this is the algorithm as the paper's text has it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from art_snn.coding import Direct, Poisson
from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.spiking import memory_modules


class HIRE(ValidatedTrainer):
    r"""Crafted-noise training; ``periods=1`` is plain training.

    Its noise is a few weak steps: robustness to strong attacks is not to be expected. Adaptive recipe:
    ``adversarial-training``.

    :param periods: P, a divisor of the network's T.
    :param step: :math:`\epsilon_s`, in input units.
    :param step_limit: :math:`\epsilon_t`; ``step`` by default.
    :param eps: bound of the total perturbation; ``periods - 1`` steps by default.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.base.ValidatedTrainer`.

    :raises TypeError: if the classifier is not one of a ``SpikingNetwork``.
    :raises ValueError: for periods that do not divide T, a code whose steps differ, or a negative step.

    Source: Kundu et al., ICCV 2021.

    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,))
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> HIRE(clf, periods=2, step=0.05).fit(x, y, nb_epochs=1)
    """

    def __init__(
        self,
        classifier: Any,
        *,
        periods: int = 2,
        step: float = 8 / 255,
        step_limit: float | None = None,
        eps: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classifier, **kwargs)
        net = self.model
        if not isinstance(net, SpikingNetwork):
            fix = "SNNClassifier(SpikingNetwork(Direct(T=8), body), ...)"
            raise TypeError(explain(f"a {type(net).__name__}", "a SpikingNetwork, which has time steps", fix))
        if not isinstance(net.encoder, Direct | Poisson):
            came = f"the code {net.encoder!r}"
            raise ValueError(explain(came, "a code whose steps are alike", "use Direct or Poisson"))
        if not 1 <= periods <= net.T or net.T % periods:
            came = f"periods={periods} of a network of {net.T} steps"
            divisors = [p for p in range(1, net.T + 1) if net.T % p == 0]
            raise ValueError(explain(came, "a divisor of T", f"one of {divisors}"))
        limit = step if step_limit is None else step_limit
        total = max(periods - 1, 0) * limit if eps is None else eps
        if not (step >= 0 and limit >= 0 and total >= 0):
            came = f"step={step}, step_limit={limit}, eps={total}"
            raise ValueError(explain(came, "bounds of at least 0", "step=8 / 255"))
        self.periods, self.step, self.step_limit, self.eps = int(periods), float(step), float(limit), float(total)

    def crafted(self, x: Tensor, point: Tensor, gradient: Tensor) -> Tensor:
        """The inputs of the next period."""
        move = (self.step * gradient.sign()).clamp(-self.step_limit, self.step_limit)
        return torch.minimum(torch.maximum(point + move, x - self.eps), x + self.eps).clamp(*self.clip)

    def train_batch(self, x: Tensor, y: Tensor) -> float:
        """One step of the optimizer per period; the mean loss."""
        net: Any = self.model
        span, point, losses = net.T // self.periods, x, []
        with net._fresh_state():
            for period in range(self.periods):
                leaf = point.detach().requires_grad_(True)
                self.optimizer.zero_grad()
                inputs, _ = self._classifier._apply_preprocessing(leaf, y=None, fit=False, no_grad=False)
                part = net.encode(inputs)[period * span : (period + 1) * span]
                loss = self.task_loss(net.decoder(net._steps(part)), y)
                loss.backward()
                self.optimizer.step()
                losses.append(float(loss.detach()))
                for module in memory_modules(net):
                    module.detach()
                if leaf.grad is not None:
                    point = self.crafted(x, leaf.detach(), leaf.grad)
        return sum(losses) / len(losses)

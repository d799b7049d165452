r"""MPP regularization: keep the membrane perturbation of one spiking layer small.

.. math::
   e_t = \lambda e_{t-1} + (I^{clean}_t - I^{perturbed}_t), \qquad V = \mathrm{mean}_{t, n, d}\, e_t^2

   L = \kappa\, CE(f(x)) + (1 - \kappa)\, CE(f(x')) + \alpha V

with I the current into the layer and e the difference of two integrators that neither spike nor reset.

The source holds the clean current constant in the gradient (``detach_clean=True``). Both currents come from the same
weights W, so what is left, for a linear layer and V alone, is :math:`2 W\delta\,(x + \delta)^\top` instead of
:math:`2 W\delta\,\delta^\top`: larger, nearly orthogonal to the gradient of V (cosine 0.06 to 0.12 on digits), and
training with it made V grow. The default lets the gradient through both.

Meant for :class:`~art_snn.neurons.DLIF` neurons, which can learn to shorten the path of e; it runs with any spiking
neuron.

It lowers the overlap of the membrane with the surrogate's support, so it is a gradient-masking suspect. Adaptive recipe
``sparse-gradient``: several surrogates and ASSG, ``SNNAutoAttack(clf, eps=eps, preset="thorough")``.

Source: Ding et al., ICML 2024.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.defenses.trainer.gaussian import gaussian_noise
from art_snn.defenses.trainer.linf import LinfTrainer
from art_snn.defenses.trainer.passes import frozen_statistics
from art_snn.errors import explain, suggest
from art_snn.spiking import spiking_neurons

PERTURBATIONS = ("gaussian", "adversarial")


def membrane_perturbation(clean: Tensor, perturbed: Tensor, leak: float) -> Tensor:
    r"""V, the mean square of :math:`e_t = \lambda e_{t-1} + (I_c - I_a)_t`.

    :param clean: currents ``[T, *]``.
    :param perturbed: currents of the same shape.
    :param leak: :math:`\lambda`, in [0, 1].
    :raises ValueError: for different shapes, or a leak outside [0, 1].

    >>> membrane_perturbation(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]), 0.5).item()
    0.625
    """
    if clean.shape != perturbed.shape:
        came = f"currents of shape {list(clean.shape)} and {list(perturbed.shape)}"
        raise ValueError(explain(came, "two trains of one shape", "record both at the same layer"))
    if not 0 <= leak <= 1:
        raise ValueError(explain(f"leak={leak}", "a factor in [0, 1]", "leak=0.99"))
    e = torch.zeros_like(clean[0])
    total = clean.new_zeros(())
    for step in clean - perturbed:
        e = leak * e + step
        total = total + (e**2).mean()
    return total / len(clean)


@contextmanager
def currents(neuron: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, the input of ``neuron`` is noted at each call."""
    seen: list[Tensor] = []
    handle = neuron.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        handle.remove()


def leak_of(neuron: nn.Module) -> float:
    r"""Leak :math:`1 - 1/\tau` of a neuron; 1 for one without time constant.

    >>> from spikingjelly.activation_based import neuron
    >>> leak_of(neuron.LIFNode(tau=2.0)), leak_of(neuron.IFNode())
    (0.5, 1.0)
    """
    tau = getattr(neuron, "tau", None)
    if tau is not None:
        return 1 - 1 / float(tau)
    learned = getattr(neuron, "w", None)
    return 1 - float(torch.sigmoid(learned.detach())) if isinstance(learned, Tensor) else 1.0


class MembranePerturbation(LinfTrainer):
    r"""Training with the MPP regularizer; :math:`\alpha = 0, \kappa = 1` is plain training.

    Batch norm's running statistics follow the clean pass alone.

    **Masking warning**: see the module's text. Adaptive recipe: ``sparse-gradient``.

    :param layer: dotted name of the spiking neuron whose current is regularized; the paper takes the last one.
    :param alpha: weight of V.
    :param kappa: share of the clean loss, in [0, 1].
    :param perturbation: ``gaussian`` noise of deviation ``eps``, or ``adversarial``: an ascent within ``eps``.
    :param leak: :math:`\lambda`; that of the neuron by default.
    :param detach_clean: hold the clean current constant, as the source does; see the module's text.

    The remaining parameters are those of :class:`~art_snn.defenses.trainer.linf.LinfTrainer`.

    :raises ValueError: for a layer that is no spiking neuron, or a parameter out of range.

    Source: Ding et al., ICML 2024.

    >>> from sklearn.datasets import load_digits
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> x, y = load_digits(return_X_y=True)
    >>> x, y = (x[:64] / 16).reshape(-1, 1, 8, 8).astype("float32"), y[:64]
    >>> net = mlp((1, 8, 8), 10, hidden=(32,), neuron="dlif")
    >>> adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    >>> clf = SNNClassifier(net, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, adam, clip_values=(0.0, 1.0))
    >>> MembranePerturbation(clf, layer="body.2", eps=0.1, max_iter=1).fit(x, y, nb_epochs=1)
    """

    def __init__(
        self,
        classifier: Any,
        *,
        layer: str,
        alpha: float = 1.0,
        kappa: float = 0.5,
        perturbation: str = "adversarial",
        leak: float | None = None,
        detach_clean: bool = False,
        max_iter: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(classifier, max_iter=max_iter, **kwargs)
        neurons = spiking_neurons(self.model)
        if layer not in neurons:
            raise ValueError(suggest(layer, neurons, "spiking neuron"))
        if not (alpha >= 0 and 0 <= kappa <= 1):
            came = f"alpha={alpha}, kappa={kappa}"
            raise ValueError(explain(came, "alpha >= 0 and kappa in [0, 1]", "alpha=1.0, kappa=0.5"))
        if perturbation not in PERTURBATIONS:
            raise ValueError(suggest(perturbation, PERTURBATIONS, "perturbation"))
        if leak is not None and not 0 <= leak <= 1:
            raise ValueError(explain(f"leak={leak}", "a factor in [0, 1], or None", "leak=0.99"))
        self.detach_clean = detach_clean
        self.neuron, self.layer, self.leak = neurons[layer], layer, leak
        self.alpha, self.kappa, self.perturbation = float(alpha), float(kappa), perturbation

    def perturb(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
        """Noisy or adversarial inputs."""
        if self.perturbation == "gaussian":
            return gaussian_noise(x, self.eps, self.clip, generator)
        return super().perturb(x, y, generator)

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """See the class."""
        if not self.alpha and self.kappa == 1:
            return self.task_loss(self.logits(x), y)
        moved = self.perturbed(x, y)
        with currents(self.neuron) as calm:
            clean = self.task_loss(self.logits(x), y)
        with currents(self.neuron) as shaken, frozen_statistics(self.model):
            perturbed = self.task_loss(self.logits(moved), y)
        loss = self.kappa * clean + (1 - self.kappa) * perturbed
        if not self.alpha:
            return loss
        leak = leak_of(self.neuron) if self.leak is None else self.leak
        before = self._steps(calm).detach() if self.detach_clean else self._steps(calm)
        return loss + self.alpha * membrane_perturbation(before, self._steps(shaken), leak)

    def _steps(self, seen: list[Tensor]) -> Tensor:
        """``[T, draws, N, *]`` from the calls of one pass."""
        if getattr(self.neuron, "step_mode", "m") == "m":
            return torch.stack(seen, 1)
        T = int(self.model.T)
        return torch.stack(seen).unflatten(0, (-1, T)).transpose(0, 1)

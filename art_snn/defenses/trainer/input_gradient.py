r"""Penalties on the input gradient by a finite difference, without differentiating twice.

.. math:: v = \mathrm{sign}\, \nabla_x g(x) \;\text{(constant)}, \qquad
   \frac{g(x + h v) - g(x)}{h} \xrightarrow{h \to 0} \|\nabla_x g(x)\|_1

The one function :func:`input_gradient_l1` serves both :class:`~art_snn.defenses.trainer.SparseGradient`, where g is the
probability of the label against the runner-up, and :class:`~art_snn.defenses.trainer.GradientNorm`, where g is a margin
or the output of a regressor.

Sources: Liu et al., ICML 2024 (SR); Liu et al., CVPR 2024 (NT).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from art_snn.errors import explain


def input_gradient_l1(
    scalar_model: Callable[[Tensor], Tensor],
    x: Tensor,
    h: float,
    clip: tuple[float, float] = (-math.inf, math.inf),
) -> Tensor:
    """An estimate ``[N]`` of the l1 norm of each sample's input gradient, with a graph to the parameters.

    ``scalar_model`` is called on ``x`` first, then on the moved inputs. These are clamped to ``clip``: directions that
    leave the range of valid inputs do not count, as no attack can use them.

    :param scalar_model: a batch ``[N, *]`` to one number per sample, ``[N]``.
    :param x: inputs.
    :param h: step, above 0, in the units of ``x``.
    :param clip: range of valid inputs.
    :raises ValueError: for a step of 0 or less, or outputs of another shape.

    >>> w = torch.tensor([1.0, -2.0, 0.5])
    >>> round(input_gradient_l1(lambda x: x @ w, torch.zeros(1, 3), h=0.01).item(), 4)
    3.5
    """
    if not h > 0:
        raise ValueError(explain(f"h={h}", "a positive step", "h=0.01"))
    leaf = x.detach().requires_grad_(True)
    value = scalar_model(leaf)
    if value.shape != x.shape[:1]:
        came = f"outputs of shape {list(value.shape)} for {len(x)} samples"
        raise ValueError(explain(came, f"one number per sample, [{len(x)}]", "reduce them: z.flatten(1)[:, 0], say"))
    signs = torch.autograd.grad(value.sum(), leaf, retain_graph=True)[0].sign()
    moved = (x.detach() + h * signs).clamp(*clip)
    return (scalar_model(moved) - value) / h


def runner_up(z: Tensor, y: Tensor) -> Tensor:
    """The most likely class other than ``y``, ``[N]``.

    >>> runner_up(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([0]))
    tensor([2])
    """
    return z.detach().masked_fill(F.one_hot(y, z.shape[1]).bool(), -torch.inf).argmax(1)


def margin(z: Tensor, y: Tensor, other: Tensor) -> Tensor:
    """:math:`z_y - z_{other}`, ``[N]``.

    >>> margin(torch.tensor([[3.0, 1.0]]), torch.tensor([0]), torch.tensor([1]))
    tensor([2.])
    """
    return (z.gather(1, y[:, None]) - z.gather(1, other[:, None]))[:, 0]


def confidence(z: Tensor, y: Tensor, other: Tensor) -> Tensor:
    r""":math:`\sigma(z_y - z_{other})`: the probability of y if only these two classes existed, finite for any logits.

    >>> confidence(torch.tensor([[200.0, -200.0]]), torch.tensor([0]), torch.tensor([1]))
    tensor([1.])
    """
    return torch.sigmoid(margin(z, y, other))


def check_penalty(beta: float, h: float) -> None:
    """Refuse a weight or a step that makes no penalty.

    :raises ValueError: for a negative weight, or a step of 0 or less.
    """
    if not (beta >= 0 and h > 0):
        raise ValueError(explain(f"beta={beta}, h={h}", "beta >= 0 and h > 0", "beta=1.0, h=0.01"))

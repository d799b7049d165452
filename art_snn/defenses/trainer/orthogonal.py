r"""Orthogonal retraction and simplex projection: what RAT does to the weights after each step.

.. math:: W \leftarrow (1 + \beta) W - \beta W W^\top W

is one gradient step of rate :math:`\beta` on :math:`\tfrac14 \|W W^\top - I\|_F^2`. Singular values follow
:math:`\sigma \mapsto \sigma (1 + \beta - \beta \sigma^2)`: they go to 1 from :math:`(0, \sqrt{1 + 2/\beta})` and
diverge from beyond. Weights of convex combinations are projected on
:math:`\{a \ge 0, \sum a = 1\}`.

Source: Ding et al., NeurIPS 2022.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from art_snn.defenses.trainer.numbers import not_negative
from art_snn.errors import explain, suggest

_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_MANY_ROWS = 200
_SHARE = 0.3


def retract(W: Tensor, beta: float) -> Tensor:
    r""":math:`(1+\beta) W - \beta W W^\top W` for a matrix ``[O, I]``.

    :param beta: rate, at least 0.
    :raises ValueError: for a negative rate, or a spectral norm at or beyond :math:`\sqrt{1 + 2/\beta}`.

    >>> retract(torch.eye(2), 0.1)
    tensor([[1., 0.],
            [0., 1.]])
    """
    not_negative("beta", beta, "rate", "0.004")
    limit = math.sqrt(1 + 2 / beta) if beta else math.inf
    norm = float(torch.linalg.matrix_norm(W))
    if not norm < limit:
        norm = float(torch.linalg.matrix_norm(W, 2)) if math.isfinite(norm) else norm
        if not norm < limit and beta:
            came = f"a weight of spectral norm {norm:.4g}, from which a retraction with beta={beta} diverges"
            fix = "a smaller beta or learning rate, or a smaller initial scale of this layer"
            raise ValueError(explain(came, f"a spectral norm below {limit:.4g}", fix))
    small = W if W.shape[0] <= W.shape[1] else W.T
    step = (1 + beta) * small - beta * (small @ small.T) @ small
    return step if small is W else step.T


def project_simplex(a: Tensor) -> Tensor:
    r"""The nearest point of :math:`\{a \ge 0, \sum a = 1\}` to a vector, by sorting.

    :param a: ``[K]``.

    >>> project_simplex(torch.tensor([2.0, 0.0]))
    tensor([1., 0.])
    """
    ranked = a.sort(descending=True).values
    excess = (ranked.cumsum(0) - 1) / torch.arange(1, len(a) + 1).to(a)
    last = int((ranked > excess).nonzero()[-1])
    return (a - excess[last]).clamp(min=0)


class Retraction:
    """Applies both to the weights of a model, in place.

    :param model: the network.
    :param beta: rate of the retraction.
    :param layers: dotted names of linear and convolution layers; ``None`` is all of them.
    :param simplex: dotted names of parameters that weigh convex combinations.
    :param generator: source of the random rows.
    :raises ValueError: for an unknown name, a layer without a weight matrix, or no layer at all.

    Linear layers of 200 rows or more are retracted in a random 30 % of their rows, a set of its own each time.

    >>> net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> step = Retraction(net, beta=0.5, layers=["0"])
    >>> for _ in range(60):
    ...     step()
    >>> bool(torch.allclose(net[0].weight @ net[0].weight.T, torch.eye(3), atol=1e-5))
    True
    """

    def __init__(
        self,
        model: nn.Module,
        beta: float,
        layers: Sequence[str] | None = None,
        simplex: Sequence[str] = (),
        generator: torch.Generator | None = None,
    ) -> None:
        known = {name: module for name, module in model.named_modules() if isinstance(module, _LAYERS)}
        parameters = dict(model.named_parameters())
        if not known:
            raise ValueError(
                explain("a model without layers to retract", "linear or convolution layers", "use plain AT")
            )
        for name in layers or ():
            if name not in known:
                raise ValueError(suggest(name, known, "linear or convolution layer"))
        for name in simplex:
            if name not in parameters:
                raise ValueError(suggest(name, parameters, "parameter"))
        self.beta = not_negative("beta", beta, "rate", "0.004")
        self.layers = {name: known[name] for name in (known if layers is None else layers)}
        self.simplex = [parameters[name] for name in simplex]
        self.generator = torch.Generator().manual_seed(0) if generator is None else generator

    @torch.no_grad()
    def __call__(self) -> None:
        """One retraction.

        :raises ValueError: if a weight is so large that it would diverge; nothing is written to that layer.
        """
        for module in self.layers.values():
            weight = module.weight
            matrix = weight.flatten(1)
            rows = self._rows(module, len(matrix)).to(matrix.device)
            matrix = matrix.clone()
            matrix[rows] = retract(matrix[rows], self.beta)
            weight.copy_(matrix.view_as(weight))
        for weights in self.simplex:
            weights.copy_(project_simplex(weights.flatten()).view_as(weights))

    def _rows(self, module: nn.Module, rows: int) -> Tensor:
        if isinstance(module, nn.Linear) and rows >= _MANY_ROWS:
            return torch.randperm(rows, generator=self.generator)[: round(_SHARE * rows)]
        return torch.arange(rows)

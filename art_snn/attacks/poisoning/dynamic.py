r"""The dynamic trigger: a small autoencoder :math:`A_\phi` that draws another pattern for every sample.

.. math:: x' = x + \gamma A_\phi(x), \qquad A_\phi(x) \in (0, 1)

It is learned together with a model :math:`f_w` that nobody is going to use (the victim trains its own), alternating

.. math:: w \leftarrow w - \eta\,\nabla_w\bigl[\alpha\,\ell(f_w(x), y) + (1-\alpha)\,\ell(f_w(x'), y_t)\bigr], \qquad
          \phi \leftarrow \phi - \eta\,\nabla_\phi\,\ell(f_w(x'), y_t).

The second step takes the new :math:`w` as given (first order). What the grid holds afterwards decides how much of the
published strength is left:

* ``real``: :math:`x'` as it is, as published. No event camera writes such values: an upper bound.
* ``clamp``: clipped to [0, 1]. Cells that hold an event cannot grow, the others still hold fractions of one.
* ``binary``: the :math:`\lfloor \gamma D \rfloor` empty cells of largest :math:`A_\phi`, of :math:`D` cells, get one
  event each; a legal recording. (Rounding :math:`x + \gamma A` instead would change nothing below
  :math:`\gamma = 1/2`.)

Source: dynamic neuromorphic backdoors of Abad et al., "Sneaky Spikes", NDSS 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from art_snn.attacks.poisoning.trigger import Array, check_choice, check_grid
from art_snn.coding.straight_through import carry_path
from art_snn.errors import explain
from art_snn.networks.parts import seeded

KINDS = ("binary", "clamp", "real")
"""What the grid may hold after the trigger."""


class FrameAutoencoder(nn.Module):
    """Two convolutions down, two up, on every frame ``[N, T, 2, H, W]``; the output lies in (0, 1).

    :param channels: width of the narrow part.

    >>> FrameAutoencoder()(torch.zeros(2, 3, 2, 8, 8)).shape
    torch.Size([2, 3, 2, 8, 8])
    """

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(2, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 3, stride=2, padding=1),
            nn.ReLU(), nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 2, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """The pattern of each frame."""
        narrow = self.layers[:-1](x.flatten(0, 1))
        wide = F.interpolate(narrow, size=x.shape[-2:], mode="nearest")
        pattern: Tensor = torch.sigmoid(self.layers[-1](wide)).view_as(x)
        return pattern


def add_pattern(x: Tensor, pattern: Tensor, gamma: float, kind: str) -> Tensor:
    """``x`` with the pattern, made legal as ``kind`` says; differentiable in the pattern.

    >>> x, a = torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.tensor([[0.9, 0.2, 0.8, 0.1]])
    >>> add_pattern(x, a, 0.25, "binary").tolist()
    [[1.0, 0.0, 1.0, 0.0]]
    """
    if kind == "real":
        return x + gamma * pattern
    if kind == "clamp":
        return (x + gamma * pattern).clamp(0, 1)
    empty = torch.where(x == 0, pattern, torch.zeros_like(pattern)).flatten(1)
    count = int(gamma * empty.shape[1])
    chosen = (empty.detach().argsort(dim=1, descending=True, stable=True).argsort(dim=1) < count) & (empty > 0)
    return carry_path(torch.where(chosen.view_as(x), 1.0, x.double()).to(x), x + empty.view_as(x))


@dataclass(frozen=True)
class DynamicTrigger:
    """A learned trigger; see the module's text, and :func:`learn_dynamic_trigger`, which makes one.

    :param generator: grids ``[N, T, 2, H, W]`` to patterns in (0, 1).
    :param gamma: strength of the pattern; for ``binary``, the share of cells that get an event.
    :param kind: one of :data:`KINDS`.
    :raises ValueError: for a strength out of range, or another kind.

    >>> trigger = DynamicTrigger(FrameAutoencoder(), gamma=0.25)
    >>> int(trigger(np.zeros((1, 2, 2, 4, 4))).sum())  # a quarter of 64 empty cells
    16
    """

    generator: nn.Module
    gamma: float = 0.05
    kind: str = "binary"

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        if not 0 <= self.gamma <= 1:
            raise ValueError(explain(f"gamma={self.gamma!r}", "a strength from 0 to 1", "gamma=0.05"))

    def __call__(self, x: Any) -> Array:
        """Grids with the trigger.

        :raises ValueError: for anything but event grids.
        """
        grids = torch.as_tensor(check_grid(x), dtype=torch.float32)
        with torch.no_grad():
            pattern = self.generator(grids)
            return add_pattern(grids, pattern, self.gamma, self.kind).numpy().astype(np.asarray(x).dtype)


def learn_dynamic_trigger(
    model: nn.Module, x: Any, y: Any, target: int, *, gamma: float = 0.05, kind: str = "binary", alpha: float = 0.5,
    epochs: int = 10, batch_size: int = 64, learning_rate: float = 2e-3, seed: int = 0,
) -> DynamicTrigger:  # fmt: skip
    """Train a generator against ``model``, which is trained along and left in that state.

    :param model: a fresh network of about the victim's kind, grids to logits.
    :param x: samples the poisoner has, ``[N, T, 2, H, W]``.
    :param y: their class indices.
    :param target: the class that the trigger is to stand for.
    :param alpha: weight of the clean samples.
    :param epochs: passes over the samples.
    :param gamma: strength of the pattern; for ``binary``, the share of cells that get an event.
    :param kind: one of :data:`KINDS`.
    :param batch_size: samples per step.
    :param learning_rate: of Adam, for model and generator.
    :param seed: of the generator's weights and the order of the samples.
    :raises ValueError: for a parameter out of range, or anything but event grids.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    >>> grids = np.zeros((4, 2, 2, 4, 4), dtype=np.float32)
    >>> trigger = learn_dynamic_trigger(net, grids, [0, 1, 0, 1], target=1, epochs=1)
    >>> trigger.kind, trigger(grids).shape
    ('binary', (4, 2, 2, 4, 4))
    """
    with seeded(seed):
        generator = FrameAutoencoder()
    trigger = DynamicTrigger(generator, gamma, kind)
    grids, labels = torch.as_tensor(check_grid(x), dtype=torch.float32), torch.as_tensor(np.asarray(y)).long()
    outer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    inner = torch.optim.Adam(generator.parameters(), lr=learning_rate)
    order = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(grids), generator=order).split(batch_size):
            clean, own, goal = grids[rows], labels[rows], torch.full((len(rows),), target)
            triggered = add_pattern(clean, generator(clean), gamma, kind).detach()
            loss = alpha * F.cross_entropy(model(clean), own) + (1 - alpha) * F.cross_entropy(model(triggered), goal)
            outer.zero_grad()
            loss.backward()
            outer.step()
            triggered = add_pattern(clean, generator(clean), gamma, kind)
            inner.zero_grad()
            F.cross_entropy(model(triggered), goal).backward()
            inner.step()
    model.eval()
    return trigger

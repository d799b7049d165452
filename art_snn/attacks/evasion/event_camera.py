"""Event-camera attacks without gradients: add a pattern that the camera could have seen, until one of them fools.

They are add-only: an event that is there already stays one event on a binary grid, and becomes one more on a grid of
counts. Without a budget the whole pattern is added; of a pattern with more than k new events a random part is kept.

Source: Marchisio et al., "DVS-Attacks", IJCNN 2021. The original adds without a limit, so that cells of binary grids
become 2; here every output is legal. Its Sparse attack is :class:`~art_snn.attacks.evasion.HammingFW` with ``frames``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from art_snn.attacks.evasion import event_patterns
from art_snn.attacks.evasion.grid import GridAttack, GridSearch
from art_snn.attacks.evasion.search import Problem, Search
from art_snn.attacks.evasion.victim import Seen


class PatternAttack(GridAttack):
    """Base class: tries the patterns of :attr:`patterns` one after another.

    :param k: number of events that may be added; ``math.inf`` for whole patterns.
    :raises ValueError: in ``generate``, for samples that are not ``[T, C, H, W]``.

    The remaining parameters are those of :class:`~art_snn.attacks.evasion.grid.GridAttack`.
    """

    attack_params = [  # noqa: RUF012 - ART's own idiom
        name for name in GridAttack.attack_params if name not in ("add", "delete", "max_iter", "policy")
    ]
    loss_types = ("margin", "ce", "dlr")
    patterns: Callable[[Sequence[int]], Tensor]

    def __init__(
        self, estimator: Any, k: float = math.inf, most: float = 1, loss_type: str = "margin", **kwargs: Any
    ) -> None:
        super().__init__(estimator, k, 1, add=True, delete=False, most=most, loss_type=loss_type, **kwargs)

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial grids; see :class:`~art_snn.attacks.evasion.grid.GridAttack`."""
        shape = tuple(getattr(x, "shape", ()))[1:]
        self._tried = type(self).patterns(shape)
        return super().generate(x, y, **kwargs)

    def _queries(self) -> int:
        return len(self._tried)

    def _search(self, problem: Problem) -> Search:
        return _Parade(problem, self._first_runs(problem), [one.to(problem.x.device) for one in self._tried])


class FrameAttack(PatternAttack):
    """The border of the sensor lights up at all times: :func:`~art_snn.attacks.evasion.event_patterns.frame`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = FrameAttack(clf)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    patterns = staticmethod(event_patterns.frame)


class CornerAttack(PatternAttack):
    """A line grows from a corner: :func:`~art_snn.attacks.evasion.event_patterns.corner`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = CornerAttack(clf)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    patterns = staticmethod(event_patterns.corner)


class DashAttack(PatternAttack):
    """Two pixels of the first or last row: :func:`~art_snn.attacks.evasion.event_patterns.dash`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = DashAttack(clf)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    patterns = staticmethod(event_patterns.dash)


class MovingDashAttack(PatternAttack):
    """A dash that event filters do not see: :func:`~art_snn.attacks.evasion.event_patterns.moving_dash`.

    >>> import numpy as np
    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.coding import EventFrames
    >>> from art_snn.networks import mlp
    >>> net = mlp((2, 4, 4), 3, encoder=EventFrames(T=5))
    >>> clf = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, clip_values=(0.0, 1.0))
    >>> x = np.eye(5, dtype=np.float32)[:, :, None, None, None] * np.ones((2, 4, 4), dtype=np.float32)
    >>> attack = MovingDashAttack(clf)
    >>> bool(attack.threat.contains(torch.tensor(x), torch.tensor(attack.generate(x))).all())
    True
    """

    patterns = staticmethod(event_patterns.moving_dash)


class _Parade(GridSearch):
    wants_gradient = False

    def __init__(self, problem: Problem, first_runs: Tensor, patterns: list[Tensor]) -> None:
        super().__init__(problem, first_runs)
        self.patterns, self.done = patterns, 0
        self.draw = problem.uniform(*problem.x.shape[1:], salt=4) + 0.5

    def first(self) -> Tensor:
        """The first pattern."""
        return self._show()

    def next(self, point: Tensor, seen: Seen) -> Tensor:  # noqa: ARG002 - the next one, whatever the last one did
        """See :class:`Search`."""
        return self._show()

    def _show(self) -> Tensor:
        pattern = self.patterns[self.done]
        self.done += 1
        return self.step(torch.where(pattern, self.draw, torch.zeros_like(self.draw)))

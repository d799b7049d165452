"""The comparison as ART's own harness knows evaluations: :class:`art.evaluations.Evaluation` subclasses.

:class:`SNNEvaluation` runs the whole protocol. :class:`SNNSecurityCurve` stands where
``art.evaluations.SecurityCurve`` stands: the same constructor, results and attributes, but each accuracy is the
per-sample worst case over the attacks of the protocol instead of one run of PGD, with its interval, and gradient
obfuscation is judged by every invalidating flag instead of one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from art.estimators.classification import PyTorchClassifier
from art.evaluations.evaluation import Evaluation

from art_snn.errors import explain, suggest
from art_snn.evaluation.attacks import ATTACKS, SUITES
from art_snn.evaluation.comparison import Comparison
from art_snn.evaluation.plots import security_curves
from art_snn.evaluation.protocol import Networks, compare
from art_snn.evaluation.statistics import Proportion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = np.ndarray[Any, np.dtype[Any]]
_NAME = "model"


class SNNEvaluation(Evaluation):
    """Flags, attacks, intervals and paired tests, as :func:`~art_snn.evaluation.compare` has them.

    :param eps: L-infinity budgets in input units, not negative.
    :param attacks: names of attacks, the default set without; see ``art-snn list``.
    :param preset: adds :class:`~art_snn.attacks.evasion.SNNAutoAttack`: ``fast``, ``standard`` or ``thorough``.
    :param seed: seed of everything random.
    :param out: folder for finished cells and the report.
    :param verbose: show a progress bar.
    :raises ValueError: for an unknown preset.

    >>> SNNEvaluation(8 / 255, preset="fast").attacks[-1]
    'auto-fast'
    """

    def __init__(
        self, eps: Sequence[float] | float, attacks: Sequence[str] | None = None, preset: str | None = None,
        seed: int = 0, out: str | os.PathLike[str] | None = None, verbose: bool = False,
    ) -> None:  # fmt: skip
        if preset is not None and f"auto-{preset}" not in SUITES:
            raise ValueError(suggest(preset, [name.removeprefix("auto-") for name in SUITES], "preset"))
        self.eps = eps
        self.attacks = [*(ATTACKS if attacks is None else attacks), *([] if preset is None else [f"auto-{preset}"])]
        self.seed, self.out, self.verbose = seed, out, verbose
        self.result: Comparison | None = None

    def evaluate(self, classifier: Mapping[str, Networks] | Networks, x: Array, y: Array) -> Comparison:
        """Run the protocol.

        :param classifier: one classifier, networks of several training seeds, or models by name.
        :param x: samples ``[N, *]`` in input units.
        :param y: labels, indices ``[N]`` or one-hot.
        :return: the comparison; also kept in ``result``.
        """
        models = classifier if isinstance(classifier, Mapping) else {_NAME: classifier}
        self.result = compare(
            models, x, y, self.eps, attacks=self.attacks, seed=self.seed, out=self.out, verbose=self.verbose
        )
        return self.result


class SNNSecurityCurve(Evaluation):
    """A security curve of the worst case, in place of ``art.evaluations.SecurityCurve``.

    After :meth:`evaluate`: ``eps_list``, ``accuracy_adv_list``, ``accuracy``, :attr:`detected_obfuscating_gradients`
    as in ART; ``intervals`` (95 %, one per budget), ``valid``, and ``result``, the whole comparison.

    :param eps: budgets, or as in ART a number of equal steps up to the range of the data.
    :param attacks: names of attacks, the default set without.
    :param seed: seed of everything random.
    :raises ValueError: for a number of steps below one.

    >>> SNNSecurityCurve(eps=[0.1, 0.2])
    SNNSecurityCurve(eps=[0.1, 0.2])
    """

    def __init__(self, eps: int | Sequence[float], attacks: Sequence[str] | None = None, seed: int = 0) -> None:
        if isinstance(eps, int) and eps < 1:
            raise ValueError(explain(f"eps={eps}", "a number of steps >= 1, or a list of budgets", "eps=[0.05, 0.1]"))
        self.eps = eps
        self.attacks, self.seed = attacks, seed
        self.eps_list: list[float] = []
        self.accuracy_adv_list: list[float] = []
        self.intervals: list[Proportion] = []
        self.accuracy: float | None = None
        self.result: Comparison | None = None

    def evaluate(
        self, classifier: PyTorchClassifier, x: Array, y: Array, **kwargs: Any
    ) -> tuple[list[float], list[float], float]:
        """Evaluate the worst case at every budget.

        :param classifier: a trained classifier, spiking or not; or networks of several training seeds.
        :param x: samples ``[N, *]``.
        :param y: labels, one-hot or indices.
        :param kwargs: ``attacks`` and ``seed``, in place of the constructor's; ART's ``verbose`` is understood.
        :return: budgets, accuracies in the worst case, accuracy without attack.
        :raises TypeError: for parameters of ART's PGD, which is not what runs here.
        """
        unknown = set(kwargs) - {"attacks", "seed", "verbose"}
        if unknown:
            fix = "name attacks instead: evaluate(classifier, x, y, attacks=['pgd', 'apgd-margin'])"
            raise TypeError(explain(f"parameters {sorted(unknown)}", "attacks, seed or verbose", fix))
        budgets = self._budgets(classifier, x)
        protocol = SNNEvaluation(
            budgets, kwargs.get("attacks", self.attacks), None, kwargs.get("seed", self.seed),
            verbose=bool(kwargs.get("verbose", False)),
        )  # fmt: skip
        self.result = protocol.evaluate(classifier, x, y)
        self.eps_list = list(budgets)
        self.intervals = [self.result.accuracy(_NAME, None, eps) for eps in self.eps_list]
        self.accuracy_adv_list = [one.value for one in self.intervals]
        self.accuracy = self.result.accuracy(_NAME).value
        return self.eps_list, self.accuracy_adv_list, self.accuracy

    def _budgets(self, classifier: Any, x: Array) -> list[float]:
        if not isinstance(self.eps, int):
            return [float(eps) for eps in self.eps]
        one = classifier[0] if isinstance(classifier, list | tuple) else classifier
        low, high = (np.min(x), np.max(x)) if one.clip_values is None else one.clip_values
        step = float(np.max(high) - np.min(low)) / self.eps
        return [step * i for i in range(1, self.eps + 1)]

    def _done(self) -> Comparison:
        if self.result is None:
            raise RuntimeError(
                explain("a curve that was not evaluated", "evaluate first", "evaluate(classifier, x, y)")
            )
        return self.result

    @property
    def valid(self) -> bool:
        """Whether no flag invalidates the accuracies."""
        return self._done().valid(_NAME)

    @property
    def detected_obfuscating_gradients(self) -> bool:
        """Whether the last :meth:`evaluate` raised an invalidating flag; ART asks only what an unbounded attack leaves.

        :raises RuntimeError: before the first one.
        """
        return not self.valid

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curve with its 95 % band.

        :param ax: axes to draw into; a new figure without them.
        :raises RuntimeError: before the first :meth:`evaluate`.
        """
        axes = security_curves(self._done(), ax)
        if not self.valid:
            axes.set_title(
                "Gradient obfuscation: " + " ".join(f.id for f in self._done().raised(_NAME) if f.invalidates)
            )
        return axes

    def __repr__(self) -> str:
        return f"{type(self).__name__}(eps={self.eps})"

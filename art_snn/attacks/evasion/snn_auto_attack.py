"""SNNAutoAttack: a fixed ladder of attacks, the per-sample worst case, and the record of how it was reached.

0. Preflight: conditions under which no number means anything are errors (:mod:`art_snn.attacks.evasion.preflight`).
1. One run of Auto-PGD with a fixed sharp policy: what falls to it needs no tuning, and no time for it. Calibration of
   gradient policy, sharpness and code backward for the survivors, on samples that are not evaluated.
2. Auto-PGD on cross entropy with the best policy, restarts until the robust accuracy stands still.
3. Survivors: policies of other families with SA-PGD and Auto-PGD on the margin, targeted Auto-PGD, FAB; for a latency
   code, LatencyPGD.
4. Survivors: Square, transfer from other models, random corners. No gradient of the model is used.
5. Every success is confirmed by a fresh forward of the unchanged model and by the threat model in float64.

A network without spikes climbs the same ladder with plain autograd. Stochastic models get averaged losses and
majority votes throughout.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator, LossGradientsMixin

from art_snn.attacks.evasion import calibration as cal
from art_snn.attacks.evasion.arguments import check_whole, samples
from art_snn.attacks.evasion.ascent import Ascent
from art_snn.attacks.evasion.ladder import (
    PRESETS,
    Preset,
    SuiteRun,
)
from art_snn.attacks.evasion.summary import Writer, check_writer
from art_snn.errors import GuardedInit, explain
from art_snn.threats import PixelBudget, pixel_budget

logger = logging.getLogger(__name__)


class SNNAutoAttack(GuardedInit, EvasionAttack):
    """The strongest evaluation here, without a parameter to tune on the evaluated samples.

    :param estimator: a trained ``SNNClassifier``, or any ART PyTorch classifier.
    :param norm: ``np.inf``, 2 or 1.
    :param eps: radius of the ball.
    :param preset: ``fast``, ``standard`` or ``thorough``, or a :class:`~art_snn.attacks.evasion.ladder.Preset`.
    :param batch_size: samples per forward pass; the result does not depend on it.
    :param seed: seed of every random number.
    :param verbose: log the ladder when it is done.
    :param progress: show the ladder while it is climbed.
    :param calibration: ``(x, y)``, at least 100 samples that are not evaluated, to choose the policy on. Without it
        nothing is tuned: three fixed sharp policies take turns in the restarts. Networks without spikes need none.
    :param transfer: ART PyTorch classifiers to borrow gradients from.
    :param eot: draws per gradient of a stochastic model; ``None`` chooses on the calibration split, else 10.
    :param votes: predictions per decision of a stochastic model; ``None`` is 10.
    :param summary_writer: TensorBoard curves of every rung, each in a folder of its own.
    :raises ValueError: for a parameter out of range.

    >>> from torch import nn
    >>> from art_snn import SNNClassifier
    >>> from art_snn.networks import mlp
    >>> clf = SNNClassifier(mlp((1, 8, 8), 10), nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
    >>> attack = SNNAutoAttack(clf, eps=1.0, preset="fast", verbose=False)
    >>> x = np.random.default_rng(0).random((4, 1, 8, 8), dtype=np.float32)
    >>> x_adv = attack.generate(x)
    >>> attack.last_run.robust_accuracy
    0.0
    """

    attack_params = EvasionAttack.attack_params + [  # noqa: RUF005 - ART's own idiom
        "norm", "eps", "preset", "batch_size", "seed", "verbose", "progress", "calibration", "transfer", "eot", "votes",
    ]  # fmt: skip
    _estimator_requirements = (BaseEstimator, LossGradientsMixin, ClassifierMixin)

    def __init__(
        self, estimator: Any, norm: float | str = np.inf, eps: float = 8 / 255, preset: str | Preset = "standard",
        batch_size: int = 64, seed: int = 0, verbose: bool = True, progress: bool = False,
        calibration: tuple[Any, Any] | None = None, transfer: Sequence[Any] = (), eot: int | None = None,
        votes: int | None = None, summary_writer: Writer = False,
    ) -> None:  # fmt: skip
        super().__init__(estimator=estimator, summary_writer=check_writer(summary_writer))
        self.norm = norm
        self.eps = eps
        self.preset = preset
        self.batch_size = batch_size
        self.seed = seed
        self.verbose = verbose
        self.progress = progress
        self.calibration = calibration
        self.transfer = transfer
        self.eot = eot
        self.votes = votes
        self.last_run: SuiteRun | None = None
        self._check_params()

    def _check_params(self) -> None:
        if pixel_budget(self.norm, self.eps, self.estimator.clip_values).norm == 0:
            fix = "use SNNAutoPGD(norm=0)"
            raise ValueError(explain(f"norm={self.norm!r}", "np.inf, 2 or 1, for which every member has a form", fix))
        if not isinstance(self.preset, Preset) and self.preset not in PRESETS:
            raise ValueError(explain(f"preset={self.preset!r}", f"one of {tuple(PRESETS)}", "preset='standard'"))
        if self.calibration is not None and len(self.calibration) != 2:
            raise ValueError(explain("calibration of another form", "(x, y)", "calibration=(x_cal, y_cal)"))
        check_whole("batch_size", self.batch_size, 1)
        check_whole("seed", self.seed, 0)
        for name in ("eot", "votes"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)

    @property
    def threat(self) -> PixelBudget:
        """The threat model: norm, radius and range."""
        return pixel_budget(self.norm, self.eps, self.estimator.clip_values)

    def generate(self, x: Any, y: Any = None, **kwargs: Any) -> Any:
        """Adversarial samples; what was broken by which rung is in ``last_run``.

        :param x: clean samples ``[N, *]``; not modified.
        :param y: index or one-hot labels; ``None`` takes the model's own predictions.
        :param kwargs: ``mask``: 1 where a value may change.
        :return: float32 array of the shape of ``x``.
        :raises ValueError: if the preflight fails, or the calibration split holds evaluation samples.
        """
        clean = samples(x, self.estimator)
        if self.calibration is not None:
            cal.check_split(clean, self.calibration[0])
        run = Ascent(self, clean, y, kwargs.get("mask"))
        self.last_run = run.climb()
        if self.verbose:
            logger.info("\n%s", self.last_run.table())
        return run.state.best

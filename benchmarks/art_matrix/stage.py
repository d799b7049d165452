"""What a case gets to work with, and what it must show: more than that nothing was raised."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from art_matrix.victims import CLASSES, VICTIMS, Array, classifier, data, network
from art_snn.evaluation.cost import counted

EPS = 0.25


class BrokenError(Exception):
    """A call that returned, with a result that cannot be right."""


class NotForThisCodeError(Exception):
    """A documented property of the code stands in the way, and the classifier says so."""


class Stage:
    """The classifier under test, samples, and the checks of results.

    :param victim: one of :data:`~art_matrix.victims.VICTIMS`.
    """

    def __init__(self, victim: str) -> None:
        if victim not in VICTIMS:
            raise ValueError(f"victim {victim!r} is none of {VICTIMS}")
        self.victim = victim
        self.spiking = victim != "ann"
        self.notes: list[str] = []
        self._made: list[Any] = []

    def clf(self, kind: str = "images", **options: Any) -> Any:
        """A classifier around a copy of the trained network; what passes through it is counted."""
        made = classifier(self.victim, kind, **options)
        counter = counted(made.model)
        self._made.append((counter, counter.__enter__()))
        return made

    def cost(self) -> tuple[int, int]:
        """Samples sent forward and differentiated so far."""
        costs = [cost for _, cost in self._made]
        return sum(c.forwards for c in costs), sum(c.backwards for c in costs)

    def module(self, kind: str = "images") -> Any:
        """A copy of the trained module, for what builds its own classifier."""
        return classifier(self.victim, kind).model

    def samples(self, number: int = 8, kind: str = "images") -> tuple[Array, Array]:
        """Test samples that the network gets right, and index labels."""
        _, _, x, y = data(kind)
        with torch.no_grad():
            right = network(self.victim, kind)(torch.tensor(x[:200])).argmax(1).numpy() == y[:200]
        return x[:200][right][:number].copy(), y[:200][right][:number].copy()

    def training(self, number: int = 64, kind: str = "images") -> tuple[Array, Array]:
        """Training samples and one-hot labels."""
        x, y, _, _ = data(kind)
        return x[:number].copy(), onehot(y[:number])

    @property
    def layer(self) -> str:
        """The hidden layer: the neurons, or the ReLU."""
        return "body.2" if self.spiking else "layer2"

    def evade(
        self, attack: Any, clf: Any, number: int = 8, kind: str = "images", *, eps: float | None = None,
        norm: Any = np.inf, rises: bool = True, changes: bool = True, start: tuple[Array, Array] | None = None,
        **generate: Any,
    ) -> Array:  # fmt: skip
        """Run an untargeted attack and look at what it returns.

        :param eps: the budget that must hold, in ``norm``.
        :param rises: the mean loss must be larger than on the clean samples.
        :param changes: something must have changed.
        """
        x, y = self.samples(number, kind) if start is None else start
        kept = x.copy()
        before = self.losses(clf, x, y)
        found = attack.generate(x, y=generate.pop("labels", onehot(y)), **generate)
        if not np.array_equal(kept, x):
            raise BrokenError("the clean samples were changed in place")
        self.images(found, x)
        if eps is not None:
            reach = np.linalg.norm((found - x).reshape(len(x), -1).astype(np.float64), norm, axis=1).max()
            if reach > eps * (1 + 1e-3) + 1e-6:
                raise BrokenError(f"the budget is {eps}, the largest perturbation {reach:.4g}")
        after = self.losses(clf, found, y)
        fooled = float((np.argmax(clf.predict(found.astype(np.float32)), 1) != y).mean())
        self.notes.append(f"{fooled:.0%} fooled")
        if changes and np.array_equal(found, kept):
            raise BrokenError("nothing was changed")
        if rises and not after.mean() > before.mean():
            raise BrokenError(f"the loss did not rise: {before.mean():.4g} before, {after.mean():.4g} after")
        return found

    def losses(self, clf: Any, x: Array, y: Array) -> Array:
        """Cross entropy of each sample."""
        z = torch.tensor(clf.predict(np.asarray(x, dtype=np.float32)))
        if clf.postprocessing_defences:
            return torch.nn.functional.nll_loss(z.clamp_min(1e-12).log(), torch.tensor(y), reduction="none").numpy()
        return torch.nn.functional.cross_entropy(z, torch.tensor(y), reduction="none").numpy()

    @staticmethod
    def images(found: Any, like: Array, low: float = 0.0, high: float = 1.0) -> None:
        """The result is a batch of samples: same shape, floating point, finite, in the range."""
        if not isinstance(found, np.ndarray):
            raise BrokenError(f"a {type(found).__name__} instead of an array")
        if found.shape != like.shape:
            raise BrokenError(f"shape {found.shape} instead of {like.shape}")
        if found.dtype.kind != "f" or not np.isfinite(found).all():
            raise BrokenError(f"dtype {found.dtype}, finite: {bool(np.isfinite(found).all())}")
        if found.min() < low - 1e-5 or found.max() > high + 1e-5:
            raise BrokenError(f"values in [{found.min():.4g}, {found.max():.4g}] leave [{low:g}, {high:g}]")

    @staticmethod
    def holds(condition: bool, message: str) -> None:
        """Raise :class:`BrokenError` unless ``condition``."""
        if not condition:
            raise BrokenError(message)

    def still_works(self, clf: Any, accuracy: float = 0.5, kind: str = "images") -> float:
        """The classifier answers for 100 test samples, finitely, and is not destroyed."""
        _, _, x, y = data(kind)
        z = clf.predict(x[:100])
        self.holds(
            z.shape == (100, CLASSES) and bool(np.isfinite(z).all()), f"predictions of shape {z.shape}, or not finite"
        )
        share = float((z.argmax(1) == y[:100]).mean())
        self.notes.append(f"accuracy {share:.2f}")
        self.holds(share >= accuracy, f"accuracy {share:.2f} afterwards, expected at least {accuracy}")
        return share


def onehot(y: Array) -> Array:
    """One-hot rows of index labels."""
    return np.eye(CLASSES, dtype=np.float32)[y]

r"""What every trainer here owes its user: order from a seed, a validation split, the best checkpoint, a clean exit.

* The validation split is carved from the *training* data before the first step; no trainer ever asks for test data.
* After each epoch the split is classified clean and, by a trainer that perturbs its inputs, under its own perturbation,
  taken in eval mode. The weights with the best robust accuracy (clean accuracy where there is none) are kept, the later
  epoch in a tie.
* Order and noise come from two generators made of ``seed``; numbers that a layer takes from torch's global generator
  (dropout) are seeded as well, and the global state is put back.
* The model ends in eval mode. If an exception passes, weights and optimizer are those from before ``fit``.

Own checkpoints by one's own training attack are a choice of weights, not an evaluation: judge the result by
:class:`~art_snn.SNNAutoAttack`.
"""

from __future__ import annotations

import copy
import math
from abc import ABC
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from art.defences.trainer import Trainer
from art.estimators.classification import PyTorchClassifier
from art.estimators.regression.pytorch import PyTorchRegressor
from torch import Tensor
from tqdm.auto import trange

from art_snn.defenses.trainer.samples import samples_and_targets, split_rows
from art_snn.errors import explain
from art_snn.seeding import seeded_globals

Scheduler = torch.optim.lr_scheduler.LRScheduler


class ValidatedTrainer(Trainer, ABC):
    """Base class: a subclass says what the loss of a batch is, and, if it has one, what the perturbation is.

    :param classifier: an ``SNNClassifier`` or any ART PyTorch classifier with an optimizer, trained in place.
    :param validation: share of the training data that checkpoints are chosen on; 0 keeps the last weights.
    :param seed: seed of the split, of the order of samples and of all noise.
    :param verbose: show a progress bar.
    :raises TypeError: if ``classifier`` is no ART PyTorch classifier.
    :raises ValueError: without an optimizer, for a share outside [0, 0.5], or with preprocessing in numpy.

    >>> from art_snn.networks import mlp
    >>> from art_snn.testing import tiny
    >>> class Scaled(ValidatedTrainer):
    ...     def loss(self, x, y):
    ...         return 2 * super().loss(x, y)
    >>> net = mlp((1, 8, 8), 10, hidden=(8,))
    >>> clf = tiny.classifier(net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1))
    >>> trainer = Scaled(clf, validation=0.5)
    >>> trainer.fit(*tiny.samples(20), nb_epochs=1)
    >>> sorted(trainer.history[0])
    ['epoch', 'loss', 'validation_clean']
    """

    accepts: tuple[type, ...] = (PyTorchClassifier,)
    perturbs = False
    """Whether :meth:`perturb` does anything."""

    def __init__(self, classifier: Any, *, validation: float = 0.1, seed: int = 0, verbose: bool = False) -> None:
        _check_estimator(classifier, self.accepts)
        if not 0 <= validation <= 0.5:
            came = f"validation={validation}"
            raise ValueError(explain(came, "a share of the training data in [0, 0.5]", "validation=0.1"))
        super().__init__(classifier)
        self.validation, self.seed, self.verbose = float(validation), int(seed), verbose
        self.history: list[dict[str, float]] = []
        self.best_epoch = -1
        self.generator = torch.Generator().manual_seed(self.seed)

    @property
    def model(self) -> Any:
        """The bare network."""
        return self._classifier.model

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The classifier's optimizer."""
        optimizer: torch.optim.Optimizer = self._classifier.optimizer
        return optimizer

    @property
    def clip(self) -> tuple[float, float]:
        """Range of valid inputs; unbounded for a classifier without clip values."""
        values = self._classifier.clip_values
        if values is None:
            return -math.inf, math.inf
        return float(values[0].min()), float(values[1].max())

    def logits(self, x: Tensor) -> Tensor:
        """Outputs for raw inputs, through the classifier's own preprocessing: budgets stay in input units."""
        inputs, _ = self._classifier._apply_preprocessing(x, y=None, fit=False, no_grad=False)
        z: Tensor = self.model(inputs)
        return z

    def task_loss(self, z: Tensor, y: Tensor) -> Tensor:
        """The classifier's own loss."""
        if isinstance(self._classifier, PyTorchRegressor):
            z, y = z.reshape(-1), y.reshape(-1)
        loss: Tensor = self._classifier.loss(z, y)
        return loss

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        """What a step descends on; plain training unless a subclass says otherwise."""
        return self.task_loss(self.logits(x), y)

    def perturb(self, x: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Perturbed inputs; the model is in eval mode."""
        return x

    def perturbed(self, x: Tensor, y: Tensor) -> Tensor:
        """:meth:`perturb` for training: in eval mode, with the trainer's noise, detached."""
        training = self.model.training
        self.model.eval()
        try:
            return self.perturb(x, y, self.generator).detach()
        finally:
            self.model.train(training)

    def train_batch(self, x: Tensor, y: Tensor) -> float:
        """One step; the loss."""
        self.optimizer.zero_grad()
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        self.after_step()
        return float(loss.detach())

    def after_step(self) -> None:
        """Called after each step of the optimizer."""

    def begin_epoch(self, epoch: int, nb_epochs: int) -> None:
        """Called before each epoch."""

    def prepared(self) -> AbstractContextManager[None]:
        """What holds while training, and is undone after."""
        return nullcontext()

    def fit(
        self, x: Any, y: Any, batch_size: int = 64, nb_epochs: int = 20, scheduler: Scheduler | None = None
    ) -> None:
        """Train the classifier in place.

        :param x: training samples ``[N, *]``; part of them becomes the validation split.
        :param y: index or one-hot labels; real numbers for a regressor.
        :param batch_size: samples per step.
        :param nb_epochs: passes over the samples.
        :param scheduler: stepped after each epoch.
        :raises ValueError: for unusable samples or labels, less than one epoch or sample per batch, or a loss that is
            not a number.
        """
        if batch_size < 1 or nb_epochs < 1:
            came = f"batch_size={batch_size}, nb_epochs={nb_epochs}"
            raise ValueError(explain(came, "at least 1 of each", "fit(x, y, batch_size=64, nb_epochs=20)"))
        x, y = samples_and_targets(self._classifier, x, y)
        order = torch.Generator().manual_seed(self.seed)
        rows, held = split_rows(len(x), self.validation, order)
        self.generator = torch.Generator().manual_seed(self.seed + 1)
        self.history, self.best_epoch = [], -1
        with seeded_globals(self.seed), self._restored_on_error(), self.prepared():
            reseed = getattr(self.model, "reseed", None)
            if callable(reseed):
                reseed(self.seed)
            self._train(x, y, rows, held, order, batch_size, nb_epochs, scheduler)

    def _train(
        self, x: Tensor, y: Tensor, rows: Tensor, held: Tensor, order: torch.Generator, batch_size: int,
        nb_epochs: int, scheduler: Scheduler | None,
    ) -> None:  # fmt: skip
        best, weights = (-math.inf, -math.inf), None
        for epoch in trange(nb_epochs, disable=not self.verbose, desc=type(self).__name__):
            self.begin_epoch(epoch, nb_epochs)
            self.model.train()
            losses = [self._checked(*self._moved(x[b], y[b])) for b in _batches(rows, batch_size, order)]
            if scheduler is not None:
                scheduler.step()
            record = {"epoch": float(epoch), "loss": sum(losses) / len(losses)}
            if len(held):
                record |= self.validate(x[held], y[held], batch_size=max(batch_size, 256))
                score = record.get("validation_robust", record["validation_clean"]), record["validation_clean"]
                if score >= best:
                    best, weights, self.best_epoch = score, copy.deepcopy(self.model.state_dict()), epoch
            self.history.append(record)
        if weights is not None:
            self.model.load_state_dict(weights)

    def _moved(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        device = self._classifier.device
        return x.to(device), y.to(device)

    def _checked(self, x: Tensor, y: Tensor) -> float:
        loss = self.train_batch(x, y)
        if not math.isfinite(loss):
            fix = "lower the learning rate or the weight of the penalty"
            raise ValueError(explain(f"a training loss of {loss}", "a finite loss", fix))
        return loss

    def validate(self, x: Tensor, y: Tensor, batch_size: int = 256) -> dict[str, float]:
        """Score of the validation split, clean and, if this trainer perturbs, perturbed with the same noise each time.

        The score is accuracy; for a regressor it is the negative loss.
        """
        self.model.eval()
        generator = torch.Generator().manual_seed(self.seed + 2)
        clean, robust = 0.0, 0.0
        for b in torch.arange(len(x)).split(batch_size):
            xb, yb = self._moved(x[b], y[b])
            right = self._score(xb, yb)
            clean += float(right.sum())
            if self.perturbs:
                moved = self._score(self.perturb(xb, yb, generator).detach(), yb)
                robust += float(torch.minimum(right, moved).sum())
        scores = {"validation_clean": clean / len(x)}
        return {**scores, "validation_robust": robust / len(x)} if self.perturbs else scores

    def _score(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            z = self.logits(x)
            if isinstance(self._classifier, PyTorchRegressor):
                return -((z.reshape(len(z), -1) - y.reshape(len(y), -1)) ** 2).mean(1)
            classes = y if y.dim() == 1 else y.argmax(1)
            return (z.argmax(1) == classes).float()

    @contextmanager
    def _restored_on_error(self) -> Iterator[None]:
        weights = copy.deepcopy(self.model.state_dict())
        state = copy.deepcopy(self.optimizer.state_dict())
        try:
            yield
        except BaseException:
            self.model.load_state_dict(weights)
            self.optimizer.load_state_dict(state)
            raise
        finally:
            self.optimizer.zero_grad()
            self.model.eval()


def _batches(rows: Tensor, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    yield from rows[torch.randperm(len(rows), generator=generator)].split(size)


def _check_estimator(classifier: Any, accepts: tuple[type, ...]) -> None:
    fits: bool = isinstance(classifier, accepts)
    if not fits:
        kinds = " or ".join(kind.__name__ for kind in accepts)
        fix = "wrap the network: SNNClassifier(net, loss, input_shape, nb_classes, optimizer=...)"
        raise TypeError(explain(f"a {type(classifier).__name__}", f"an ART {kinds}", fix))
    if classifier.optimizer is None:
        fix = "SNNClassifier(..., optimizer=torch.optim.Adam(net.parameters()))"
        raise ValueError(explain("a classifier without optimizer", "an optimizer of its parameters", fix))
    if not classifier.all_framework_preprocessing:
        fix = "use preprocessors of the PyTorch kind, so that gradients pass through them"
        raise ValueError(explain("preprocessing in numpy", "differentiable preprocessing", fix))

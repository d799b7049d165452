"""Every trainer by name, ART's own among them, with the network it needs and the attack that knows about it.

``TRAINERS[name].neuron`` and ``.events`` say what to build; :func:`trained_by` trains it. A zoo of models offers
``snn-<name>`` in a few lines::

    entry = TRAINERS[name]
    net = mlp(data.input_shape, data.nb_classes, encoder=Direct(recipe.T), neuron=entry.neuron, seed=seed)
    trained_by(name, classifier, data.x_train, data.y_train, seed=seed, nb_epochs=recipe.epochs)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from art.attacks.evasion import ProjectedGradientDescent
from art.defences.trainer import (
    AdversarialTrainerAWPPyTorch,
    AdversarialTrainerFBFPyTorch,
    Trainer,
)
from art.utils import check_and_transform_label_format

from art_snn.defenses.trainer.adversarial import MARTTrainer, PGDTrainer, TRADESTrainer
from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.defenses.trainer.fine_tuning import RobustFineTuning
from art_snn.defenses.trainer.gate_training import StochasticGateTrainer
from art_snn.defenses.trainer.gaussian import GaussianNoiseTrainer
from art_snn.defenses.trainer.gradient_norm import GradientNorm
from art_snn.defenses.trainer.hire import HIRE
from art_snn.defenses.trainer.membrane_perturbation import MembranePerturbation
from art_snn.defenses.trainer.plain import PlainTrainer
from art_snn.defenses.trainer.rat import RAT
from art_snn.defenses.trainer.retiming import RetimingAdversarialTrainer
from art_snn.defenses.trainer.sparse_gradient import SparseGradient
from art_snn.errors import suggest
from art_snn.seeding import seeded_globals
from art_snn.spiking import spiking_neurons

Builder = Callable[..., Trainer]
"""``build(classifier, eps, seed=, verbose=)``."""

RECIPES = {
    "adversarial-training": 'SNNAutoAttack(clf, eps=eps, preset="standard"), at least ten times the steps of training',
    "sparse-gradient": 'SNNAutoAttack(clf, eps=eps, preset="thorough", transfer=[plain, ann])',
    "stochastic": "SNNAutoAttack(clf, eps=eps, eot=20, votes=20), and the same on the mean network",
    "retiming": "SpikeRetiming(clf, jitter=1, max_iter=100, nb_random_init=3), on larger budgets as well",
}
"""Adaptive attacks by name."""


@dataclass(frozen=True)
class Entry:
    """One trainer.

    :param title: one line for a list.
    :param recipe: name of its adaptive attack in :data:`RECIPES`.
    :param build: makes the trainer.
    :param neuron: neuron that the network of the zoo is built with.
    :param events: whether it needs spike trains as input.
    :param masks: whether it is a gradient-masking suspect by construction.

    >>> entry = TRAINERS["stog"]
    >>> entry.title, entry.neuron, entry.masks
    ('stochastic gates', 'gated', True)
    """

    title: str
    recipe: str
    build: Builder
    neuron: str = "lif"
    events: bool = False
    masks: bool = False


def _awp(classifier: Any, eps: float, **_: Any) -> Trainer:
    attack = ProjectedGradientDescent(
        classifier, eps=eps, eps_step=eps / 4, max_iter=10, num_random_init=1, verbose=False
    )
    proxy = copy.deepcopy(classifier)
    proxy.set_params(optimizer=torch.optim.SGD(proxy.model.parameters(), lr=0.01))
    return AdversarialTrainerAWPPyTorch(classifier, proxy, attack, mode="PGD", gamma=0.01, beta=6.0, warmup=0)


def _fbf(classifier: Any, eps: float, **_: Any) -> Trainer:
    classifier.set_params(optimizer=torch.optim.SGD(classifier.model.parameters(), lr=0.1, momentum=0.9))
    return AdversarialTrainerFBFPyTorch(classifier, eps=eps)


def _last_neuron(classifier: Any, eps: float, **kwargs: Any) -> Trainer:
    return MembranePerturbation(classifier, layer=list(spiking_neurons(classifier.model))[-1], eps=eps, **kwargs)


def _budgeted(kind: Callable[..., Trainer], **fixed: Any) -> Builder:
    return lambda classifier, eps, **kwargs: kind(classifier, eps=eps, **fixed, **kwargs)


def _free(kind: Callable[..., Trainer]) -> Builder:
    return lambda classifier, eps, **kwargs: kind(classifier, **kwargs)  # noqa: ARG005 - one signature for all


TRAINERS: dict[str, Entry] = {
    "plain": Entry("no defense", "adversarial-training", _free(PlainTrainer)),
    "at": Entry("adversarial training, PGD", "adversarial-training", _budgeted(PGDTrainer)),
    "trades": Entry("TRADES", "adversarial-training", _budgeted(TRADESTrainer)),
    "mart": Entry("MART", "adversarial-training", _budgeted(MARTTrainer)),
    "awp": Entry("ART's adversarial weight perturbation", "adversarial-training", _awp),
    "fbf": Entry("ART's fast-is-better-than-free", "adversarial-training", _fbf),
    "rat": Entry("adversarial training with orthogonal retraction", "adversarial-training", _budgeted(RAT)),
    "gaussian": Entry(
        "normal noise, deviation eps",
        "adversarial-training",
        lambda classifier, eps, **kwargs: GaussianNoiseTrainer(classifier, sigma=eps, **kwargs),
    ),
    "hire": Entry(
        "crafted noise, two periods",
        "adversarial-training",
        lambda classifier, eps, **kwargs: HIRE(classifier, step=eps, **kwargs),
    ),
    "fine-tune": Entry("TRADES fine-tuning, one step", "adversarial-training", _budgeted(RobustFineTuning)),
    "sr": Entry("sparse-gradient penalty", "sparse-gradient", _budgeted(SparseGradient), masks=True),
    "sr-at": Entry(
        "sparse-gradient penalty, adversarial inputs",
        "sparse-gradient",
        _budgeted(SparseGradient, adversarial=True),
        masks=True,
    ),
    "nt": Entry("gradient-norm penalty", "sparse-gradient", _free(GradientNorm), masks=True),
    "mpp": Entry("membrane-perturbation penalty", "sparse-gradient", _last_neuron, neuron="dlif", masks=True),
    "stog": Entry("stochastic gates", "stochastic", _budgeted(StochasticGateTrainer), neuron="gated", masks=True),
    "retiming": Entry(
        "adversarial training, spikes moved by one step", "retiming", _free(RetimingAdversarialTrainer), events=True
    ),
}
"""Trainers by name."""


def trained_by(
    name: str,
    classifier: Any,
    x: Any,
    y: Any,
    *,
    eps: float = 8 / 255,
    seed: int = 0,
    nb_epochs: int = 20,
    batch_size: int = 64,
    verbose: bool = False,
) -> Any:
    """Train ``classifier`` in place by a named trainer at its default settings, and return it.

    :param nb_epochs: epochs.
    :param batch_size: samples per step.
    :param verbose: show progress.
    :param name: a key of :data:`TRAINERS`.
    :param classifier: an untrained classifier with an optimizer, of the network that the entry asks for. ``fbf``
        replaces the optimizer by SGD, because ART's trainer sets its learning rate.
    :param x: training samples; trainers of this package take their validation split out of them, ART's own take all.
    :param y: labels.
    :param eps: budget of the perturbation in input units, where the trainer has one.
    :param seed: seed of everything random.
    :raises ValueError: for an unknown name, or a network that the trainer cannot use.

    >>> sorted(TRAINERS)[:4]
    ['at', 'awp', 'fbf', 'fine-tune']
    """
    if name not in TRAINERS:
        raise ValueError(suggest(name, TRAINERS, "trainer"))
    trainer = TRAINERS[name].build(classifier, eps, seed=seed, verbose=verbose)
    if isinstance(trainer, ValidatedTrainer):
        trainer.fit(x, y, batch_size=batch_size, nb_epochs=nb_epochs)
        return classifier
    reseed = getattr(classifier.model, "reseed", None)
    if reseed is not None:
        reseed(seed)
    rows = check_and_transform_label_format(np.asarray(y), nb_classes=classifier.nb_classes)
    with seeded_globals(seed):
        trainer.fit(x, rows, batch_size=batch_size, nb_epochs=nb_epochs)
    classifier.model.eval()
    return classifier

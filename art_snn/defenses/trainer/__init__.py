"""Training as a defense, in ART's interface: ``Trainer(classifier, ...).fit(x, y)``, then ``get_classifier()``.

ART's own trainers run unchanged on an ``SNNClassifier``. Those here share one promise
(:mod:`art_snn.defenses.trainer.base`): a validation split of the training data chooses the checkpoint, a seed decides
everything random, and each names the adaptive attack that it has to be judged by (:data:`RECIPES`).
"""

from art_snn.defenses.trainer.adversarial import MARTTrainer, PGDTrainer, TRADESTrainer
from art_snn.defenses.trainer.base import ValidatedTrainer
from art_snn.defenses.trainer.fine_tuning import RobustFineTuning
from art_snn.defenses.trainer.gate_training import StochasticGateTrainer
from art_snn.defenses.trainer.gaussian import GaussianNoiseTrainer, gaussian_noise
from art_snn.defenses.trainer.gradient_norm import GradientNorm
from art_snn.defenses.trainer.hire import HIRE
from art_snn.defenses.trainer.input_gradient import input_gradient_l1
from art_snn.defenses.trainer.linf import LinfTrainer, linf_ascent
from art_snn.defenses.trainer.membrane_perturbation import MembranePerturbation, membrane_perturbation
from art_snn.defenses.trainer.orthogonal import Retraction, project_simplex, retract
from art_snn.defenses.trainer.plain import PlainTrainer
from art_snn.defenses.trainer.rat import RAT
from art_snn.defenses.trainer.registry import RECIPES, TRAINERS, Entry, trained_by
from art_snn.defenses.trainer.retiming import RetimingAdversarialTrainer
from art_snn.defenses.trainer.sparse_gradient import SparseGradient

__all__ = [
    "HIRE",
    "RAT",
    "RECIPES",
    "TRAINERS",
    "Entry",
    "GaussianNoiseTrainer",
    "GradientNorm",
    "LinfTrainer",
    "MARTTrainer",
    "MembranePerturbation",
    "PGDTrainer",
    "PlainTrainer",
    "RetimingAdversarialTrainer",
    "Retraction",
    "RobustFineTuning",
    "SparseGradient",
    "StochasticGateTrainer",
    "TRADESTrainer",
    "ValidatedTrainer",
    "gaussian_noise",
    "input_gradient_l1",
    "linf_ascent",
    "membrane_perturbation",
    "project_simplex",
    "retract",
    "trained_by",
]

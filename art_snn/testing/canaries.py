"""The evaluation of the evaluator: models with one planted fault each, and honest ones.

Every canary is a real ART estimator on the bundled digits, trained in seconds when it is first asked for. A diagnosis
must raise the flags that are named for its fault, and no invalidating flag on an honest model.

>>> CANARIES["c11"].fault, CANARIES["c11"].flags
('constant classifier', ('E8',))
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import layer, neuron
from torch import nn

from art_snn.coding import Direct, EventFrames, Latency, Poisson, SpikeCount
from art_snn.errors import GradientWarning
from art_snn.estimators import SNNClassifier
from art_snn.evaluation.diagnosis import diagnose
from art_snn.evaluation.reliability import ReliabilityReport
from art_snn.gradients import surrogate
from art_snn.networks import SpikingNetwork, mlp
from art_snn.spiking import spiking_neurons
from art_snn.testing import faults, tiny

Array = np.ndarray[Any, np.dtype[Any]]
EPS = 0.1
_MEAN, _STD = 0.3, 0.38
_FRAMES = 4


@dataclass(frozen=True)
class Canary:
    """A model with a known fault, or none.

    :param id: ``c1``, ...; honest models have words for names.
    :param fault: what is wrong with it.
    :param flags: flags that a diagnosis must raise; empty for an honest model.
    :param build: makes the ART classifier.
    :param samples: makes samples and labels.
    :param attacks: attacks under test, where the fault is in one.

    >>> one = Canary("mine", "constant classifier", ("E8",), build=CANARIES["c11"].build)
    >>> one.honest, one.samples()[0].shape
    (False, (64, 1, 8, 8))
    """

    id: str
    fault: str
    flags: tuple[str, ...]
    build: Callable[[], PyTorchClassifier]
    samples: Callable[[], tuple[Array, Array]] = tiny.samples
    attacks: Mapping[str, Any] = field(default_factory=dict)

    @property
    def honest(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.flags

    def diagnose(self, **options: Any) -> ReliabilityReport:
        """:func:`~art_snn.evaluation.diagnose` on the canary's own samples."""
        return diagnose(self.build(), *self.samples(), **{"eps": EPS, "attacks": self.attacks, **options})

    def caught(self, report: ReliabilityReport) -> bool:
        """Whether the diagnosis is right: every named flag for a fault, no invalidating flag for an honest model."""
        return report.valid if self.honest else all(report.flags[name].raised for name in self.flags)


def _masked() -> PyTorchClassifier:
    trained = _latency()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientWarning)
        return tiny.classifier(SpikingNetwork(Latency(8, backward="masked"), trained.body, trained.decoder))


@cache
def _latency() -> SpikingNetwork:
    return tiny.spiking(Latency(T=8))


@cache
def _poisson() -> SpikingNetwork:
    return tiny.spiking(Poisson(T=4, seed=0))


@cache
def _robust() -> SpikingNetwork:
    return tiny.spiking(Direct(T=4), epochs=15, eps=EPS)


@cache
def _without_gradient(skip: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = faults.EvalWithoutGradient(skip)
    return tiny.fit(net)


@cache
def _counting() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = nn.Sequential(
            layer.Flatten(), layer.Linear(64, 64), neuron.LIFNode(), layer.Linear(64, 10), neuron.LIFNode()
        )
    return faults.Probabilities(tiny.fit(SpikingNetwork(Direct(_FRAMES), body, SpikeCount())))


@cache
def _deep() -> SpikingNetwork:
    net = mlp(tiny.SHAPE, tiny.CLASSES, hidden=(32, 32, 32), encoder=Direct(T=1))
    tiny.fit(net, epochs=12)
    return net


def _narrow() -> SNNClassifier:
    net = copy.deepcopy(_deep())
    for node in spiking_neurons(net).values():
        node.surrogate_function = surrogate("triangle", 10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GradientWarning)
        return tiny.classifier(net)  # type: ignore[return-value]


def _frames(x: Array) -> Array:
    spikes = Poisson(T=_FRAMES, seed=1)(torch.tensor(x))
    return np.ascontiguousarray(spikes.transpose(0, 1).numpy())


@cache
def _on_frames() -> nn.Module:
    net = mlp(tiny.SHAPE, tiny.CLASSES, hidden=(64,), encoder=EventFrames(_FRAMES))
    return tiny.fit(net, x=_frames(tiny.digits().x_train))


def _framed(net: Callable[[], nn.Module]) -> Callable[[], PyTorchClassifier]:
    return lambda: tiny.classifier(copy.deepcopy(net()), input_shape=(_FRAMES, *tiny.SHAPE))


@cache
def _regularized() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Dropout(0.3), nn.Linear(128, tiny.CLASSES),
        )  # fmt: skip
    return tiny.fit(net, epochs=12)


def _frame_samples() -> tuple[Array, Array]:
    x, y = tiny.samples()
    return _frames(x), y


def _standard_samples() -> tuple[Array, Array]:
    x, y = tiny.samples()
    return ((x - _MEAN) / _STD).astype(np.float32), y


def _standardized() -> PyTorchClassifier:
    clip = (-_MEAN / _STD, (1 - _MEAN) / _STD)
    return tiny.classifier(faults.Standardized(tiny.analog(), _MEAN, _STD), clip_values=clip)


def _averaging() -> PyTorchClassifier:
    return faults.AveragingEstimator(
        faults.NoisyInput(tiny.analog(), std=0.2), nn.CrossEntropyLoss(), tiny.SHAPE, tiny.CLASSES,
        clip_values=(0.0, 1.0), device_type="cpu",
    )  # fmt: skip


def _of(net: Callable[[], nn.Module]) -> Callable[[], PyTorchClassifier]:
    return lambda: tiny.classifier(copy.deepcopy(net()))


_ALL = (
    Canary("c1", "layer whose backward is zero", ("E1", "W2"), _of(lambda: faults.ZeroBackward(tiny.analog()))),
    Canary("c2", "spiking layer without gradient in eval mode", ("E1",), _of(lambda: _without_gradient(False))),
    Canary("c3", "the same with a skip path", ("E9", "W2", "W6"), _of(lambda: _without_gradient(True))),
    Canary("c4", "Bernoulli code without backward", ("E7",), _of(lambda: faults.BernoulliWithoutBackward(_poisson()))),
    Canary(
        "c5", "detached event filter", ("E7", "W3"),
        _framed(lambda: faults.DetachedFilter(_on_frames())), _frame_samples,
    ),
    Canary("c6", "budget applied in normalized space", ("E4",), _standardized, _standard_samples),
    Canary("c7", "state that leaks from call to call", ("E3",), _of(lambda: faults.WithoutReset(tiny.direct()))),
    Canary("c8", "count logits with ties, softmax output", ("W10",), _of(_counting)),
    Canary("c9", "logits times 10 000", ("E1",), _of(lambda: faults.Loud(tiny.analog()))),
    Canary("c10", "random noise, not averaged over", ("W7",), _of(lambda: faults.NoisyInput(tiny.analog(), 0.2))),
    Canary("c11", "constant classifier", ("E8",), _of(faults.Constant)),
    Canary("c12", "none: adversarially trained", (), _of(lambda: tiny.analog(EPS))),
    Canary("c13", "latency code with masked backward", ("E7",), _masked),
    Canary(
        "c14", "random start that is not projected", ("E4",), _of(tiny.analog),
        attacks={"rfgsm": lambda clf: faults.UnprojectedStart(clf, EPS)},
    ),
    Canary("c15", "surrogate of tiny support", ("E1", "W6", "W2"), _narrow),
    Canary("c16", "averaging in the estimator only", ("E9",), _averaging),
    Canary("ann", "none", (), _of(tiny.analog)),
    Canary("snn-direct", "none", (), _of(tiny.direct)),
    Canary("snn-poisson", "none", (), _of(_poisson)),
    Canary("snn-latency", "none", (), _of(_latency)),
    Canary("converted", "none", (), _of(tiny.converted)),
    Canary("snn-direct-at", "none: adversarially trained", (), _of(_robust)),
    Canary("snn-events", "none", (), _framed(_on_frames), _frame_samples),
    Canary("ann-cnn", "none: convolution, batch norm, dropout", (), _of(_regularized)),
)  # fmt: skip
CANARIES: dict[str, Canary] = {canary.id: canary for canary in _ALL}
"""Every canary by name; c1 to c16, then the honest ones (c12 is honest as well)."""

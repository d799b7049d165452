"""Planted faults: modules, an estimator and an attack, each with one mistake that people really make."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import neuron
from torch import Tensor, nn

from art_snn.networks import SpikingNetwork
from art_snn.spiking import reset_state

Array = np.ndarray[Any, np.dtype[Any]]


class _NoBackward(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing to keep."""

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ARG004
        return torch.zeros_like(grad)


class ZeroBackward(nn.Module):
    """A network with a layer whose backward pass is zero."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """The inner logits."""
        z: Tensor = _NoBackward.apply(self.inner(x))
        return z


class EvalWithoutGradient(nn.Module):
    """A spiking network of SpikingJelly parts, stepped by hand, whose neurons cut the gradient in eval mode.

    :param skip: add a shortcut around the neurons, from the image averaged over 4 x 4 pixels: then there is a gradient,
        and it is wrong.
    """

    def __init__(self, skip: bool, steps: int = 4, hidden: int = 64) -> None:
        super().__init__()
        self.steps = steps
        self.first = nn.Linear(64, hidden)
        self.neuron = neuron.ComplementaryLIFNode(tau=2.0)
        self.last = nn.Linear(hidden, 10)
        self.around = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 10)) if skip else None

    def forward(self, x: Tensor) -> Tensor:
        """Mean over the steps."""
        reset_state(self)
        flat = x.flatten(1)
        current = self.first(flat)
        z = torch.stack([self.last(self.neuron(current)) for _ in range(self.steps)]).mean(0)
        reset_state(self)
        return z if self.around is None else z + self.around(x)


class BernoulliWithoutBackward(nn.Module):
    """A rate code by ``torch.bernoulli``, which has no gradient, and does not say that it is random."""

    def __init__(self, net: SpikingNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Draw, simulate, read out."""
        spikes = torch.bernoulli(x.clamp(0, 1).expand(self.net.T, *x.shape))
        z: Tensor = self.net.decoder(self.net.simulate(spikes))
        return z


class DetachedFilter(nn.Module):
    """Event frames ``[N, T, *]`` through a filter that keeps repeated events only, on detached data."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Filter, then the network."""
        frames = x.detach()
        seen = frames.cumsum(1) - frames
        z: Tensor = self.net(frames * (seen < 2))
        return z


class Standardized(nn.Module):
    """A network that expects standardized images."""

    def __init__(self, net: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.net, self.mean, self.std = net, mean, std

    def forward(self, x: Tensor) -> Tensor:
        """Undo, then the network."""
        z: Tensor = self.net(x * self.std + self.mean)
        return z


class WithoutReset(nn.Module):
    """A spiking body whose state is never reset."""

    def __init__(self, net: SpikingNetwork) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Encode, run the body from wherever the last call left it, read out."""
        z: Tensor = self.net.decoder(self.net.body(self.net.encode(x)))
        return z


class Probabilities(nn.Module):
    """Softmax behind the logits."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Rows that sum to 1."""
        return self.net(x).softmax(1)  # type: ignore[no-any-return]


class Loud(nn.Module):
    """Logits times a large number."""

    def __init__(self, net: nn.Module, factor: float = 1e4) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, x: Tensor) -> Tensor:
        """The scaled logits."""
        z: Tensor = self.factor * self.net(x)
        return z


class NoisyInput(nn.Module):
    """Fresh Gaussian noise on the input at every call, unannounced."""

    def __init__(self, net: nn.Module, std: float) -> None:
        super().__init__()
        self.net, self.std = net, std

    def forward(self, x: Tensor) -> Tensor:
        """Noise, then the network."""
        z: Tensor = self.net(x + self.std * torch.randn_like(x))
        return z


class Constant(nn.Module):
    """Always the same class."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(64, 10)
        with torch.no_grad():
            self.last.weight.mul_(1e-3)
            self.last.bias.copy_(torch.arange(10.0))

    def forward(self, x: Tensor) -> Tensor:
        """Nearly constant logits."""
        z: Tensor = self.last(x.flatten(1))
        return z


class AveragingEstimator(PyTorchClassifier):
    """Averages gradients over draws in the estimator, where attacks that rebuild their own never look."""

    draws = 10

    def loss_gradient(self, x: Any, y: Any, training_mode: bool = False, **kwargs: Any) -> Any:
        """The mean over draws of the parent's gradient."""
        total = super().loss_gradient(x, y, training_mode, **kwargs)
        for _ in range(self.draws - 1):
            total = total + super().loss_gradient(x, y, training_mode, **kwargs)
        return total / self.draws


class UnprojectedStart:
    """R-FGSM that never projects: a random sign step, then a full step; the two add up beyond the budget."""

    def __init__(self, estimator: PyTorchClassifier, eps: float, seed: int = 0) -> None:
        self.estimator, self.eps = estimator, eps
        self.generator = np.random.default_rng(seed)

    def generate(self, x: Array, y: Array) -> Array:
        """Points up to 1.5 eps away."""
        rows = np.eye(self.estimator.nb_classes, dtype=np.float32)[y]
        start = x + np.float32(self.eps / 2) * np.sign(self.generator.standard_normal(x.shape)).astype(np.float32)
        grad = self.estimator.loss_gradient(start.astype(np.float32), rows)
        return np.clip(start + np.float32(self.eps) * np.sign(grad), 0, 1).astype(np.float32)

r"""Synaptic operations: what the spikes of a forward pass cost, counted where they enter a layer with weights.

.. math:: \mathrm{SynOps}(x) = \sum_l \sum_t \sum_i n_{l,t,i}\, f_{l,i}, \qquad f_{l,i} = \sum_o 1[w_{l,oi} \ne 0]

with :math:`n` the number of spikes that arrive at input :math:`i` of layer :math:`l` and :math:`f` its fan-out: the
weights that are not zero and lead from it to an output. At the borders of a convolution, and where a stride skips
positions, the fan-out is smaller; it is taken per position.

* *Pooling and addition fold in.* The average over a window holds :math:`n/k^2` for :math:`n` spikes; it is counted as
  :math:`n` spikes with the fan-out of the pooled position (once per window where windows overlap). A sum of spike
  trains (a residual connection) counts every spike.
* *Values that are no spikes* (a directly coded image, normalized activations) are products: their non-zero entries
times
  fan-out, in :attr:`OperationCounter.macs`. A direct code presents its image T times and is counted T times.
* *What decides.* The code says whether the input is spikes, neurons emit spikes, pooling and reshaping pass on what
they
  got. Where that is lost (a function instead of a module) the values decide: whole numbers, or zeros and one other
  value per channel, are spikes.

The count is differentiable: with :math:`f` fixed, :math:`\partial\,\mathrm{SynOps}/\partial x` flows through the spikes
under whatever surrogate or policy is on. Biases and neuron updates are left out.

Source of the definition: Yik et al., "NeuroBench", 2023 (effective synaptic operations).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from art_snn.coding.frames import EventFrames
from art_snn.errors import explain
from art_snn.networks.body import body_step_mode
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.spiking import spiking_neurons

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_PASSING = (
    nn.Flatten, nn.Unflatten, nn.Identity, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip

_MARK = "_art_snn_spikes_per_unit"
_NO_SPIKES = 0.0


@dataclass
class LayerOperations:
    """What one layer did, per sample and summed over the time steps.

    ``synops`` ``[N]``: spikes times fan-out. ``macs`` ``[N]``: other non-zero values times fan-out. ``dense``: products
    if nothing were skipped, padding excluded.
    """

    synops: Tensor
    macs: Tensor
    dense: float


class OperationCounter:
    """The account that :func:`counting` keeps; totals are per forward pass, averaged over the draws of a stochastic
    network.
    """

    def __init__(self) -> None:
        self.layers: dict[str, LayerOperations] = {}
        self.input_spikes: Tensor | None = None
        self.calls = 0
        self.calls_per_pass = 1

    def clear(self) -> None:
        """Start a new account."""
        self.layers, self.input_spikes, self.calls = {}, None, 0

    @property
    def synops(self) -> Tensor:
        """Synaptic operations ``[N]``, float64, with gradient.

        :raises RuntimeError: if nothing ran.
        """
        return self._total([layer.synops for layer in self.layers.values()])

    @property
    def macs(self) -> Tensor:
        """Products of weights with values that are no spikes, ``[N]``, float64.

        :raises RuntimeError: if nothing ran.
        """
        return self._total([layer.macs for layer in self.layers.values()])

    @property
    def dense(self) -> float:
        """Products per sample if nothing were skipped."""
        return sum(layer.dense for layer in self.layers.values()) / self.passes

    @property
    def input_size(self) -> Tensor:
        """Sum of what entered the network, ``[N]``: events of a spike code; T times the brightness of a direct code.

        :raises RuntimeError: if nothing ran.
        """
        return self._total([] if self.input_spikes is None else [self.input_spikes])

    @property
    def passes(self) -> float:
        """Forward passes since the account was opened."""
        return max(self.calls / self.calls_per_pass, 1)

    def _total(self, parts: list[Tensor]) -> Tensor:
        if not parts:
            fix = "run the network inside: with counting(net) as counter: net(x)"
            raise RuntimeError(explain("a counter that saw no layer with weights", "at least one forward pass", fix))
        return torch.stack(parts).sum(0) / self.passes


@contextmanager
def counting(net: nn.Module) -> Iterator[OperationCounter]:
    """Count the operations of every forward pass of ``net`` inside the context.

    Weights must not change inside: the fan-out of a layer is computed once.

    :param net: a :class:`~art_snn.SpikingNetwork`, or an ordinary network ``[N, *] -> [N, K]``, all of whose inputs are
        values unless they say otherwise.

    >>> from art_snn.coding import Poisson
    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 2, 2), 3, hidden=(5,), encoder=Poisson(T=4))
    >>> with counting(net) as counter:
    ...     _ = net(torch.ones(1, 1, 2, 2))
    >>> counter.layers["body.1"].synops.item()  # four pixels, four steps, five synapses each
    80.0
    """
    watch = _Watch(net)
    try:
        yield watch.counter
    finally:
        watch.detach()


class _Watch:
    """The hooks: one notes the batch, some pass on what is a spike, one per layer counts."""

    def __init__(self, net: nn.Module) -> None:
        self.counter = OperationCounter()
        self.encoder = net.encoder if isinstance(net, SpikingNetwork) else None
        body: nn.Module = net.body if isinstance(net, SpikingNetwork) else net
        self.together = self.encoder is not None and body_step_mode(body) == "m"
        if self.encoder is not None and not self.together:
            self.counter.calls_per_pass = self.encoder.T
        self.steps, self.samples = 1, 0
        self.busy = False
        self.fan_outs: dict[tuple[str, tuple[int, ...]], tuple[Tensor, float]] = {}
        neurons = set(map(id, spiking_neurons(net).values()))
        self.handles = [body.register_forward_pre_hook(self._entered)]
        for name, module in net.named_modules():
            if isinstance(module, (nn.Linear, *_CONVOLUTIONS)):
                self.handles.append(module.register_forward_pre_hook(partial(self._count, name)))
            elif id(module) in neurons:
                self.handles.append(module.register_forward_hook(_fired))
            elif isinstance(module, (*_AVERAGES, *_ADAPTIVE, *_PASSING)):
                self.handles.append(module.register_forward_hook(_passed_on))

    def detach(self) -> None:
        for handle in self.handles:
            handle.remove()

    def _entered(self, body: nn.Module, args: tuple[Tensor, ...]) -> None:  # noqa: ARG002
        s = args[0]
        samples = s.shape[1] if self.together else s.shape[0]
        if self.counter.calls and samples != self.samples:
            came = f"a batch of {samples} after one of {self.samples}"
            raise ValueError(explain(came, "batches of one size in one account", "call counter.clear() in between"))
        self.steps, self.samples = (s.shape[0] if self.together else 1), samples
        self.counter.calls += 1
        setattr(s, _MARK, self._input_mark(s))
        total = s.detach().double().flatten(2 if self.together else 1).sum(-1)
        total = total.sum(0) if self.together else total
        before = self.counter.input_spikes
        self.counter.input_spikes = total if before is None else before + total

    def _input_mark(self, s: Tensor) -> float:
        if self.encoder is None:
            return _NO_SPIKES
        events = isinstance(self.encoder, EventFrames) and bool((s == s.round()).all())
        return 1.0 if self.encoder.is_binary or events else _NO_SPIKES

    def _count(self, name: str, layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        if self.busy:
            return
        x = args[0]
        inner = 1 if isinstance(layer, nn.Linear) else layer.weight.dim() - 1  # type: ignore[operator]
        fan_out, dense = self._fan_out(name, layer, x, inner)
        spikes = _spikes(x, inner)
        work = torch.where(x.detach() != 0, 1.0, 0.0).double() if spikes is None else spikes
        products = self._by_sample((work * fan_out).flatten(x.dim() - inner).sum(-1))
        none = torch.zeros_like(products)
        size = prod(x.shape[: x.dim() - inner]) / self.samples
        self._add(name, *((none, products) if spikes is None else (products, none)), dense * size)

    def _add(self, name: str, synops: Tensor, macs: Tensor, dense: float) -> None:
        known = self.counter.layers.get(name)
        if known is not None:
            synops, macs, dense = known.synops + synops, known.macs + macs, known.dense + dense
        self.counter.layers[name] = LayerOperations(synops, macs, dense)

    def _fan_out(self, name: str, layer: nn.Module, x: Tensor, inner: int) -> tuple[Tensor, float]:
        shape = tuple(x.shape[x.dim() - inner :])
        if (name, shape) not in self.fan_outs:
            self.busy = True
            try:
                leading = [1] * (x.dim() - inner)
                effective = _reached(layer, torch.ne(layer.weight, 0).double(), leading, shape)  # type: ignore[arg-type]
                dense = _reached(layer, torch.ones_like(layer.weight).double(), leading, shape)  # type: ignore[arg-type]
            finally:
                self.busy = False
            self.fan_outs[name, shape] = effective, float(dense.sum())
        return self.fan_outs[name, shape]

    def _by_sample(self, values: Tensor) -> Tensor:
        """``[T, N, *]``, ``[T N, *]`` or ``[N, *]`` to ``[N]``."""
        if values.dim() > 1 and values.shape[:2] == (self.steps, self.samples):
            return values.flatten(2).sum((0, 2)) if values.dim() > 2 else values.sum(0)
        if values.shape[0] != self.steps * self.samples:
            came = f"a layer that sees {list(values.shape)} for {self.steps} steps of {self.samples} samples"
            fix = "keep time and batch as the leading axes of every layer with weights"
            raise ValueError(explain(came, "inputs [T, N, *], [T N, *] or [N, *]", fix))
        return values.reshape(self.steps, self.samples, -1).sum((0, 2))


def _reached(layer: nn.Module, weight: Tensor, leading: list[int], shape: tuple[int, ...]) -> Tensor:
    """Sum over the outputs of the weights that lead there, per input position: the derivative of a linear layer."""
    with torch.enable_grad():
        probe = torch.zeros(*leading, *shape, dtype=torch.double, device=weight.device, requires_grad=True)
        parameters = {"weight": weight.detach()}
        if layer.bias is not None:
            parameters["bias"] = torch.zeros_like(layer.bias, dtype=torch.double)  # type: ignore[arg-type]
        reached: Tensor = functional_call(layer, parameters, (probe,)).sum()
        return torch.autograd.grad(reached, probe)[0].round()[(0,) * len(leading)].detach()


def _spikes(x: Tensor, inner: int) -> Tensor | None:
    """Number of spikes behind each value, with gradient; ``None`` where the values are no spikes."""
    mark = getattr(x, _MARK, None)
    unit: Tensor | float
    if mark is None:
        values = x.detach()
        channels = values.transpose(0, -inner).flatten(1)
        top = channels.abs().amax(1)
        if bool((values == values.round()).all()):
            unit = 1.0
        elif bool(((channels == 0) | (channels == top[:, None])).all()):
            unit = (1 / torch.where(top > 0, top, 1.0)).view(-1, *[1] * (inner - 1))
        else:
            return None
    elif mark == _NO_SPIKES:
        return None
    else:
        unit = mark
    signed = x.double() * unit
    counts = torch.where(signed < 0, -signed, signed)  # abs() has no gradient where there is no spike yet
    return counts + (counts.detach().round() - counts.detach())


def _fired(neuron: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG001
    if isinstance(output, Tensor):
        setattr(output, _MARK, 1.0)


def _passed_on(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    mark = getattr(args[0], _MARK, None)
    if mark is not None and isinstance(output, Tensor) and output is not args[0]:
        setattr(output, _MARK, mark * _window(module, args[0], output))


def _window(module: nn.Module, x: Tensor, output: Tensor) -> float:
    """Values that an average is taken over; 1 for modules that do not average, 0 where windows differ in size."""
    if isinstance(module, _ADAPTIVE):
        dims = {nn.AdaptiveAvgPool1d: 1, nn.AdaptiveAvgPool2d: 2, nn.AdaptiveAvgPool3d: 3}
        axes = next(count for kind, count in dims.items() if isinstance(module, kind))
        sizes = list(zip(x.shape[-axes:], output.shape[-axes:], strict=True))
        return float(prod(a // b for a, b in sizes)) if all(a % b == 0 for a, b in sizes) else _NO_SPIKES
    if not isinstance(module, _AVERAGES):
        return 1.0
    if getattr(module, "divisor_override", None):
        return float(module.divisor_override)  # type: ignore[arg-type, union-attr]
    axes = next(count for count, kind in enumerate(_AVERAGES, 1) if isinstance(module, kind))
    kernel, padding = _each(module.kernel_size, axes), _each(module.padding, axes)
    uneven = (any(padding) and not module.count_include_pad) or module.ceil_mode
    return _NO_SPIKES if uneven else float(prod(kernel))


def _each(value: Any, axes: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (int(value),) * axes

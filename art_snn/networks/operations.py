r"""Synaptic operations: what the spikes of a forward pass cost, counted where they enter a layer with weights.

.. math:: \mathrm{SynOps}(x) = \sum_l \sum_t \sum_i n_{l,t,i}\, f_{l,i}, \qquad f_{l,i} = \sum_o 1[w_{l,oi} \ne 0]

with :math:`n` the number of spikes that arrive at input :math:`i` of layer :math:`l` and :math:`f` its fan-out: the
weights that are not zero and lead from it to an output. At the borders of a convolution, and where a stride skips
positions, the fan-out is smaller; it is taken per position.

* *Pooling and addition fold in.* The average over a window holds :math:`n/k^2` for :math:`n` spikes; it is counted as
  :math:`n` spikes with the fan-out of the pooled position (once per window where windows overlap). A sum of spike
  trains (a residual connection) counts every spike.
* *Values that are no spikes* (a directly coded image, normalized activations) are products: their non-zero entries
  times fan-out, in :attr:`OperationCounter.macs`. A direct code presents its image T times and is counted T times;
  :attr:`OperationCounter.repeated` says how many of these products a network need not do again because its layer sees
  the same values at every step.
* *What decides.* The code says whether the input is spikes, and an input that is all -1, 0 or 1 is spikes in any case.
  Neurons emit spikes, times the ``spike_size`` of a module that scales them; pooling, reshaping and addition pass on
  what they got, as modules and as functions. Where that is lost in a network that spikes, the values decide: whole
  numbers, or zeros and one other value per channel, are spikes. In a network without neurons they are products.
* *Neuron updates* are one per neuron and step; ReLU is no neuron.

The count is differentiable: with :math:`f` fixed, :math:`\partial\,\mathrm{SynOps}/\partial x` flows through the spikes
under whatever surrogate or policy is on. Biases are left out.

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
from art_snn.networks.marks import ADAPTIVE, AVERAGES, MARK, NO_SPIKES, PASSING, Following, passed_on, scaled
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.spiking import spiking_neurons

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass
class LayerOperations:
    """What one layer did, per sample and summed over the time steps.

    ``synops`` ``[N]``: spikes times fan-out. ``macs`` ``[N]``: other non-zero values times fan-out. ``repeated``
    ``[N]``: those of ``macs`` that repeat the first step's. ``dense``: products if nothing were skipped, padding
    excluded.

    >>> zero = torch.zeros(1)
    >>> LayerOperations(synops=torch.tensor([80.0]), macs=zero, repeated=zero, dense=320.0).synops.item()
    80.0
    """

    synops: Tensor
    macs: Tensor
    repeated: Tensor
    dense: float


@dataclass
class NeuronActivity:
    """What one layer of neurons did: ``spikes`` ``[N]`` and ``updates`` per sample, over all steps so far."""

    spikes: Tensor
    updates: float


class OperationCounter:
    """The account that :func:`counting` keeps; totals are per forward pass, averaged over the draws of a stochastic
    network.

    >>> from art_snn.coding import Poisson
    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 2, 2), 3, hidden=(5,), encoder=Poisson(T=4))
    >>> with counting(net) as counter:
    ...     _ = net(torch.ones(1, 1, 2, 2))
    >>> counter.dense, counter.updates  # four steps of 4 x 5 + 5 x 3 products, and of five neurons
    (140.0, 20.0)
    """

    def __init__(self) -> None:
        self.layers: dict[str, LayerOperations] = {}
        self.neurons: dict[str, NeuronActivity] = {}
        self.input_spikes: Tensor | None = None
        self.calls = 0
        self.calls_per_pass = 1

    def clear(self) -> None:
        """Start a new account."""
        self.layers, self.neurons, self.input_spikes, self.calls = {}, {}, None, 0

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
    def repeated(self) -> Tensor:
        """Those of :attr:`macs` that a layer with the same input at every step would do once, ``[N]``, float64.

        :raises RuntimeError: if nothing ran.
        """
        return self._total([layer.repeated for layer in self.layers.values()])

    @property
    def updates(self) -> float:
        """Neuron updates per sample: neurons times steps."""
        return sum(layer.updates for layer in self.neurons.values()) / self.passes

    @property
    def rates(self) -> dict[str, Tensor]:
        """Spikes per neuron and step of each layer, ``[N]``, without gradient."""
        return {name: layer.spikes / max(layer.updates, 1.0) for name, layer in self.neurons.items()}

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
    most = getattr(net, "max_memory", None)
    try:
        if isinstance(net, SpikingNetwork):
            net.max_memory = None
        with Following():
            yield watch.counter
    finally:
        watch.detach()
        if isinstance(net, SpikingNetwork):
            net.max_memory = most


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
        self.spikes = bool(neurons)
        self.handles = [body.register_forward_pre_hook(self._entered)]
        for name, module in net.named_modules():
            if isinstance(module, (nn.Linear, *_CONVOLUTIONS)):
                self.handles.append(module.register_forward_pre_hook(partial(self._count, name)))
            elif id(module) in neurons:
                self.handles.append(module.register_forward_hook(partial(self._fired, name)))
            elif hasattr(module, "spike_size"):
                self.handles.append(module.register_forward_hook(scaled))
            elif isinstance(module, (*AVERAGES, *ADAPTIVE, *PASSING)):
                self.handles.append(module.register_forward_hook(passed_on))

    def detach(self) -> None:
        for handle in self.handles:
            handle.remove()

    def _entered(self, body: nn.Module, args: tuple[Tensor, ...]) -> None:  # noqa: ARG002
        if self.busy:
            return
        s = args[0]
        samples = s.shape[1] if self.together else s.shape[0]
        if self.counter.calls and samples != self.samples:
            came = f"a batch of {samples} after one of {self.samples}"
            raise ValueError(explain(came, "batches of one size in one account", "call counter.clear() in between"))
        self.steps, self.samples = (s.shape[0] if self.together else 1), samples
        self.counter.calls += 1
        setattr(s, MARK, self._input_mark(s))
        total = s.detach().double().flatten(2 if self.together else 1).sum(-1)
        total = total.sum(0) if self.together else total
        before = self.counter.input_spikes
        self.counter.input_spikes = total if before is None else before + total

    def _input_mark(self, s: Tensor) -> float:
        values = s.detach()
        if self.encoder is not None:
            events = isinstance(self.encoder, EventFrames) and bool((values == values.round()).all())
            if self.encoder.is_binary or events:
                return 1.0
        return 1.0 if bool(((values == 0) | (values.abs() == 1)).all()) else NO_SPIKES

    def _fired(self, name: str, neuron: nn.Module, args: tuple[Any, ...], output: Any) -> None:  # noqa: ARG002
        if not isinstance(output, Tensor):
            return
        setattr(output, MARK, 1.0)
        spikes = self._by_sample(output.detach().double())
        before = self.counter.neurons.get(name, NeuronActivity(torch.zeros_like(spikes), 0.0))
        self.counter.neurons[name] = NeuronActivity(
            before.spikes + spikes, before.updates + output.numel() / self.samples
        )

    def _count(self, name: str, layer: nn.Module, args: tuple[Tensor, ...]) -> None:
        if self.busy:
            return
        x = args[0]
        inner = 1 if isinstance(layer, nn.Linear) else layer.weight.dim() - 1  # type: ignore[operator]
        fan_out, dense = self._fan_out(name, layer, x, inner)
        spikes = _spikes(x, inner, guess=self.spikes)
        work = torch.where(x.detach() != 0, 1.0, 0.0).double() if spikes is None else spikes
        products = self._by_sample((work * fan_out).flatten(x.dim() - inner).sum(-1))
        none = torch.zeros_like(products)
        dense *= prod(x.shape[: x.dim() - inner]) / self.samples
        if spikes is not None:
            self._add(name, LayerOperations(products, none, none, dense))
        else:
            again = products * (1 - 1 / self.steps) if self._constant(x) else none
            self._add(name, LayerOperations(none, products, again, dense))

    def _constant(self, x: Tensor) -> bool:
        """Whether a layer that sees all steps at once sees the same at each."""
        if self.steps == 1 or x.numel() == 0:
            return False
        steps = x.detach().reshape(self.steps, -1)
        return bool((steps == steps[:1]).all())

    def _add(self, name: str, more: LayerOperations) -> None:
        known = self.counter.layers.get(name)
        if known is not None:
            more = LayerOperations(
                known.synops + more.synops, known.macs + more.macs, known.repeated + more.repeated,
                known.dense + more.dense,
            )  # fmt: skip
        self.counter.layers[name] = more

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


def _spikes(x: Tensor, inner: int, *, guess: bool) -> Tensor | None:
    """Number of spikes behind each value, with gradient; ``None`` where the values are no spikes."""
    mark = getattr(x, MARK, None)
    unit: Tensor | float
    if mark is None:
        if not guess:
            return None
        values = x.detach()
        channels = values.transpose(0, -inner).flatten(1)
        top = channels.abs().amax(1)
        if bool((values == values.round()).all()):
            unit = 1.0
        elif bool(((channels == 0) | (channels == top[:, None])).all()):
            unit = (1 / torch.where(top > 0, top, 1.0)).view(-1, *[1] * (inner - 1))
        else:
            return None
    elif isinstance(mark, float) and mark == NO_SPIKES:
        return None
    else:
        unit = mark
    signed = x.double() * unit
    counts = torch.where(signed < 0, -signed, signed)  # abs() has no gradient where there is no spike yet
    return counts + (counts.detach().round() - counts.detach())

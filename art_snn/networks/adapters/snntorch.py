"""Networks of snnTorch as bodies: neurons keep their state as buffers, or hand it back.

Two styles are common there, and both fit. A network of neurons with ``init_hidden=True`` is called once per step
(``time="outside"``). A network whose ``forward`` starts from ``init_leaky()`` and loops over the steps itself is called
once (``time="inside"``). Before and after each run every hidden state of these neurons is put back to what it was when
they were made, also after an exception. ``snntorch.utils.reset`` would reset every neuron of the process, and keeps the
shape of the last batch.

The surrogate of each neuron becomes a :class:`~art_snn.networks.adapters.step.SpikeSite`, with the same spikes and the
same gradient, so that :class:`~art_snn.gradients.Surrogate` and its kin can take its place. Its reset is left out of
the gradient, as snnTorch has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.networks.adapters.step import NativeSpike, SpikeSite, check_step_function

TIMES = ("outside", "inside")
_SURROGATES = "snntorch.surrogate"


class SurrogateOf(NativeSpike):
    """A surrogate of :mod:`snntorch.surrogate`, kept by name and settings instead of as a closure.

    :param factory: name of the function that makes it, say ``atan``.
    :param settings: its arguments.

    >>> SurrogateOf("atan", {"alpha": 2.0})(torch.tensor([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.0, 1.0]
    """

    def __init__(self, factory: str, settings: dict[str, Any]) -> None:
        super().__init__()
        self.factory, self.settings = factory, settings

    def forward(self, v: Tensor) -> Tensor:
        """Spikes, with snnTorch's own gradient."""
        spike: Callable[[Tensor], Tensor] = getattr(import_module(_SURROGATES), self.factory)(**self.settings)
        return spike(v)

    def extra_repr(self) -> str:
        """Name and settings."""
        return f"{self.factory}, {self.settings}"


class FunctionSpike(NativeSpike):
    """A surrogate of one's own."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, v: Tensor) -> Tensor:
        """Spikes, with the function's own gradient."""
        return self.function(v)


class SNNTorchBody(nn.Module):
    """A network of snnTorch neurons as a body ``[T, N, *] -> [T, N, K]``.

    The network is shared, not copied: its parameters are trained through the body.

    :param module: the network.
    :param time: ``outside``: it is called once per step; ``inside``: once, on the whole train.
    :param output: which part of a tuple that it returns is the output; 0 is snnTorch's spikes, -1 the membrane.
    :raises ImportError: if snnTorch is not installed.
    :raises TypeError: if ``module`` is no module.
    :raises ValueError: for another ``time``, a network without neurons of snnTorch, or a surrogate that is not the step
        function; when called, for an output of another shape.

    See ``docs/adapters.md``.

    >>> import snntorch
    >>> body = SNNTorchBody(nn.Sequential(nn.Linear(3, 2), snntorch.Leaky(beta=0.8, init_hidden=True)))
    >>> body(torch.ones(5, 1, 3)).shape
    torch.Size([5, 1, 2])
    """

    def __init__(self, module: nn.Module, *, time: str = "outside", output: int = 0) -> None:
        super().__init__()
        if not isinstance(module, nn.Module):
            raise TypeError(explain(f"a {type(module).__name__}", "a network of snnTorch", "SNNTorchBody(net)"))
        if time not in TIMES:
            raise ValueError(explain(f"time={time!r}", f"one of {TIMES}", "time='outside'"))
        self.module, self.time, self.output = module, time, output
        nodes = self._nodes()
        if not nodes:
            fix = "pass it to SpikingNetwork as it is, if it takes [T, N, *]"
            raise ValueError(explain("a network without neurons of snnTorch", "Leaky, Synaptic, ... inside", fix))
        for name, node in nodes.items():
            if not isinstance(node.spike_grad, SpikeSite):
                _install(node, name)

    def forward(self, s: Tensor) -> Tensor:
        """Output ``[T, N, K]`` of a train ``[T, N, *]``, from a clean state and leaving one."""
        with self._fresh():
            if self.time == "inside":
                return self._picked(self.module(s))
            return torch.stack([self._picked(self.module(step)) for step in s])

    def _picked(self, result: Any) -> Tensor:
        chosen = result[self.output] if isinstance(result, tuple | list) else result
        if isinstance(chosen, list) and chosen and isinstance(chosen[0], Tensor):
            chosen = torch.stack(chosen)
        if not isinstance(chosen, Tensor):
            came = f"a {type(chosen).__name__} as part {self.output} of the network's result"
            raise TypeError(explain(came, "a tensor", "choose another part: SNNTorchBody(net, output=-1)"))
        return chosen

    def _nodes(self) -> dict[str, Any]:
        neurons = import_module("snntorch._neurons.neurons")
        return {name: m for name, m in self.module.named_modules() if isinstance(m, neurons.SpikingNeuron)}

    @contextmanager
    def _fresh(self) -> Iterator[None]:
        """Clean states before and after; the reset signal is the plain step inside."""
        nodes = list(self._nodes().values())
        covered = [node for node in nodes if "mem_reset" not in vars(node)]
        for node in nodes:
            _clear(node)
        for node in covered:
            vars(node)["mem_reset"] = partial(_reset_signal, node)
        try:
            yield
        finally:
            for node in covered:
                del vars(node)["mem_reset"]
            for node in nodes:
                _clear(node)


def _reset_signal(node: Any, mem: Tensor) -> Tensor:
    """What ``mem_reset`` returns, without asking the surrogate a second time in each step."""
    return (mem - node.threshold > 0).to(mem.dtype).detach()


def _clear(node: nn.Module) -> None:
    """Forget every hidden state, its graph and its shape."""
    for name in node._non_persistent_buffers_set:
        value = node._buffers[name]
        if value is not None:
            node._buffers[name] = torch.zeros(0, device=value.device)
    vars(node).pop("reset", None)


def _install(node: Any, name: str) -> None:
    """Put a site in the place of a neuron's surrogate; spikes and gradients stay what they are."""
    function = node.spike_grad
    check_step_function(function, f"the surrogate of neuron {name!r}")
    native = _described(function)
    del node.spike_grad
    node.spike_grad = SpikeSite(FunctionSpike(function) if native is None else native)


def _described(function: Any) -> SurrogateOf | None:
    """A surrogate of snnTorch by name and settings: its closures cannot be pickled."""
    factory, _, inner = str(getattr(function, "__qualname__", "")).partition(".<locals>.")
    if getattr(function, "__module__", None) != _SURROGATES or not inner:
        return None
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    settings = {key: cell.cell_contents for key, cell in zip(names, cells, strict=True)}
    made = SurrogateOf(factory, settings)
    try:
        same = torch.equal(made(torch.ones(2)), function(torch.ones(2)))
    except TypeError:
        return None
    return made if same else None

"""A network as a list of steps: layers and operations, each with a name and the names of what it takes.

It runs like the module it was traced from, with the same parameter names, and it is data: it can be copied, pickled and
written as JSON, so a converted network loads without the code of its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from art_snn.conversion.vocabulary import ACTIVATIONS, FUNCTIONS


@dataclass(frozen=True)
class Ref:
    """The result of an earlier step."""

    name: str


@dataclass(frozen=True)
class Step:
    """One step.

    :param name: name of its result.
    :param op: ``layer``, ``function`` or ``constant``.
    :param target: name of the layer, of the function, or of the buffer.
    """

    name: str
    op: str
    target: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def refs(self) -> Iterator[str]:
        """Names of the results that this step takes."""
        yield from _refs((self.args, self.kwargs))


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, Ref):
        yield value.name
    elif isinstance(value, slice):
        yield from _refs((value.start, value.stop, value.step))
    elif isinstance(value, dict):
        yield from _refs(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _refs(one)


def _filled(value: Any, results: dict[str, Any]) -> Any:
    if isinstance(value, Ref):
        return results[value.name]
    if isinstance(value, slice):
        return slice(*(_filled(part, results) for part in (value.start, value.stop, value.step)))
    if isinstance(value, dict):
        return {key: _filled(one, results) for key, one in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(_filled(one, results) for one in value)
    return value


INPUT = "input"


class LayerGraph(nn.Module):
    """Layers and the steps that run them, ``[N, *] -> [N, K]``.

    :param steps: in order; the result named ``input`` is the batch.
    :param output: name of the result that is returned.
    :param layers: layers by dotted name.
    :param constants: tensors by dotted name.

    >>> graph = LayerGraph([Step("fc", "layer", "fc", (Ref("input"),))], "fc", {"fc": nn.Linear(3, 2)})
    >>> graph(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self, steps: list[Step], output: str, layers: dict[str, nn.Module], constants: dict[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.steps = steps
        self.output = output
        for name, layer in layers.items():
            place(self, name, layer)
        for name, value in (constants or {}).items():
            parent, _, own = name.rpartition(".")
            _parent(self, parent).register_buffer(own, value.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Run the steps; results are dropped after their last use."""
        results: dict[str, Any] = {INPUT: x}
        for step, done in zip(self.steps, self._last_uses(), strict=True):
            results[step.name] = self._result(step, results)
            for name in done:
                del results[name]
        z: Tensor = results[self.output]
        return z

    def _result(self, step: Step, results: dict[str, Any]) -> Any:
        if step.op == "constant":
            parent, _, own = step.target.rpartition(".")
            return getattr(self.get_submodule(parent), own)
        args, kwargs = _filled(step.args, results), _filled(step.kwargs, results)
        run = self.get_submodule(step.target) if step.op == "layer" else FUNCTIONS[step.target]
        return run(*args, **kwargs)

    def _last_uses(self) -> list[set[str]]:
        later = {self.output}
        done: list[set[str]] = []
        for step in reversed(self.steps):
            used = set(step.refs())
            unused = set() if step.name in later else {step.name}
            done.append((used - later) | unused)
            later |= used
        return done[::-1]

    def layer_steps(self, kinds: tuple[type[nn.Module], ...] = ACTIVATIONS) -> list[Step]:
        """Steps that run a layer of these kinds."""
        return [s for s in self.steps if s.op == "layer" and isinstance(self.get_submodule(s.target), kinds)]

    def constants(self) -> dict[str, Tensor]:
        """Tensors that steps use, by name."""
        targets = [step.target for step in self.steps if step.op == "constant"]
        return {name: dict(self.named_buffers())[name] for name in targets}


def place(root: nn.Module, name: str, layer: nn.Module) -> None:
    """Put ``layer`` at a dotted name, making the modules above it where they are missing."""
    parent, _, own = name.rpartition(".")
    setattr(_parent(root, parent), own, layer)


def _parent(root: nn.Module, name: str) -> nn.Module:
    module = root
    for part in filter(None, name.split(".")):
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    return module


def retargeted(graph: LayerGraph, layers: dict[str, tuple[str, nn.Module]]) -> None:
    """Give steps other layers: by step name, the new layer's name and the layer."""
    graph.steps = [
        Step(s.name, s.op, layers[s.name][0], s.args, s.kwargs) if s.name in layers else s for s in graph.steps
    ]
    for name, layer in layers.values():
        place(graph, name, layer)


def without(graph: LayerGraph, step: Step) -> None:
    """Take a step with one argument out; what used its result uses its argument."""
    source = next(step.refs())
    names = {step.name: source}
    graph.steps = [
        Step(s.name, s.op, s.target, _renamed(s.args, names), _renamed(s.kwargs, names))
        for s in graph.steps
        if s is not step
    ]
    graph.output = names.get(graph.output, graph.output)
    if not any(s.target == step.target for s in graph.steps):
        parent, _, own = step.target.rpartition(".")
        del graph.get_submodule(parent)._modules[own]


def _renamed(value: Any, names: dict[str, str]) -> Any:
    return _filled(value, _Renaming(names))


class _Renaming(dict[str, Any]):
    def __getitem__(self, name: str) -> Ref:
        return Ref(self.get(name, name))


def named_layers(graph: LayerGraph) -> dict[str, nn.Module]:
    """Layers that steps run, by name, in order of first use."""
    return {s.target: graph.get_submodule(s.target) for s in graph.steps if s.op == "layer"}


def on_device_of(graph: LayerGraph, x: Any) -> Tensor:
    """``x`` as a tensor with dtype and device of the network."""
    parameter = next((p for p in graph.parameters() if p.is_floating_point()), None)
    tensor = torch.as_tensor(x)
    return tensor.to(parameter) if parameter is not None else tensor.float()

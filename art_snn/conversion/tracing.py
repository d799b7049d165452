"""From a torch model to a :class:`~art_snn.conversion.graph.LayerGraph`, or a refusal that names the layer."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

from art_snn.conversion.graph import INPUT, LayerGraph, Ref, Step
from art_snn.conversion.qcfs import QCFS
from art_snn.conversion.vocabulary import (
    LAYERS,
    MAX_POOLS,
    OF_FUNCTION,
    OF_METHOD,
    RELU_FUNCTIONS,
    RELU_METHODS,
    check_layer,
    refuse_layer,
    refuse_operation,
)
from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork

_NUMBERS = ("size", "shape")
_ON_NUMBERS = {"add": "add_number", "mul": "mul_number", "floordiv": "floordiv_number"}


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, QCFS) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module, *, max_pool: str = "refuse") -> LayerGraph:
    """The steps of ``model``, with copies of its layers; ``model`` stays as it is.

    :param model: a feed-forward network ``[N, *] -> [N, K]`` of the vocabulary.
    :param max_pool: ``refuse``, or ``average``: average pooling of the same geometry in its place.
    :raises TypeError: if ``model`` is no module, or spikes already.
    :raises ValueError: for a layer or operation that cannot be converted, by name, or a forward that depends on values.

    >>> [step.name for step in trace(nn.Sequential(nn.Flatten(), nn.Linear(4, 2))).steps]
    ['_0', '_1']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(explain(repr(model), "a torch.nn.Module", "pass the network, not its estimator: clf.model"))
    if isinstance(model, SpikingNetwork):
        fix = "pass its source; the number of steps is chosen there: convert(model, T)"
        raise TypeError(explain("a SpikingNetwork", "a network that does not spike yet", fix))
    if max_pool not in ("refuse", "average"):
        raise ValueError(explain(f"max_pool={max_pool!r}", "'refuse' or 'average'", "max_pool='average'"))
    if isinstance(model, LayerGraph):
        return copy.deepcopy(model)
    if type(model).__name__ in LAYERS:
        model = nn.Sequential(model)
    try:
        graph = _Tracer().trace(model)
    except Exception as error:
        came = f"a {type(model).__name__} whose forward cannot be traced ({error})"
        fix = "write it without Python control flow on tensors, with one tensor in and one out"
        raise ValueError(explain(came, "a forward that takes the same path for every input", fix)) from error
    return _Reading(model, max_pool).read(graph)


class _Reading:
    """State of one translation."""

    def __init__(self, model: nn.Module, max_pool: str) -> None:
        self.model = copy.deepcopy(model)
        self.max_pool = max_pool
        self.layers: dict[str, nn.Module] = {}
        self.constants: dict[str, Tensor] = {}
        self.kinds: dict[str, str] = {}
        self.steps: list[Step] = []
        self.names: dict[str, str] = {}

    def read(self, graph: fx.Graph) -> LayerGraph:
        output = ""
        for node in graph.nodes:
            if node.op == "placeholder":
                self._input(node)
            elif node.op == "output":
                output = self._output(node)
            else:
                self._step(node)
        made = LayerGraph(self.steps, output, self.layers, self.constants)
        return made.train(self.model.training)

    def _input(self, node: fx.Node) -> None:
        if self.names:
            fix = "wrap the model so that forward takes the batch alone"
            raise ValueError(explain(f"a second input {node.name!r}", "a forward of one tensor", fix))
        self.names[node.name], self.kinds[INPUT] = INPUT, "data"

    def _output(self, node: fx.Node) -> str:
        value = node.args[0]
        if not isinstance(value, fx.Node):
            raise ValueError(explain(f"{type(value).__name__} as output", "one tensor of logits", "return the logits"))
        return self.names[value.name]

    def _step(self, node: fx.Node) -> None:
        name = node.name
        self.names[name] = name
        args, kwargs = self._args(node.args), dict(self._args(tuple(node.kwargs.items())))
        if node.op == "call_module":
            self.steps.append(self._layer(name, str(node.target), args, kwargs))
        elif node.op == "get_attr":
            self.steps.append(self._constant(name, str(node.target)))
        elif self._is_relu(node):
            own = self._free(name)
            self.layers[own] = nn.ReLU()
            self.kinds[name] = "data"
            self.steps.append(Step(name, "layer", own, args[:1] or (kwargs["input"],)))
        else:
            self.steps.append(self._function(name, node, args, kwargs))

    @staticmethod
    def _is_relu(node: fx.Node) -> bool:
        return node.target in (RELU_METHODS if node.op == "call_method" else RELU_FUNCTIONS)

    def _layer(self, name: str, target: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Step:
        layer = self.model.get_submodule(target)
        if isinstance(layer, MAX_POOLS) and self.max_pool == "average":
            layer = _averaging(target, layer)
        check_layer(target, layer)
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
        self.layers.setdefault(target, layer)
        self.kinds[name] = "data"
        return Step(name, "layer", target, args, kwargs)

    def _constant(self, name: str, target: str) -> Step:
        parent, _, own = target.rpartition(".")
        self.constants[target] = getattr(self.model.get_submodule(parent), own)
        self.kinds[name] = "constant"
        return Step(name, "constant", target)

    def _function(self, name: str, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Step:
        what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        known: str | None = (
            OF_METHOD.get(str(node.target)) if node.op == "call_method" else OF_FUNCTION.get(node.target)
        )
        if node.target is getattr and len(args) > 1 and args[1] == "shape":
            known, args = "shape", args[:1]
        if known is None:
            raise refuse_operation(name, what)
        step = Step(name, "function", known, args, kwargs)
        kinds = [self.kinds[ref] for ref in step.refs()]
        self._check_linear(step, kinds, what)
        numeric = known in _NUMBERS or all(kind == "number" for kind in kinds)
        self.kinds[name] = "number" if numeric else "data"
        if not numeric:
            if known == "floordiv":
                raise refuse_operation(name, what)
            return step
        return Step(name, "function", _ON_NUMBERS.get(known, known), args, kwargs)

    def _check_linear(self, step: Step, kinds: list[str], what: str) -> None:
        data = kinds.count("data")
        inverse = step.target == "div" and len(step.args) > 1 and isinstance(step.args[1], Ref) \
            and self.kinds[step.args[1].name] == "data"  # fmt: skip
        if (step.target == "mul" and data > 1) or inverse:
            came = f"operation {what!r} of two activations (at {step.name!r})"
            fix = "spike trains do not multiply; leave the gate out, or make it a layer of its own"
            raise ValueError(explain(came, "a product with a constant", fix))

    def _args(self, value: Any) -> Any:
        if isinstance(value, fx.Node):
            return Ref(self.names[value.name])
        if isinstance(value, slice):
            return slice(*(self._args(part) for part in (value.start, value.stop, value.step)))
        if isinstance(value, list):
            return [self._args(one) for one in value]
        if isinstance(value, tuple):
            return tuple(self._args(one) for one in value)
        return value

    def _free(self, name: str) -> str:
        taken = {part for part, _ in self.model.named_children()} | {n for n, _ in self.model.named_parameters()}
        own = name
        while own in taken or own in self.layers:
            own += "_"
        return own


def _averaging(name: str, layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.AdaptiveMaxPool2d):
        return nn.AdaptiveAvgPool2d(layer.output_size)
    kinds: dict[type[nn.Module], type[nn.Module]] = {
        nn.MaxPool1d: nn.AvgPool1d,
        nn.MaxPool2d: nn.AvgPool2d,
        nn.MaxPool3d: nn.AvgPool3d,
    }
    if type(layer) not in kinds or layer.dilation not in (1, (1,), (1, 1), (1, 1, 1)):
        raise refuse_layer(name, layer)
    pool = kinds[type(layer)]
    return pool(layer.kernel_size, layer.stride, layer.padding, bool(layer.ceil_mode))  # type: ignore[arg-type]


def trial(graph: LayerGraph, x: Tensor) -> Tensor:
    """Run the network on a few samples in eval mode, without gradient, and leave its mode as it was."""
    training = graph.training
    graph.eval()
    try:
        with torch.no_grad():
            return graph(x)
    finally:
        graph.train(training)

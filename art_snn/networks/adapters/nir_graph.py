"""Graphs of the exchange format NIR as bodies, from a file or in memory (``pip install art-snn[nir]``).

Only the package ``nir`` is needed, which holds the graph and reads its files (HDF5, no pickle); the layers are made
here. (The companion ``nirtorch`` 2.6 loses the bias of affine nodes where it makes them by default.) A graph may
branch: a node adds up what its edges bring. What it must not have is a cycle, a graph inside, or more than one input or
output.
"""

from __future__ import annotations

import os
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.networks.adapters.nir_nodes import made
from art_snn.spiking import reset_state

_LARGEST, _EXPANSION = 2**28, 20
"""Bytes of unpacked arrays that are always accepted, and bytes per byte of the file."""

_ENDS = ("Input", "Output")


class NIRBody(nn.Module):
    """The layers of a graph and what feeds them, ``[T, N, *] -> [T, N, K]``; see :func:`from_nir`.

    :param layers: in an order in which they can run.
    :param sources: the layers that each takes its input from; none stands for the input of the body.
    :param output: the layers whose sum is the output.
    """

    def __init__(self, layers: dict[str, nn.Module], sources: dict[str, list[str]], output: list[str]) -> None:
        super().__init__()
        self.keys = {name: f"{number}_{_word(name)}" for number, name in enumerate(layers)}
        self.layers = nn.ModuleDict({self.keys[name]: module for name, module in layers.items()})
        self.sources, self.output = sources, output

    def forward(self, s: Tensor) -> Tensor:
        """Every layer once, on all steps, from a clean state and leaving one."""
        results: dict[str, Tensor] = {}
        reset_state(self)
        try:
            for name, key in self.keys.items():
                results[name] = self.layers[key](_sum([results.get(source, s) for source in self.sources[name]]))
        finally:
            reset_state(self)
        return _sum([results.get(name, s) for name in self.output])


def _word(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)[:40]


def _sum(parts: list[Tensor]) -> Tensor:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def from_nir(graph: Any, *, dt: float = 1e-4, surrogate_function: nn.Module | None = None) -> NIRBody:
    """A NIR graph as a body.

    :param graph: a ``nir.NIRGraph``, or the path of a file that ``nir.write`` wrote.
    :param dt: the time step, in the unit of the graph's time constants (seconds, by convention); 1e-4 is what snnTorch,
        SpikingJelly and Norse export with.
    :param surrogate_function: how gradients cross a spike, which no file says; SpikingJelly's ATan by default.
    :return: layers on trains ``[T, N, *]``, for ``SpikingNetwork(encoder, body)``.
    :raises ImportError: if the package ``nir`` is not installed.
    :raises FileNotFoundError: if there is no such file.
    :raises TypeError: if ``graph`` is no NIR graph.
    :raises ValueError: for a damaged file, a node that is not known (it is named), a cycle, several inputs or outputs,
        or a ``dt`` that does not fit the time constants.

    See ``docs/adapters.md``.

    >>> import nir
    >>> import numpy as np
    >>> import torch
    >>> graph = nir.NIRGraph.from_list(nir.Affine(np.ones((2, 3)), np.zeros(2)))
    >>> from_nir(graph)(torch.ones(4, 1, 3)).shape
    torch.Size([4, 1, 2])
    """
    if find_spec("nir") is None:
        raise ImportError(explain("no package nir", "it, to read graphs", "pip install 'art-snn[nir]'"))
    if not dt > 0:
        raise ValueError(explain(f"dt = {dt}", "a positive time step", "from_nir(graph, dt=1e-4)"))
    nir = import_module("nir")
    if isinstance(graph, str | os.PathLike):
        graph = _read(nir, Path(graph))
    if not isinstance(graph, nir.NIRGraph):
        raise TypeError(explain(f"a {type(graph).__name__}", "a nir.NIRGraph or a path", "from_nir('net.nir')"))
    sources, output = _wired(graph)
    layers = {name: made(name, graph.nodes[name], float(dt), surrogate_function) for name in sources}
    return NIRBody(layers, sources, output)


def _wired(graph: Any) -> tuple[dict[str, list[str]], list[str]]:
    """The sources of each layer, in an order in which they can run, and those of the output."""
    ends = {kind: [n for n, node in graph.nodes.items() if type(node).__name__ == kind] for kind in _ENDS}
    for kind, names in ends.items():
        if len(names) != 1:
            fix = "export one network with one input and one output"
            raise ValueError(explain(f"{len(names)} nodes of kind {kind}: {names[:4]}", "exactly one", fix))
    before: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for source, target in graph.edges:
        if source not in before or target not in before:
            fix = "export the graph again"
            raise ValueError(explain(f"an edge {source!r} -> {target!r} to nowhere", "edges between nodes", fix))
        before[target].append(source)
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError as error:
        fix = "wrap the library's own network instead: SNNTorchBody, NorseBody"
        raise ValueError(explain(f"a cycle through {error.args[1][:4]}", "a graph without recurrence", fix)) from error
    (inputs,), (outputs,) = ends["Input"], ends["Output"]
    sources = {name: before[name] for name in order if name not in (inputs, outputs)}
    loose = [name for name, feeds in sources.items() if not feeds]
    if loose or not before[outputs]:
        came = f"nodes that nothing feeds: {loose[:4] or [outputs]}"
        raise ValueError(explain(came, "edges from the input to every node", "export the graph again"))
    return sources, before[outputs]


def _read(nir: Any, path: Path) -> Any:
    """The graph of a file; sizes are looked at before anything is unpacked."""
    if not path.is_file():
        raise FileNotFoundError(explain(f"no file {path}", "a file that nir.write wrote", "check the path"))
    try:
        _check_size(path)
        return nir.read(path)
    except Exception as error:
        came = f"{path.name}, which cannot be read as a graph ({type(error).__name__}: {str(error)[:200]})"
        fix = "write it again with nir.write; it is damaged, or of another format"
        raise ValueError(explain(came, "a NIR file", fix)) from error


def _check_size(path: Path) -> None:
    h5py = import_module("h5py")
    sizes: list[int] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda _, item: sizes.append(getattr(item, "nbytes", 0)))
    limit = max(_LARGEST, _EXPANSION * path.stat().st_size)
    if sum(sizes) > limit:
        raise ValueError(explain(f"{sum(sizes)} bytes of arrays", f"at most {limit}", "check where the file is from"))

"""Networks on disk: safetensors, no pickle, written whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from art_snn import coding
from art_snn.coding.base import Decoder, Encoder
from art_snn.errors import explain
from art_snn.files import read_json, write_whole
from art_snn.networks.cnn import cnn
from art_snn.networks.mlp import mlp
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.networks.twin import ann_twin

_BUILDERS: dict[str, Callable[..., SpikingNetwork]] = {"mlp": mlp, "cnn": cnn}
_ELSEWHERE = {"converted": "art_snn.conversion.storage"}
"""Builders of packages above this one: the module whose ``rebuild`` makes the network, imported when a file asks."""

_LARGEST = 10**7
"""The largest whole number in a recipe."""


def describe(net: nn.Module) -> dict[str, Any] | None:
    """The recipe that rebuilds ``net`` without its weights, as JSON-ready data; ``None`` for a network of one's own.

    >>> describe(mlp((1, 8, 8), 10, hidden=(32,)))["arguments"]["hidden"], describe(nn.Linear(2, 2))
    ([32], None)
    """
    recipe: dict[str, Any] | None = getattr(net, "recipe", None)
    if recipe is None or not isinstance(net, SpikingNetwork):
        return recipe
    codes: dict[str, Any] = {}
    for role, code in (("encoder", net.encoder), ("decoder", net.decoder)):
        config = code.config()
        if any(isinstance(value, nn.Module) for value in config.values()) or not hasattr(coding, type(code).__name__):
            return None
        codes[role] = {"name": type(code).__name__, **config}
    return {**recipe, **codes, "eot": net.eot, "votes": net.votes}


def save(net: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Write the weights of ``net``, and its recipe if it came from this package.

    :param path: file to write; a suffix ``.safetensors`` is customary. An existing file is replaced in one step.
    :return: the path.
    :raises OSError: if the folder cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = save(mlp((1, 2, 2), 3, hidden=(5,)), Path(folder) / "net.safetensors")
    ...     path.name, path.is_file()
    ('net.safetensors', True)
    """
    return write_whole(Path(path), packed(net))


def packed(net: nn.Module) -> bytes:
    """What :func:`save` writes."""
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in net.state_dict().items()}
    return serialize(tensors, {"format": "art-snn 1", "recipe": json.dumps(describe(net))})


def load(path: str | os.PathLike[str], into: nn.Module | None = None) -> nn.Module:
    """Read a network back, in eval mode, on the CPU.

    :param path: a file that :func:`save` wrote.
    :param into: a network of the same architecture to fill; needed where the network did not come from this package.
    :return: the network.
    :raises FileNotFoundError: if there is no such file.
    :raises ValueError: if the file is damaged, holds no recipe and ``into`` is missing, or does not fit ``into``.

    >>> from tempfile import TemporaryDirectory
    >>> net = mlp((1, 2, 2), 3, hidden=(5,))
    >>> with TemporaryDirectory() as folder:
    ...     again = load(save(net, Path(folder) / "net.safetensors"))
    >>> x = torch.rand(2, 1, 2, 2)
    >>> bool((again(x) == net(x)).all())
    True
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            explain(f"no file {path}", "a network saved by art_snn.networks.save", "check the path")
        )
    tensors, recipe = _read(path)
    net = into if into is not None else _checked(recipe, tensors, path)
    _check_fit(tensors, net.state_dict(), path)
    kinds = [value.dtype for value in tensors.values() if value.is_floating_point()]
    if into is None and kinds:
        net.to(kinds[0])
    net.load_state_dict(tensors)
    return net.eval()


def _check_fit(tensors: dict[str, Tensor], own: dict[str, Tensor], path: Path) -> None:
    """Compare names and shapes before anything is written, so that a misfit leaves the network as it was."""
    missing, unexpected = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} of shape {list(tensors[name].shape)} for {list(own[name].shape)}"
        for name in own.keys() & tensors.keys()
        if tensors[name].shape != own[name].shape
    ]
    if missing or unexpected or shapes:
        came = f"{path.name}, which lacks {missing[:3]}, brings {unexpected[:3]}, and has {sorted(shapes)[:3]}"
        raise ValueError(explain(came, "the tensors of the given network", "load into the architecture that was saved"))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except SafetensorError as error:
        fix = "save the network again; the file is damaged or of another format"
        raise ValueError(explain(f"{path.name}: {error}", "a safetensors file", fix)) from error
    try:
        return tensors, read_json(metadata.get("recipe", "null"))
    except ValueError as error:
        raise _damaged_recipe(path, error) from error


def _damaged_recipe(path: Path, error: Exception) -> ValueError:
    came = f"{path.name}, whose recipe cannot be followed ({type(error).__name__}: {str(error)[:200]})"
    return ValueError(explain(came, "a recipe that art_snn.networks.save wrote", "save the network again"))


def _checked(recipe: Any, tensors: dict[str, Tensor], path: Path) -> nn.Module:
    """The network of a recipe, once it has been found to have the tensors of the file.

    It is built without memory first: a recipe of a few bytes can name layers of any size.
    """
    known = isinstance(recipe, dict) and recipe.get("builder") in tuple({*_BUILDERS, *_ELSEWHERE})
    if not known:
        fix = "build the network yourself and pass it: load(path, into=net)"
        raise ValueError(explain(f"{path.name} without a recipe", "a network of art_snn.networks", fix))
    try:
        _check_numbers(recipe)
        with torch.device("meta"):
            sketch = _rebuild(recipe).state_dict()
    except Exception as error:
        raise _damaged_recipe(path, error) from error
    _check_fit(tensors, sketch, path)
    return _rebuild(recipe)


def _check_numbers(value: Any) -> None:
    """Refuse numbers that no network has, of time steps say, which take memory or time outside of tensors."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            _check_numbers(one)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise ValueError(explain(f"the number {value:.3g}", f"numbers up to {_LARGEST}", "save the network again"))


def _rebuild(recipe: dict[str, Any]) -> nn.Module:
    arguments = dict(recipe["arguments"])
    if "input_shape" in arguments:
        arguments["input_shape"] = tuple(arguments["input_shape"])
    encoder, decoder = (_code(recipe.get(role)) for role in ("encoder", "decoder"))
    if recipe.get("over_time"):
        encoder = coding.EventFrames(T=1)  # its twin takes the mean over as many frames as there are
    net = _builder(recipe["builder"])(**arguments, encoder=encoder, decoder=decoder)
    if recipe.get("twin"):
        return ann_twin(net)
    net.eot, net.votes = recipe["eot"], recipe["votes"]
    return net


def _builder(name: str) -> Callable[..., SpikingNetwork]:
    if name in _BUILDERS:
        return _BUILDERS[name]
    rebuild: Callable[..., SpikingNetwork] = import_module(_ELSEWHERE[name]).rebuild
    return rebuild


def _code(config: dict[str, Any] | None) -> Any:
    if config is None:
        return None
    config = dict(config)
    kind = getattr(coding, config.pop("name"), None)
    if not (isinstance(kind, type) and issubclass(kind, Encoder | Decoder)):
        raise ValueError(explain("an unknown code in the recipe", "a code of art_snn.coding", "update art-snn"))
    return kind(**config)

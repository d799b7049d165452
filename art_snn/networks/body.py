"""What a body may be, how it is stepped, and the neurons whose two step modes disagree."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from art_snn.errors import explain
from art_snn.spiking import memory_modules, reset_state, step_modes

_SEED = 0


def check_body(body: nn.Module, refused: type[nn.Module]) -> None:
    """Refuse what cannot be a body.

    :raises TypeError: if ``body`` is not a module, is already a whole network, or is an ``nn.Sequential``
        subclass with a ``forward`` of its own (ART would run its children instead).
    :raises ValueError: if its modules mix step modes.
    """
    if not isinstance(body, nn.Module):
        raise TypeError(explain(f"body {body!r}", "an nn.Module [T, N, *] -> [T, N, K]", "pass a SpikingJelly network"))
    if isinstance(body, refused):
        raise TypeError(explain("a SpikingNetwork as body", "the network between encoder and decoder", "pass net.body"))
    if _bypassed_forward(body):
        name = type(body).__name__
        fix = f"derive {name} from nn.Module and keep the layers in an inner nn.Sequential"
        came = f"{name}, an nn.Sequential with a forward of its own"
        raise TypeError(explain(came, "a forward that nobody bypasses (ART runs a Sequential child by child)", fix))
    body_step_mode(body)


def _bypassed_forward(module: nn.Module) -> bool:
    """Whether a Sequential's own forward is lost on callers who iterate over its children."""
    cls = type(module)
    library = cls.__module__.startswith(("torch.", "spikingjelly."))
    return isinstance(module, nn.Sequential) and cls.forward is not nn.Sequential.forward and not library


def body_step_mode(body: nn.Module) -> str:
    """``m`` if the body takes all steps at once, ``s`` if it is called once per step.

    A body without SpikingJelly modules is called once, on the whole train.

    :raises ValueError: if its modules do not agree.
    """
    modes = step_modes(body)
    if not modes:
        return "m"
    if len(set(modes.values())) > 1:
        single = [name or "(body)" for name, mode in modes.items() if mode == "s"]
        multi = [name or "(body)" for name, mode in modes.items() if mode == "m"]
        came = f"a body that mixes step modes: 's' in {', '.join(single[:4])}; 'm' in {', '.join(multi[:4])}"
        fix = "from spikingjelly.activation_based import functional; functional.set_step_mode(body, 'm')"
        raise ValueError(explain(came, "one step mode", fix))
    return next(iter(modes.values()))


def step_mode_mismatches(body: nn.Module, T: int = 6) -> dict[str, str]:
    """Multi-step neurons that compute something else than their own single step, with the reason, by name.

    A SpikingJelly neuron that overrides only the single step inherits the fused multi-step of its parent, silently. One
    neuron of each class is run both ways on the same random current; a neuron that has only one mode is not comparable
    and is skipped.

    :param body: modules of one network.
    :param T: number of time steps that are tried.

    >>> from spikingjelly.activation_based import neuron
    >>> step_mode_mismatches(neuron.LIFNode(step_mode="m"))
    {}
    """
    found: dict[str, str] = {}
    seen: set[type[nn.Module]] = set()
    own = {id(module): name for name, module in body.named_modules()}
    for node in memory_modules(body):
        if type(node) in seen or getattr(node, "step_mode", "s") != "m":
            continue
        seen.add(type(node))
        share = _differing_share(node, T)
        if share > 0:
            kind = type(node).__name__
            found[own[id(node)]] = (
                f"{kind} in multi-step mode differs from its single step in {share:.0%} of the outputs; "
                f"use step_mode='s', or override multi_step_forward as well"
            )
    return found


def _differing_share(node: nn.Module, T: int) -> float:
    current = torch.rand((T, 2, 8), generator=torch.Generator().manual_seed(_SEED), device="cpu") * 3 - 0.5
    try:
        together = _both(node, current, "m")
        stepped = _both(node, current, "s")
    except Exception:  # noqa: BLE001 - a node that has one mode, or needs its own shapes, cannot be compared
        return 0.0
    if together.shape != stepped.shape:
        return 1.0
    return float((~torch.isclose(together, stepped, atol=1e-5)).double().mean())


def _both(node: nn.Module, current: Tensor, mode: str) -> Tensor:
    probe = copy.deepcopy(node).cpu().float().eval()
    probe.step_mode = mode  # type: ignore[assignment]
    reset_state(probe)
    with torch.no_grad():
        return probe(current) if mode == "m" else torch.stack([probe(step) for step in current])

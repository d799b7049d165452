"""Does the network have a gradient at all? Asked once, when a classifier is built."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from art_snn.errors import ArtSnnWarning, GradientWarning, RepeatWarning, explain
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.spiking import CUTS_TIME

_SAMPLES = 2


def probe_gradient(net: SpikingNetwork, input_shape: tuple[int, ...], clip_values: Any) -> list[ArtSnnWarning]:
    """Take one input gradient on random samples, on a copy, in eval mode; return what deserves a warning.

    A network that does not declare itself random is also called twice on the same input.

    :raises ValueError: if there is no gradient, or it is not finite.
    """
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    probe = copy.deepcopy(net).eval()
    low, high = (0.0, 1.0) if clip_values is None else (float(np.min(clip_values[0])), float(np.max(clip_values[1])))
    generator = torch.Generator().manual_seed(0)
    x = (low + (high - low) * torch.rand((_SAMPLES, *input_shape), generator=generator)).to(device)
    if net.encoder.binary_input:
        x = (x > (low + high) / 2).to(x.dtype)
    x.requires_grad_(True)
    with torch.enable_grad():
        z = probe(x)
        weights = torch.arange(1.0, z.shape[1] + 1, device=z.device, dtype=z.dtype)
        value = (z * weights).sum()
        grad = torch.autograd.grad(value, x, allow_unused=True)[0] if value.requires_grad else None
    if grad is None or not bool(torch.isfinite(grad).all()):
        came = "no input gradient" if grad is None else "a non-finite input gradient"
        fix = "check the custom layers of the body for detach(), .data, no_grad or in-place tricks"
        raise ValueError(explain(f"a network with {came}", "one that can be attacked by gradient", fix))
    messages: list[ArtSnnWarning] = []
    if not net.is_stochastic and not _repeats(probe, x.detach()):
        messages.append(
            RepeatWarning(
                "two calls on the same input differ: a module keeps a state or draws random numbers on its own; derive "
                "it from SpikingJelly's MemoryModule, or give it is_stochastic = True and a reseed method"
            )
        )
    if not bool((grad != 0).any()):
        text = "the input gradient is exactly zero: every gradient attack on this network will fail silently"
        messages.append(GradientWarning(text))
    if net.encoder.obfuscates:
        rule = net.encoder.backward
        text = f"backward={rule!r} hides the encoder's gradient; robustness measured with it is not robustness"
        messages.append(GradientWarning(text))
    if any(isinstance(module, CUTS_TIME) for module in net.modules()):
        text = "online-learning neurons detach their membrane, so gradients miss the chain through time"
        messages.append(GradientWarning(text))
    return messages


def _repeats(net: SpikingNetwork, x: torch.Tensor) -> bool:
    with torch.no_grad():
        return bool(torch.allclose(net(x), net(x), rtol=1e-4, atol=1e-5))

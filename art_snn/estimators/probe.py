"""Does the network have a gradient at all? Asked once, when a classifier is built."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from art_snn.errors import explain
from art_snn.networks.spiking_network import SpikingNetwork
from art_snn.spiking import CUTS_TIME

_SAMPLES = 2


def probe_gradient(net: SpikingNetwork, input_shape: tuple[int, ...], clip_values: Any) -> list[str]:
    """Take one input gradient on random samples, on a copy, in eval mode; return what deserves a warning.

    :raises ValueError: if there is no gradient, or it is not finite.
    """
    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    probe = copy.deepcopy(net).eval()
    low, high = (0.0, 1.0) if clip_values is None else (float(np.min(clip_values[0])), float(np.max(clip_values[1])))
    generator = torch.Generator().manual_seed(0)
    x = (low + (high - low) * torch.rand((_SAMPLES, *input_shape), generator=generator)).to(device).requires_grad_(True)
    with torch.enable_grad():
        z = probe(x)
        weights = torch.arange(1.0, z.shape[1] + 1, device=z.device, dtype=z.dtype)
        value = (z * weights).sum()
        grad = torch.autograd.grad(value, x, allow_unused=True)[0] if value.requires_grad else None
    if grad is None or not bool(torch.isfinite(grad).all()):
        came = "no input gradient" if grad is None else "a non-finite input gradient"
        fix = "check the custom layers of the body for detach(), .data, no_grad or in-place tricks"
        raise ValueError(explain(f"a network with {came}", "one that can be attacked by gradient", fix))
    messages = []
    if not bool((grad != 0).any()):
        messages.append("the input gradient is exactly zero: every gradient attack on this network will fail silently")
    if net.encoder.obfuscates:
        rule = net.encoder.backward
        messages.append(
            f"backward={rule!r} hides the encoder's gradient; robustness measured with it is not robustness"
        )
    if any(isinstance(module, CUTS_TIME) for module in net.modules()):
        messages.append("online-learning neurons detach their membrane, so gradients miss the chain through time")
    return messages

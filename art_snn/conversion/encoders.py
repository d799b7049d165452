"""The trap of the wrong encoder: attacking a network through another code than the one it is deployed with."""

from __future__ import annotations

import warnings

import torch
from torch import nn

from art_snn.errors import ArtSnnWarning, explain
from art_snn.networks.spiking_network import SpikingNetwork


class EncoderWarning(ArtSnnWarning):
    """An attack takes its gradients through another spike code than the deployed one."""


def warn_other_encoder(source: nn.Module, deployed: nn.Module) -> bool:
    """Warn if ``source`` is the network of ``deployed`` behind another encoder.

    A converted VGG-16 with a constant encoder keeps .2 % under PGD through that encoder, and 87 % under the same PGD
    through a rate encoder (CIFAR-10, quoted in review): not robustness, but an attack that missed.

    :param source: where gradients are taken.
    :param deployed: what is judged.
    :return: whether a warning was given.

    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 8, 8), 10)
    >>> warn_other_encoder(net, net)
    False
    """
    if not (isinstance(source, SpikingNetwork) and isinstance(deployed, SpikingNetwork)):
        return False
    ours, theirs = deployed.encoder, source.encoder
    same = type(ours) is type(theirs) and {**ours.config(), "seed": 0} == {**theirs.config(), "seed": 0}
    if same or not _same_weights(source.body, deployed.body):
        return False
    came = f"gradients through {theirs} of a network deployed with {ours}"
    expected = "the deployed encoder: PGD through a rate code left 87 % where PGD through the constant code left 0.2 %"
    fix = "attack the deployed network itself, and report this one as a transfer beside it"
    warnings.warn(explain(came, expected, fix), EncoderWarning, stacklevel=3)
    return True


def _same_weights(first: nn.Module, second: nn.Module) -> bool:
    if first is second:
        return True
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(
        value.shape == theirs[name].shape and torch.equal(value, theirs[name].to(value)) for name, value in ours.items()
    )

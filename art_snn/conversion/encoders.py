"""The trap of the wrong encoder: attacking a network through another code than the one it is deployed with.

A converted VGG-16 with a constant encoder keeps .2 % under PGD through that encoder, and 87 % under the same PGD
through a rate encoder (CIFAR-10, quoted in review): not robustness, but an attack that missed. Three doors are watched:

* a classifier around the body of a converted network behind another encoder than it was converted for
  (:func:`warn_redeployed`, called by ``SNNClassifier``); deploying another code is said at conversion,
  ``convert(model, T, encoder=...)``;
* a transfer from such a classifier (called by ``Transfer``, and so in ``SNNAutoAttack``);
* examples that come from anywhere else: :func:`check_same_encoder` before they are judged.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn

from art_snn.coding.base import Encoder
from art_snn.coding.frames import EventFrames
from art_snn.conversion.neurons import FoldedTime
from art_snn.errors import ArtSnnWarning, explain
from art_snn.networks.spiking_network import SpikingNetwork

_EXPECTED = "the deployed encoder: PGD through a rate code left 87 % where PGD through the constant code left 0.2 %"


class EncoderWarning(ArtSnnWarning):
    """An attack takes its gradients through another spike code than the deployed one."""


def check_same_encoder(attacked: Any, deployed: Any, *, stacklevel: int = 2) -> bool:
    """Warn if ``attacked`` is the network of ``deployed`` behind another encoder.

    :param attacked: where examples or gradients come from, a network or a classifier.
    :param deployed: what is judged on them, a network or a classifier.
    :param stacklevel: whose line the warning names, as in :func:`warnings.warn`.
    :return: whether all is well: another network, or the same encoder up to its seed.

    >>> from art_snn.networks import mlp
    >>> net = mlp((1, 8, 8), 10)
    >>> check_same_encoder(net, net)
    True
    """
    source, target = (one if isinstance(one, nn.Module) else getattr(one, "model", one) for one in (attacked, deployed))
    if not (isinstance(source, SpikingNetwork) and isinstance(target, SpikingNetwork)):
        return True
    if _same(source.encoder, target.encoder) or not _same_weights(source.body, target.body):
        return True
    came = f"gradients through {source.encoder} of a network deployed with {target.encoder}"
    fix = "attack the deployed network itself, and report this one as a transfer beside it"
    warnings.warn(explain(came, _EXPECTED, fix), EncoderWarning, stacklevel=stacklevel)
    return False


def warn_redeployed(net: SpikingNetwork, *, stacklevel: int = 2) -> bool:
    """Warn if ``net`` has the body of a converted network, and another encoder than it was converted for.

    The spike edge of ``at_spikes`` is the same network seen after its encoder, and no other encoder.

    :param net: the network that gradients will go through.
    :param stacklevel: whose line the warning names, as in :func:`warnings.warn`.
    :return: whether a warning was given.

    >>> from art_snn.networks import mlp
    >>> warn_redeployed(mlp((1, 8, 8), 10))
    False
    """
    intended = net.body.encoder if isinstance(net.body, FoldedTime) else None
    if intended is None or isinstance(net.encoder, EventFrames) or _same(net.encoder, intended[0]):
        return False
    came = f"gradients through {net.encoder} of a network converted for {intended[0]}"
    fix = "attack the converted network itself; if this code is deployed, convert(model, T, encoder=...) says so"
    warnings.warn(explain(came, _EXPECTED, fix), EncoderWarning, stacklevel=stacklevel)
    return True


def _same(first: Encoder, second: Encoder) -> bool:
    return type(first) is type(second) and {**first.config(), "seed": 0} == {**second.config(), "seed": 0}


def _same_weights(first: nn.Module, second: nn.Module) -> bool:
    if first is second:
        return True
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(
        value.shape == theirs[name].shape and torch.equal(value, theirs[name].to(value)) for name, value in ours.items()
    )

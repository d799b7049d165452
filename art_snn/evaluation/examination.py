"""What a comparison looks at beside accuracy: transfer, work, decisions over time, and spikes to look at.

Adversarial samples are those of the one attack whose examples are tried on the other models too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from art_snn.evaluation.attacks import Attack
from art_snn.evaluation.cells import Measurement, Subject, judged
from art_snn.evaluation.cost import ENERGY_MODELS, decision_steps, logits_at_each_step, work
from art_snn.evaluation.cost.timing import correct_at_each_step
from art_snn.evaluation.deployed import EVALUATION_DRAWS
from art_snn.evaluation.seeding import derived_seed
from art_snn.evaluation.store import Record
from art_snn.networks import SpikingNetwork
from art_snn.spiking import spiking_neurons

Array = np.ndarray[Any, np.dtype[Any]]
SOURCES = ("apgd-ce", "apgd-margin", "pgd", "fgsm")
"""Attacks whose examples are carried to other models: the first of these that runs."""
WORKED = 256
"""Samples on which operations are counted."""
_DRAWS = 5
"""Draws averaged for logits over time."""
_UNITS = 64
"""Neurons of a raster."""


def source_attack(attacks: list[Attack]) -> Attack | None:
    """The attack whose examples are transferred; ``None`` if no gradient attack runs."""
    return next((attack for name in SOURCES for attack in attacks if attack.name == name), None)


def transfer(cells: Measurement, source: Subject, target: Subject, attack: Attack, eps: float) -> Record:
    """Outcomes of ``target`` on what ``attack`` made against ``source``."""
    key = cells.key(target, "transfer", source.identity, attack.name, dict(attack.parameters), eps)
    found = cells.store.get(key)
    if found is not None:
        return found
    x_adv = cells.adversarial(source, attack, eps)
    answers = target.draws(x_adv, derived_seed(cells.seed, key))
    return cells.store.add({
        "key": key, "kind": "transfer", "source": source.name, "model": target.name, "network": target.network,
        "attack": attack.name, "eps": eps, **judged(answers, cells.y),
    })  # fmt: skip


def examine(cells: Measurement, subject: Subject, attack: Attack | None, eps: float) -> list[Record]:
    """Work, decisions over time and a raster, clean and under ``attack``."""
    found = [_work(cells, subject, None, 0.0), _over_time(cells, subject, None, 0.0)]
    if attack is not None and eps > 0:
        found += [_work(cells, subject, attack, eps), _over_time(cells, subject, attack, eps)]
    return [*(record for record in found if record is not None), *_raster(cells, subject, attack, eps)]


def _samples(cells: Measurement, subject: Subject, attack: Attack | None, eps: float) -> Array:
    """What the network itself is given: samples behind whatever stands in front of it."""
    x = cells.x if attack is None else cells.adversarial(subject, attack, eps)
    return np.asarray(subject.classifier._apply_preprocessing(x, y=None, fit=False)[0])


def _key(cells: Measurement, subject: Subject, kind: str, attack: Attack | None, eps: float) -> str:
    made = None if attack is None else [attack.name, dict(attack.parameters)]
    return cells.key(subject, kind, made, eps)


def _head(key: str, kind: str, subject: Subject, attack: Attack | None, eps: float) -> Record:
    name = None if attack is None else attack.name
    return {
        "key": key, "kind": kind, "model": subject.name, "network": subject.network, "attack": name, "eps": eps,
    }  # fmt: skip


def _work(cells: Measurement, subject: Subject, attack: Attack | None, eps: float) -> Record:
    key = _key(cells, subject, "work", attack, eps)
    found = cells.store.get(key)
    if found is not None:
        return found
    subject.rewind(derived_seed(cells.seed, key))
    try:
        done = work(subject.classifier.model, _samples(cells, subject, attack, eps)[:WORKED])
    except (ValueError, RuntimeError) as error:  # a network whose layers cannot be counted is still attacked
        return cells.store.add({**_head(key, "uncounted", subject, attack, eps), "reason": str(error)})
    energy = {
        name: {"plain": done.energy(name).record(), "cached": done.energy(name, cached=True).record()}
        for name in ENERGY_MODELS
    }
    T = subject.classifier.model.T if isinstance(subject.classifier.model, SpikingNetwork) else 1
    head = _head(key, "work", subject, attack, eps)
    return cells.store.add({**head, "T": T, "samples": min(WORKED, len(cells.x)), **done.record(), "energy": energy})


def _over_time(cells: Measurement, subject: Subject, attack: Attack | None, eps: float) -> Record | None:
    net = subject.classifier.model
    if not isinstance(net, SpikingNetwork) or net.T < 2:
        return None
    key = _key(cells, subject, "time", attack, eps)
    found = cells.store.get(key)
    if found is not None:
        return found
    subject.rewind(derived_seed(cells.seed, key))
    z = logits_at_each_step(net, _samples(cells, subject, attack, eps), min(_DRAWS, EVALUATION_DRAWS))
    decided = decision_steps(z)
    steps = np.bincount(decided, minlength=net.T + 1)[1:]
    return cells.store.add({
        **_head(key, "time", subject, attack, eps), "T": net.T,
        "accuracy": [float(share) for share in correct_at_each_step(z, cells.y).mean(1)],
        "decided": [int(count) for count in steps], "mean_step": float(decided.mean()),
    })  # fmt: skip


def _raster(cells: Measurement, subject: Subject, attack: Attack | None, eps: float) -> list[Record]:
    """Spikes of the first layer of neurons on the first sample."""
    net = subject.classifier.model
    neurons = spiking_neurons(net)
    if not isinstance(net, SpikingNetwork) or not neurons or subject.network:
        return []
    name, first = next(iter(neurons.items()))
    key = _key(cells, subject, "raster", attack, eps)
    found = cells.store.get(key)
    if found is not None:
        return [found]
    conditions = {"clean": _samples(cells, subject, None, 0.0)[:1]}
    if attack is not None and eps > 0:
        conditions["adversarial"] = _samples(cells, subject, attack, eps)[:1]
    trains = {}
    for condition, x in conditions.items():
        subject.rewind(derived_seed(cells.seed, key))
        trains[condition] = [[int(i) for i in step.nonzero()[0]] for step in _spikes(net, first, x)]
    return [
        cells.store.add({**_head(key, "raster", subject, attack, eps), "layer": name, "T": net.T, "spikes": trains})
    ]


def _spikes(net: SpikingNetwork, neuron: torch.nn.Module, x: Array) -> Array:
    """Spikes ``[T, units]`` of one layer on one sample; at most 64 units, evenly chosen."""
    seen: list[torch.Tensor] = []
    handle = neuron.register_forward_hook(lambda _, args, s: seen.append(s.detach().cpu()))  # noqa: ARG005
    net.eval()
    votes, net.votes = net.votes, 1
    try:
        with torch.no_grad():
            net(torch.as_tensor(x, device=next(net.parameters()).device))
    finally:
        handle.remove()
        net.votes = votes
    train = torch.cat([part.reshape(-1, part[0].numel()) for part in seen])[: net.T].numpy()
    chosen = np.linspace(0, train.shape[1] - 1, min(_UNITS, train.shape[1])).round().astype(int)
    return np.asarray(train[:, chosen])

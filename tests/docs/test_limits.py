"""The page of what art-snn does not do: the lines that carry a mark are true."""

import re
from pathlib import Path

import numpy as np
import pytest
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import neuron
from torch import nn

import art_snn
from art_snn import SNNClassifier, SpikingNetwork
from art_snn.coding import Latency
from art_snn.data import DATASETS
from art_snn.networks import mlp

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "limits.md").read_text()
CODE = {path: path.read_text() for path in Path(art_snn.__file__).parent.rglob("*.py")}


def classifier(**kwargs):
    net = mlp((1, 4, 4), 3, encoder=Latency(T=4))
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 4, 4), 3, clip_values=(0.0, 1.0), **kwargs)


def test_as_many_marks_as_tests():
    assert len(re.findall(r"✓$", PAGE, flags=re.MULTILINE)) == 7


def test_no_large_data_set_is_known():
    assert set(DATASETS) == {"digits", "mnist", "cifar10", "events"}


def test_l0_is_for_one_attack_alone():
    from art_snn.attacks import evasion

    kinds = [getattr(evasion, name) for name in evasion.__all__]
    norms = {kind.__name__: kind.norms for kind in kinds if hasattr(kind, "norms")}
    assert [name for name, found in norms.items() if 0.0 in found] == ["SNNAutoPGD"]
    assert {norm for found in norms.values() for norm in found} == {np.inf, 2.0, 1.0, 0.0}


def test_apex_is_refused():
    with pytest.raises(ValueError, match="use_amp"):
        classifier(use_amp=True)


def test_standardization_in_front_of_a_code_is_refused():
    with pytest.raises(ValueError, match="raw intensities"):
        classifier(preprocessing=(0.5, 0.5))


def test_an_snn_is_a_pytorch_classifier_of_art():
    assert isinstance(classifier(), PyTorchClassifier)


def test_few_parts_of_spikingjelly_are_touched():
    used = {
        part
        for text in CODE.values()
        for line in re.findall(r"^\s*from spikingjelly\.(\S+) import (.+)$", text, flags=re.MULTILINE)
        for part in [line[0]]
    }
    assert not any(part.startswith(("datasets", "visualizing")) or "cuda" in part for part in used)


def test_bodies_of_mixed_step_modes_are_refused():
    body = nn.Sequential(nn.Flatten(), neuron.LIFNode(step_mode="s"), neuron.LIFNode(step_mode="m"))
    with pytest.raises(ValueError, match="step mode"):
        SpikingNetwork(Latency(T=4), body)


def test_reset_net_is_never_called():
    assert not any(re.search(r"^(?!.*(#|never|``)).*\breset_net\(", text, flags=re.MULTILINE) for text in CODE.values())

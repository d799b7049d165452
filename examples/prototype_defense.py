"""A new defense in 15 lines: from an idea to the verdict of an attacker who knows it.

The idea: events with neighbors are signal, lonely ones are noise or attack; drop the lonely ones.

    python examples/prototype_defense.py
"""

import torch

from art_snn import SNNClassifier, data
from art_snn.attacks import HammingFW
from art_snn.defenses.preprocessor import SpikePreprocessor, spike_transform
from art_snn.evaluation import judge
from art_snn.networks import load

NET = "benchmarks/models/digits_events_snn.safetensors"


@spike_transform(backward="identity")
def company(spikes):  # [T, N, 2, H, W]: keep events with at least three others around them in their frame
    return spikes * (torch.nn.functional.avg_pool2d(spikes.sum(2), 3, 1, 1)[:, :, None] * 9 >= 4)


def classifier(*defenses):
    loss, front = torch.nn.CrossEntropyLoss(), [SpikePreprocessor(one) for one in defenses]
    return SNNClassifier(load(NET), loss, (9, 2, 16, 16), 10, clip_values=(0.0, 1.0), preprocessing_defences=front)


x, y, _ = data.load("events").select(60, seed=0)
usual, strong = ((lambda clf, steps=steps: HammingFW(clf, k=20, max_iter=steps)) for steps in (1, 20))
print(judge((classifier(company), classifier()), x, y, eps=0.3, customary=usual, adaptive=[strong]))

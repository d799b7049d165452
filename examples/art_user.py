"""ART in five minutes, with a spiking network: train, attack, defend, and ask whether the number can be trusted.

Whoever knows ART will recognize every line but two: the network, and the question at the end.

    python examples/art_user.py
"""

import numpy as np
import torch
from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
from art.utils import compute_accuracy
from spikingjelly.activation_based import neuron
from torch import nn

from art_snn import SNNClassifier, SpikingNetwork, data, diagnose
from art_snn.attacks import SNNAutoPGD
from art_snn.coding import Latency, MembraneMean
from art_snn.defenses.trainer import PGDTrainer


def classifier():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), neuron.LIFNode(), nn.Linear(128, 10))
    net = SpikingNetwork(Latency(T=8), body, MembraneMean())  # the line that ART does not have
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, optimizer=optimizer, clip_values=(0.0, 1.0))


def accuracy(clf, x, y):
    return f"{100 * compute_accuracy(clf.predict(x), np.eye(10)[y])[0]:5.1f} %"


digits = data.load("digits")
x, y, _ = digits.select(100, seed=0)

plain = classifier()
plain.fit(digits.x_train, digits.y_train, batch_size=64, nb_epochs=10)
trained = classifier()
PGDTrainer(trained, eps=0.1, eps_step=0.05, max_iter=4, seed=0).fit(digits.x_train, digits.y_train, nb_epochs=10)

for title, clf in (("plain training", plain), ("adversarial training", trained)):
    print(title)
    print(f"  clean              {accuracy(clf, x, y)}")
    np.random.seed(0)  # noqa: NPY002 - ART's attacks draw from the global generator
    for attack in (
        FastGradientMethod(clf, eps=0.1),
        ProjectedGradientDescent(clf, eps=0.1, eps_step=0.025, max_iter=20, verbose=False),
        SNNAutoPGD(clf, eps=0.1, max_iter=20, loss_type="margin"),
    ):
        print(f"  {type(attack).__name__[:18]:18} {accuracy(clf, attack.generate(x, y), y)}")

report = diagnose(trained, x[:32], y[:32], eps=0.1)  # is that number real?
raised = [flag.id for flag in report.flags.values() if flag.raised]
print(f"may be read as robustness: {report.valid}; flags raised: {', '.join(raised) or 'none'}")

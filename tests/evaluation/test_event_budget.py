"""A budget on the values of event frames is named for what it is."""

import numpy as np
import torch
from torch import nn

from art_snn import SNNClassifier, compare
from art_snn.coding import EventFrames
from art_snn.networks import mlp


def test_frame_values_are_a_relaxed_threat(tmp_path):
    net = mlp((2, 4, 4), 3, hidden=(8,), encoder=EventFrames(T=5))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    classifier = SNNClassifier(net, nn.CrossEntropyLoss(), (5, 2, 4, 4), 3, optimizer=optimizer, clip_values=(0.0, 1.0))
    x = (np.random.default_rng(0).random((12, 5, 2, 4, 4)) < 0.1).astype(np.float32)
    y = classifier.predict(x).argmax(1)
    compare({"snn": classifier}, x, y, eps=0.05, attacks=["noise"], out=tmp_path, verbose=False)
    for report in ("report.html", "report.md"):
        text = (tmp_path / report).read_text()
        assert "a relaxed threat: every cell may take any value" in text
    assert (tmp_path / "figures" / "examples.svg").exists()

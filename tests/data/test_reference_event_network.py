"""The reference event network that the benchmarks attack."""

from pathlib import Path

import torch

from art_snn.data import load
from art_snn.networks import load as load_network

MODELS = Path(__file__).parents[2] / "benchmarks" / "models"


def test_it_reads_the_test_set_of_events():
    data = load("events")
    net = load_network(MODELS / "digits_events_snn.safetensors")
    with torch.no_grad():
        right = net(torch.tensor(data.x_test)).argmax(1).numpy() == data.y_test
    assert right.mean() > 0.93

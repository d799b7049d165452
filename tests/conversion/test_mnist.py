"""What conversion promises on MNIST, on the whole test set; the data come from ART's folder, where they are."""

import sys
from pathlib import Path

import pytest
import torch
from art import config

from art_snn import convert, data
from art_snn.conversion import COS, SRP, latency

EXAMPLES = Path(__file__).parents[2] / "examples"
HERE = Path(config.ART_DATA_PATH) / "mnist.npz"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not HERE.exists(), reason=f"no {HERE}, and nothing is downloaded")]


@pytest.fixture(scope="module")
def examples():
    sys.path.insert(0, str(EXAMPLES))
    try:
        import conversion_depth
        import convert_and_attack
    finally:
        sys.path.remove(str(EXAMPLES))
    return convert_and_attack, conversion_depth


@pytest.fixture(scope="module")
def mnist():
    """``x_train, y_train, x_test, y_test`` as tensors, 20,000 of them to train on."""
    found = data.load("mnist")
    train = found.x_train[:20_000], found.y_train[:20_000]
    return tuple(torch.tensor(part) for part in (*train, found.x_test, found.y_test))


def test_three_layers_follow_their_quantized_network_and_beat_rate_coding(examples, mnist, tmp_path):
    example, depth = examples
    x, y, *test = mnist
    made = example.models(tmp_path, x, y, levels=4)
    qnn = depth.accuracy(made["qnn"], *test)
    plain = {T: depth.accuracy(convert(made["qnn"], T), *test) for T in (2, 4, 8)}
    assert abs(plain[4] - qnn) <= 0.3  # T = L
    for T in (2, 4, 8):
        rate = depth.accuracy(convert(made["ann"], T, "rate_coding", calibration=x[:512]), *test)
        others = [convert(made["qnn"], T, method) for method in ("srp", "cos")]
        others.append(convert(made["ann"], T, "local_threshold_balancing", calibration=x[:512]))
        others.append(convert(made["noisy"], T, "residual_noise"))
        assert min(plain[T], *(depth.accuracy(net, *test) for net in others)) >= rate


def test_seven_layers_calibrated_for_two_steps_are_no_worse_than_four_plain_ones(examples, mnist, tmp_path):
    _, depth = examples
    x, y, *test = mnist
    qnn = depth.quantized(tmp_path, x, y, levels=16)
    plain = depth.accuracy(convert(qnn, 4), *test)
    for method in (SRP(pre=8), COS(pre=8)):
        net = convert(qnn, 2, method)
        assert str(latency(net)) == "8 + 2 = 10"
        assert depth.accuracy(net, *test) >= plain

"""What a code, a read-out or a loss cannot take is refused at once, and the message carries the repair."""

import pytest
import torch
from spikingjelly.activation_based import neuron

from art_snn.coding import (
    TET,
    Burst,
    CountLoss,
    Delta,
    Frequency,
    Latency,
    LatencyLoss,
    Population,
    RankOrder,
    RelativeTargetLoss,
    SignedPoisson,
    SpikeCamera,
    SpikeCount,
)  # fmt: skip


@pytest.mark.parametrize(
    ("make", "came", "fix"),
    [
        (lambda: CountLoss(1, 1), "desired=1, undesired=1", "CountLoss(desired=4, undesired=1)"),
        (lambda: CountLoss(2, -1), "0 <= undesired < desired", "CountLoss(desired=4, undesired=1)"),
        (lambda: LatencyLoss("4"), "kind='4'", "LatencyLoss(kind='3')"),
        (lambda: RelativeTargetLoss(0), "gamma=0", "RelativeTargetLoss(gamma=3.0)"),
        (lambda: RelativeTargetLoss(float("nan")), "a positive lead in steps", "RelativeTargetLoss(gamma=3.0)"),
        (lambda: TET(lam=1.5), "lam=1.5", "TET(lam=0.05)"),
        (lambda: SignedPoisson(4, reach=0), "reach=0", "pass reach=2.0"),
        (lambda: SignedPoisson(4, reach=float("nan")), "a positive number", "pass reach=2.0"),
        (lambda: Burst(10, max_spikes=0), "max_spikes=0", "Burst(T=10, max_spikes=4)"),
        (lambda: Burst(10, shortest=3, longest=2), "1 <= shortest <= longest", "Burst(T=10, max_spikes=4)"),
        (lambda: Delta(4, threshold=0), "threshold=0", "pass threshold=0.1"),
        (lambda: RankOrder(4, kappa=-1), "kappa=-1", "RankOrder(T, kappa=0.05, comparisons=128)"),
        (lambda: RankOrder(4, comparisons=0), "comparisons=0", "RankOrder(T, kappa=0.05, comparisons=128)"),
        (lambda: Latency(4, drop_below=1.5), "drop_below=1.5", "drop_below=0.0 keeps every pixel"),
        (lambda: Latency(4, "edl", drop_below=0.1), "absolute intensities", "drop dark pixels before scaling"),
    ],
)
def test_arguments_outside_their_range(make, came, fix):
    with pytest.raises(ValueError, match="Fix:") as error:
        make()
    assert came in str(error.value)
    assert f"Fix: {fix}" in str(error.value)


@pytest.mark.parametrize(
    ("code", "shape", "expected", "fix"),
    [
        (Population(4, m=3), (5,), "[N, C, *]", "add a channel axis"),
        (Frequency(4), (5, 8), "images [N, *, H, W]", "reshape the input to images"),
        (Frequency(4), (5, 1, 0, 8), "images [N, *, H, W]", "reshape the input to images"),
        (SpikeCamera(6, video=True), (5, 3, 4), "[N, T=6, *]", "match T to the video, or pass video=False"),
        (SpikeCamera(6, video=True), (6,), "[N, T=6, *]", "match T to the video, or pass video=False"),
    ],
)
def test_inputs_of_a_shape_that_the_code_does_not_have(code, shape, expected, fix):
    with pytest.raises(ValueError, match="Fix:") as error:
        code(torch.zeros(shape))
    assert expected in str(error.value)
    assert f"Fix: {fix}" in str(error.value)


def test_half_precision_has_no_fourier_transform():
    with pytest.raises(TypeError, match=r"float16.*expected float32 or float64 images\. Fix: pass x\.float\(\)"):
        Frequency(4)(torch.zeros(2, 1, 4, 4, dtype=torch.float16))


def test_a_read_out_neuron_runs_over_all_steps():
    with pytest.raises(ValueError, match=r"a neuron in step_mode 's'.*Fix: neuron.step_mode = 'm'"):
        SpikeCount(neuron=neuron.IFNode())
    o = torch.full((4, 1, 2), 0.6)
    assert SpikeCount(neuron=neuron.IFNode(step_mode="m"))(o).floor().tolist() == [[2.0, 2.0]]

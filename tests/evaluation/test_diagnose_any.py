"""A diagnosis of any ART PyTorch classifier: every flag has a verdict, and nothing fails deep inside."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from art.defences.preprocessor import FeatureSqueezing, GaussianAugmentation, SpatialSmoothingPyTorch
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn.evaluation import diagnose
from art_snn.evaluation.flags import CHECKS, PLANS, Evidence, Plan
from art_snn.evaluation.flags.plan import fitting, passes
from art_snn.evaluation.reliability import ReliabilityReport
from art_snn.testing import tiny

SMALL = Plan(
    probes=12, samples=6, steps=4, queries=6, hops=1, hop_steps=1, nes_samples=20, nes_points=2, grid=3, points=2
)


class Rows(nn.Module):
    """A recurrent network over the rows of an image."""

    def __init__(self):
        super().__init__()
        self.rows, self.last = nn.GRU(8, 12, batch_first=True), nn.Linear(12, 10)

    def forward(self, x):
        return self.last(self.rows(x[:, 0])[0][:, -1])


def convolution(classes=10):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, classes)
    )


def made(net, **options):
    settings = {"clip_values": (0.0, 1.0), "nb_classes": 10, "input_shape": (1, 8, 8), "device_type": "cpu", **options}
    return PyTorchClassifier(net, nn.CrossEntropyLoss(), **settings)


CASES = {
    "plain": lambda: made(convolution()),
    "recurrent": lambda: made(Rows()),
    "squeezed": lambda: made(convolution(), preprocessing_defences=[FeatureSqueezing((0.0, 1.0), 4)]),
    "smoothed": lambda: made(convolution(), preprocessing_defences=[SpatialSmoothingPyTorch(3, channels_first=True)]),
    "noisy": lambda: made(
        convolution(), preprocessing_defences=[GaussianAugmentation(augmentation=False, apply_predict=True)]
    ),
    "standardized": lambda: made(convolution(), preprocessing=(0.3, 0.4)),
    "unclipped": lambda: made(convolution(), clip_values=None),
    "two classes": lambda: made(convolution(2), nb_classes=2),
}


@pytest.mark.parametrize("name", CASES)
def test_every_flag_has_a_verdict(name):
    torch.manual_seed(0)
    x, y = tiny.samples(20)
    classifier = CASES[name]()
    report = diagnose(classifier, x.astype(np.float64), y % classifier.nb_classes, eps=0.1, plan=SMALL)
    assert list(report.flags) == list(CHECKS)
    assert all(flag.verdict and flag.rule and flag.text for flag in report.flags.values())
    assert all(flag.samples > 0 for flag in report.flags.values() if flag.verdict in ("passed", "raised"))
    assert len(report.next_steps) == 3
    if name == "unclipped":
        assert "no clip values" in report.flags["E4"].text
    if name == "two classes":
        assert "too few for DLR" in report.flags["W15"].text


def test_one_sample_and_one_hot_labels():
    x, y = tiny.samples(10)
    classifier = tiny.classifier(tiny.analog())
    report = diagnose(classifier, x[:1], np.eye(10)[y[:1]], eps=0.1, plan=SMALL)
    assert list(report.flags) == list(CHECKS)
    assert report.flags["E8"].raised  # one sample shows nothing


def test_a_report_without_a_flag_is_refused():
    report = diagnose(tiny.classifier(tiny.analog()), *tiny.samples(10), eps=0.1, plan=SMALL)
    kept = {name: flag for name, flag in report.flags.items() if name != "E5"}
    with pytest.raises(ValueError, match="a report without E5"):
        ReliabilityReport(kept)
    with pytest.raises(ValueError, match="a report without E1"):
        ReliabilityReport({})


def test_a_transfer_that_breaks_more_raises_w2():
    from art_snn.testing import faults

    x, y = tiny.samples(40)
    plan = Plan(probes=40, samples=40, steps=20, queries=5, hops=0)
    masked = tiny.classifier(faults.ZeroBackward(tiny.analog()))
    alone = CHECKS["W2"].judge(Evidence(masked, x, y, 0.1, 0, plan))
    helped = CHECKS["W2"].judge(Evidence(masked, x, y, 0.1, 0, plan, sources={"open": tiny.classifier(tiny.analog())}))
    assert helped.raised
    assert "transfer from open" in helped.text
    assert helped.value > alone.value


def test_sources_are_checked_at_the_door():
    x, y = tiny.samples(10)
    classifier = tiny.classifier(tiny.analog())
    with pytest.raises(TypeError, match="for the source 'other'"):
        diagnose(classifier, x, y, sources={"other": nn.Linear(1, 1)})
    with pytest.raises(ValueError, match="as the model"):
        diagnose(classifier, x, y, sources={"other": made(convolution(2), nb_classes=2)})
    with pytest.raises(ValueError, match="a positive time"):
        diagnose(classifier, x, y, seconds=0)


def test_plans_shrink_and_the_time_decides():
    sizes = [passes(plan, random=random, pool=8, sources=1) for random in (False, True) for plan in PLANS.values()]
    for listed in (sizes[:5], sizes[5:]):
        assert all(sum(more) > sum(less) for more, less in pairwise(listed))
    facts = Evidence(tiny.classifier(tiny.analog()), *tiny.samples(20), 0.1)
    assert fitting(facts, 1e9)[0] == "ample"
    name, plan, expected = fitting(facts, 1e-9)
    assert (name, plan) == ("least", PLANS["least"])
    assert expected > 0


def test_wrong_only_alone():
    """A gradient that depends on the size of the batch is seen, whatever the logits are."""
    from art_snn.testing.faults import _NoBackward

    class Alone(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            z = self.inner(x)
            return (
                _NoBackward.apply(z) + 1e-6 * x.flatten(1).sum(1, keepdim=True) * torch.arange(10.0)
                if len(x) == 1
                else z
            )

    facts = Evidence(tiny.classifier(Alone(tiny.analog())), *tiny.samples(20), 0.1, 0, SMALL)
    flag = CHECKS["E9"].judge(facts)
    assert flag.raised
    assert flag.details["one by one"]["cosine"] < 0.9

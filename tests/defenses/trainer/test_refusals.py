import numpy as np
import pytest
import torch
from art.defences.preprocessor import SpatialSmoothing
from torch import nn

from art_snn import SNNClassifier
from art_snn.defenses.trainer import (
    RAT,
    GaussianNoiseTrainer,
    MARTTrainer,
    PGDTrainer,
    PlainTrainer,
    RobustFineTuning,
    SparseGradient,
    StochasticGateTrainer,
    TRADESTrainer,
)
from art_snn.defenses.trainer.orthogonal import Retraction
from art_snn.defenses.trainer.passes import PairedPasses
from art_snn.networks import mlp


def test_what_is_trained(classify):
    with pytest.raises(TypeError, match="SNNClassifier"):
        PlainTrainer(mlp((1, 8, 8), 10))
    net = mlp((1, 8, 8), 10, hidden=(8,))
    with pytest.raises(ValueError, match="optimizer"):
        PlainTrainer(SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10))
    clf = SNNClassifier(
        net, nn.CrossEntropyLoss(), (1, 8, 8), 10, torch.optim.Adam(net.parameters()), clip_values=(0.0, 1.0),
        preprocessing_defences=SpatialSmoothing(),
    )  # fmt: skip
    with pytest.raises(ValueError, match="PyTorch kind"):
        PlainTrainer(clf)
    with pytest.raises(ValueError, match="without stochastic gates"):
        StochasticGateTrainer(classify())


@pytest.mark.parametrize(
    ("kind", "arguments", "word"),
    [
        (PlainTrainer, {"validation": 0.9}, "validation"),
        (PGDTrainer, {"eps": -0.1}, "eps"),
        (PGDTrainer, {"max_iter": 0}, "step"),
        (TRADESTrainer, {"beta": -1.0}, "beta"),
        (MARTTrainer, {"beta": -1.0}, "beta"),
        (RAT, {"beta": -1.0}, "beta"),
        (RAT, {"layers": ["body.9"]}, "body.1"),
        (RAT, {"simplex": ["body.1.mix"]}, "parameter"),
        (GaussianNoiseTrainer, {"sigma": -1.0}, "sigma"),
        (SparseGradient, {"h": 0.0}, "h="),
        (RobustFineTuning, {"loss": "trade"}, "trades"),
        (RobustFineTuning, {"eps": 0.1, "alpha": 0.2}, "alpha"),
    ],
)
def test_arguments(kind, arguments, word, classify):
    with pytest.raises(ValueError, match=word):
        kind(classify(), **arguments)


def test_data(few, classify):
    x, y = few
    trainer = PlainTrainer(classify())
    for bad, labels, word in (
        (x[:, 0], y, "reshape"),
        ((x * 255).astype(np.float32), y, "rescale"),
        (x, y[:5], "one label per sample"),
        (x, y + 5, "classes"),
        (x[:2], y[:2], "validation"),
    ):
        with pytest.raises(ValueError, match=word):
            trainer.fit(bad, labels, nb_epochs=1)
    with pytest.raises(ValueError, match="nb_epochs"):
        trainer.fit(x, y, nb_epochs=0)


def test_one_hot_labels_are_labels(few, classify, same_weights):
    one, two = classify(), classify()
    PlainTrainer(one).fit(*few, nb_epochs=1)
    PlainTrainer(two).fit(few[0], np.eye(10, dtype=np.float32)[few[1]], nb_epochs=1)
    assert same_weights(one, two)


def test_a_schedule_steps_once_an_epoch(few, classify):
    classifier = classify()
    rates = [group["lr"] for group in classifier.optimizer.param_groups]
    schedule = torch.optim.lr_scheduler.ExponentialLR(classifier.optimizer, 0.5)
    PlainTrainer(classifier).fit(*few, batch_size=16, nb_epochs=3, scheduler=schedule)
    assert [group["lr"] for group in classifier.optimizer.param_groups] == pytest.approx([r / 8 for r in rates])


def test_the_clean_pass_comes_first(few, classify):
    trainer = PlainTrainer(classify())
    trainer.generator = torch.Generator().manual_seed(0)
    passes = PairedPasses(trainer)
    with pytest.raises(RuntimeError, match=r"no pass yet; expected the clean pass first\. Fix: passes\(x\)"):
        _ = passes.clean
    x = torch.tensor(few[0][:4])
    first = passes(x)
    passes(0.5 * x)
    assert torch.equal(passes.clean, first)


def test_what_has_no_weights_cannot_be_retracted():
    with pytest.raises(ValueError, match=r"without layers to retract.*linear or convolution.*Fix: use plain AT"):
        Retraction(nn.Sequential(nn.Flatten(), nn.ReLU()), 0.1)

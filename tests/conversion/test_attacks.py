"""Converted networks under attack: gradient policies, estimators, transfer, and the wrong encoder."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import PyTorchClassifier
from torch import nn

from art_snn import SNNClassifier, SpikingNetwork
from art_snn.attacks.evasion import Transfer
from art_snn.coding import Direct, MeanCurrent, Poisson
from art_snn.conversion import COS, SRP, EncoderWarning, check_same_encoder, convert, robust_convert, warn_redeployed
from art_snn.gradients import BPTR, HART, PDSG, RGA, ANNTwin, StraightThrough, Surrogate
from art_snn.networks import load, save

METHODS = {"qcfs": "qcfs", "srp": SRP(pre=3), "cos": COS(pre=3)}
POLICIES = [
    Surrogate("atan", 4.0), Surrogate("triangle", temporal_chain="none"), StraightThrough(1.0), BPTR(), RGA(),
    ANNTwin(), HART(), PDSG(),
]  # fmt: skip


def classify(model, kind=SNNClassifier):
    return kind(model, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))


def gradient(model, x, y):
    x = x.clone().requires_grad_(True)
    z = model(x)
    return z, torch.autograd.grad(nn.functional.cross_entropy(z, y, reduction="sum"), x)[0].flatten(1)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("policy", POLICIES, ids=repr)
def test_every_policy_keeps_the_spikes_and_finds_the_quantized_direction(qnn, digits, method, policy):
    x, y = digits[2][:32], digits[3][:32]
    net = convert(qnn, T=8, method=METHODS[method])
    _, wanted = gradient(qnn, x, y)
    with net.gradient(policy):
        z, found = gradient(net, x, y)
    assert torch.equal(z, net(x))
    assert bool(torch.isfinite(found).all())
    assert float(nn.functional.cosine_similarity(found, wanted).mean()) > 0.3
    assert bool((found.abs().sum(1) > 0).all())


def test_the_quantized_twin_gives_its_own_gradient(qnn, digits):
    x, y = digits[2][:16], digits[3][:16]
    net = convert(qnn, T=8, method="srp")
    _, wanted = gradient(qnn, x, y)
    with net.gradient(ANNTwin(qnn)):
        z, found = gradient(net, x, y)
    assert torch.equal(z, net(x))
    assert float(nn.functional.cosine_similarity(found, wanted).min()) > 0.8


@pytest.mark.parametrize("method", METHODS)
def test_estimator_spike_edge_and_activations(qnn, digits, method):
    clf = classify(convert(qnn, T=4, method=METHODS[method]))
    x, y = digits[2][:16].numpy(), digits[3][:16].numpy()
    z = clf.predict(x)
    edge = clf.at_spikes()
    train = clf.model.encode(digits[2][:16]).transpose(0, 1).numpy()
    np.testing.assert_array_equal(edge.predict(train), z)
    assert edge.loss_gradient(train, y).shape == train.shape
    assert clf.get_activations(x, "body.graph.2.node", time="none").shape == (16, clf.model.T, 8, 8, 8)
    assert np.abs(clf.loss_gradient(x, y)).sum() > 0


@pytest.mark.parametrize("method", METHODS)
def test_art_attacks_break_a_converted_network(qnn, digits, method):
    clf = classify(convert(qnn, T=4, method=METHODS[method]))
    x, y = digits[2][:100].numpy(), digits[3][:100].numpy()
    clean = (clf.predict(x).argmax(1) == y).mean()
    attacked = FastGradientMethod(clf, eps=0.2).generate(x, y)
    assert (clf.predict(attacked).argmax(1) == y).mean() < clean - 0.4


def test_transfer_from_the_source_is_one_call(ann, qnn, digits):
    x, y = digits[2][:50].numpy(), digits[3][:50].numpy()
    clf, source = classify(convert(qnn, T=4)), classify(ann, PyTorchClassifier)
    x_adv = Transfer(clf, source=source, eps=0.2, max_iter=10, verbose=False).generate(x, y)
    assert np.abs(x_adv - x).max() <= 0.2 + 1e-6
    assert (clf.predict(x_adv).argmax(1) == y).mean() < 0.5


TRAP = r"left 87 % where PGD through the constant code left 0.2 %"


def rate_coded(net, seed=0):
    return SpikingNetwork(Poisson(T=net.T, seed=seed), net.body, net.decoder).eval()


def test_a_classifier_around_a_converted_body_behind_another_encoder_warns(qnn):
    net = convert(qnn, T=4)
    for made in (rate_coded(net), rate_coded(copy.deepcopy(net)), rate_coded(pickle.loads(pickle.dumps(net)))):  # noqa: S301
        with pytest.warns(EncoderWarning, match=r"gradients through Poisson.*converted for Direct.*" + TRAP):
            classify(made)


def test_a_loaded_network_knows_its_encoder(ann, qnn, tmp_path):
    for made in (robust_convert(ann, 2, torch.rand(8, 1, 8, 8), calibration_steps=4), convert(qnn, 2)):
        net = load(save(made, tmp_path / "net.safetensors"))
        assert not warn_redeployed(net)
        with pytest.warns(EncoderWarning):
            assert warn_redeployed(rate_coded(net))


def test_transfers_and_suites_through_another_encoder_warn(qnn):
    net = convert(qnn, T=4)
    clf = classify(net)
    with pytest.warns(EncoderWarning):
        source = classify(rate_coded(net))
    with pytest.warns(EncoderWarning, match=TRAP):
        Transfer(clf, source=source, eps=0.1, max_iter=2, verbose=False)
    for attacked, deployed in ((source, clf), (source.model, net), (source, net)):
        with pytest.warns(EncoderWarning, match=r"gradients through Poisson.*deployed with Direct"):
            assert not check_same_encoder(attacked, deployed)
    with pytest.warns(EncoderWarning):
        assert not check_same_encoder(convert(qnn, T=8), net)


def test_no_warning_for_the_deployed_encoder_or_another_network(ann, qnn, digits):
    net = convert(qnn, T=4)
    twin = SpikingNetwork(Direct(T=4), net.body, MeanCurrent())
    deployed = convert(qnn, T=4, method="srp", encoder=Poisson(T=8, seed=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for one in (net, twin, deployed, rate_coded(deployed)):
            classify(one).at_spikes()
        assert check_same_encoder(net, net)
        assert check_same_encoder(twin, net)
        assert check_same_encoder(ann, net)
        assert check_same_encoder(rate_coded(convert(ann, 4, calibration=torch.rand(64, 1, 8, 8))), net)
        assert check_same_encoder(rate_coded(deployed, seed=5), deployed)
        assert check_same_encoder(classify(ann, PyTorchClassifier), classify(net))


def test_an_encoder_of_other_steps_is_refused(qnn):
    with pytest.raises(ValueError, match=r"4 \+ 2 steps.*Poisson\(T=6\)"):
        convert(qnn, T=2, method="cos", encoder=Poisson(T=2))

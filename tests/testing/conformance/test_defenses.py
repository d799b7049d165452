"""Every defense of the catalogue conforms, and one broken on purpose for each contract does not."""

import numpy as np
import pytest
import torch
from torch import nn

from art_snn import SNNClassifier
from art_snn.attacks.evasion import SNNAutoAttack, SNNAutoPGD
from art_snn.coding import Latency, Transformed, spike_transform
from art_snn.defenses import preprocessor as pre
from art_snn.defenses.catalogue import DEFENSES, defended
from art_snn.defenses.preprocessor import SpikePreprocessor
from art_snn.defenses.trainer import RECIPES, TRAINERS
from art_snn.networks import mlp
from art_snn.testing import ConformanceError, check_defense
from art_snn.testing.conformance import DEFENSE

IMAGE, EVENTS = (1, 8, 8), (5, 2, 6, 6)


def classifier(name, seed, preprocessors=None):
    shape = EVENTS if DEFENSES[name].events else IMAGE
    net = defended(name, shape, 3, T=4, seed=seed)
    return SNNClassifier(net, nn.CrossEntropyLoss(), shape, 3, clip_values=(0.0, 1.0), device_type="cpu",
                         preprocessing_defences=preprocessors)  # fmt: skip


def adaptive(clf):
    return SNNAutoPGD(clf, eps=0.1, max_iter=3)


def samples(name, n=8):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    return ((rng.random((n, *EVENTS)) < 0.3).astype(np.float32), y) if DEFENSES[name].events else (None, None)


@pytest.mark.parametrize("name", DEFENSES)
def test_defenses_by_name(name):
    twin, seeds = DEFENSES[name].twin, {"homeostatic": ()}
    bare = lambda seed: classifier(twin, seed)  # noqa: E731
    check_defense(lambda seed: classifier(name, seed), bare, adaptive, *samples(name), unless=seeds.get(name, ()))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in DEFENSES if not DEFENSES[name].events])
def test_the_suite_is_an_adaptive_attack_for_each(name):
    attack = lambda clf: SNNAutoAttack(clf, eps=0.1, preset="fast", verbose=False)  # noqa: E731
    check_defense(lambda seed: classifier(name, seed), lambda seed: classifier(DEFENSES[name].twin, seed), attack,
                  *samples(name))  # fmt: skip


def test_every_training_names_its_adaptive_attack():
    assert {TRAINERS[DEFENSES[name].trainer].recipe for name in DEFENSES} <= set(RECIPES)


FILTERS = {
    "background": pre.BackgroundActivityFilter(2, 1), "refractory": pre.RefractoryFilter(1),
    "correlation": pre.QuantizedCorrelationFilter(3, 1, 1), "dropout": pre.SpikeDropout(0.8),
    "smoothing": pre.TemporalSmoothing(0.5), "jitter": pre.SpikeJitter(1),
}  # fmt: skip


@pytest.mark.parametrize("name", FILTERS)
def test_filters_in_front_of_the_classifier(name):
    """ART does not rewind the stream of a preprocessor, so a random one repeats itself only within keyed draws."""
    filtered = lambda seed: classifier("plain-events", seed, [SpikePreprocessor(FILTERS[name])])  # noqa: E731
    bare = lambda seed: classifier("plain-events", seed)  # noqa: E731
    attack = lambda clf: SNNAutoPGD(clf, eps=0.1, max_iter=2)  # noqa: E731
    drawn = ("clean forward", "seeds", "rebuilt") if FILTERS[name].is_stochastic else ()
    unless = ("adaptive attack", *drawn) if FILTERS[name].needs_binary else drawn
    check_defense(filtered, bare, attack, *samples("plain-events"), unless=unless)


def plain(seed=0, kind=SNNClassifier, encoder=None, shape=IMAGE):
    net = mlp(IMAGE, 3, hidden=(12,), encoder=Latency(4) if encoder is None else encoder, seed=seed)
    return kind(net, nn.CrossEntropyLoss(), shape, 3, clip_values=(0.0, 1.0), device_type="cpu")


def behind(transform):
    return lambda seed: plain(seed, encoder=Transformed(Latency(4), transform()))


class Silent(SNNClassifier):
    def predict(self, x, *args, **kwargs):
        return np.zeros((len(x), 3), dtype=np.float32)


class HalfBlind(SNNClassifier):
    def loss_gradient(self, x, y, *args, **kwargs):
        grad = super().loss_gradient(x, y, *args, **kwargs)
        grad[1:] = 0
        return grad


class Undeclared(SNNClassifier):
    calls = 0

    def predict(self, x, *args, **kwargs):
        self.calls += 1
        return super().predict(x, *args, **kwargs) + np.float32(1e-6 * self.calls)


class Outside(SNNClassifier):
    """A defense in the estimator, where attacks never look."""

    def predict(self, x, *args, **kwargs):
        return super().predict(np.round(self._input(x)), *args, **kwargs)


def unseeded(seed):
    with torch.random.fork_rng():
        torch.seed()
        return plain(int(torch.randint(10**6, ())))


class NoNumber(SNNClassifier):
    def predict(self, x, *args, **kwargs):
        return np.full((len(x), 3), np.nan, dtype=np.float32)


class Overflows(SNNClassifier):
    def loss_gradient(self, x, y, *args, **kwargs):
        return super().loss_gradient(x, y, *args, **kwargs) * np.float32("inf")


class GlobalDraws(SNNClassifier):
    def predict(self, x, *args, **kwargs):
        return super().predict(x, *args, **kwargs) + 0 * np.float32(np.random.random())


class Lost(SNNAutoPGD):
    def generate(self, x, y=None, **kwargs):
        return super().generate(x, y, **kwargs)[:1]


class Escapes(SNNAutoPGD):
    def generate(self, x, y=None, **kwargs):
        return super().generate(x, y, **kwargs) + np.float32(0.5)


def wider(seed):
    clf = plain(seed)
    return SNNClassifier(clf.model, nn.CrossEntropyLoss(), IMAGE, 3, clip_values=(0.0, 2.0), device_type="cpu")


OTHERWISE = [
    ("clean forward", lambda seed: plain(seed, NoNumber), plain, adaptive, "24 not finite"),
    ("gradient", lambda seed: plain(seed, Overflows), plain, adaptive, "a gradient that is not finite"),
    ("seeds", lambda seed: plain(seed, GlobalDraws), plain, adaptive, "a global generator that moved"),
    ("removable", plain, wider, adaptive, "clip_values = "),
    ("adaptive attack", plain, plain, lambda clf: Lost(clf, eps=0.1, max_iter=2), "points of shape (1, 1, 8, 8)"),
    ("adaptive attack", plain, plain, lambda clf: Escapes(clf, eps=0.1, max_iter=2), "points outside Linf(0.1)"),
]


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
@pytest.mark.parametrize(("name", "build", "without", "attack", "said"), OTHERWISE)
def test_each_way_to_break_a_contract_has_its_own_words(name, build, without, attack, said):
    with pytest.raises(ConformanceError) as raised:
        check_defense(build, without, attack)
    assert said in raised.value.broken[name]
    assert f"Fix: {DEFENSE.listed[name].fix}" in raised.value.broken[name]


def test_a_defense_is_a_classifier():
    with pytest.raises(TypeError, match=r"got a SpikingNetwork; expected an ART PyTorchClassifier\. Fix: wrap the"):
        check_defense(lambda seed: plain(seed).model, plain, adaptive)


BROKEN = {
    "clean forward": (lambda seed: plain(seed, Silent), plain, adaptive),
    "gradient": (lambda seed: plain(seed, HalfBlind), plain, adaptive),
    "randomness": (lambda seed: plain(seed, Undeclared), plain, adaptive),
    "seeds": (unseeded, plain, adaptive),
    "removable": (plain, lambda seed: plain(seed, encoder=Latency(4, backward="masked")), adaptive),
    "rebuilt": (lambda seed: plain(seed, Outside), plain, adaptive),
    "adaptive attack": (plain, plain, lambda clf: None),
}


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
@pytest.mark.parametrize("name", BROKEN)
def test_broken_defenses_are_found_out(name):
    with pytest.raises(ConformanceError) as raised:
        check_defense(*BROKEN[name])
    assert name in raised.value.broken
    assert f"Fix: {DEFENSE.listed[name].fix}" in str(raised.value)


def test_there_is_a_broken_defense_for_every_contract():
    assert set(BROKEN) == set(DEFENSE.listed)


@pytest.mark.filterwarnings("ignore::art_snn.errors.GradientWarning")
def test_a_defense_that_hides_its_gradient_may_say_so():
    hiding = behind(lambda: spike_transform(backward="none")(lambda s: s.flip(0)))
    check_defense(hiding, plain, adaptive)

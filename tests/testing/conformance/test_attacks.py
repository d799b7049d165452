"""Every evasion attack of the package conforms, and one broken on purpose for each contract does not."""

import numpy as np
import pytest
import torch
from art.attacks import EvasionAttack
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from art.estimators.classification.classifier import ClassifierMixin
from art.estimators.estimator import BaseEstimator, LossGradientsMixin
from torch import nn

from art_snn import SNNClassifier, attacks
from art_snn.attacks.evasion import (
    FAB,
    CornerAttack,
    DashAttack,
    EventPatch,
    EventSquare,
    FrameAttack,
    GumbelEventAttack,
    HammingFW,
    LatencyPGD,
    MovingDashAttack,
    ProjectedRetiming,
    RandomCorners,
    RandomEvents,
    RandomRetiming,
    SNNAutoAttack,
    SNNAutoPGD,
    SNNSquare,
    SparseEventAttack,
    SpikeCompatibleGradient,
    SpikeCompatibleImages,
    SpikeFool,
    SpikeRetiming,
    SpikeSponge,
    StableAdaptivePGD,
    Transfer,
    UniversalEventPerturbation,
)  # fmt: skip
from art_snn.coding import Direct, EventFrames, Latency, MembraneMean
from art_snn.networks import mlp
from art_snn.testing import ConformanceError, check_attack, tiny
from art_snn.testing.conformance import ATTACK
from art_snn.threats import Linf

N = 6


def few(x, y, clf):
    """Samples that are right, and one that is wrong."""
    right = np.flatnonzero(clf.predict(x).argmax(1) == y)[: N - 1]
    wrong = np.flatnonzero(clf.predict(x).argmax(1) != y)[:1]
    rows = np.sort(np.concatenate([right, wrong]))
    return x[rows], y[rows]


@pytest.fixture(scope="module")
def trained():
    """Three small networks, trained once, in float64, so that batches do not matter."""
    data = tiny.digits()
    found = {}
    for name, encoder in {"image": Direct(3), "latency": Latency(4), "events": EventFrames(4)}.items():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net = mlp((1, 8, 8), 10, hidden=(24,), encoder=encoder, decoder=MembraneMean(tau=1.0))
            train, test = data.x_train, data.x_test
            if name == "events":
                train, test = (Latency(4)(torch.tensor(x)).transpose(0, 1).numpy() for x in (train, test))
            tiny.fit(net, epochs=5, x=train)
        shape = (1, 8, 8) if name != "events" else (4, 1, 8, 8)
        clf = SNNClassifier(net.double(), nn.CrossEntropyLoss(), shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
        found[name] = (clf, *few(np.ascontiguousarray(test), data.y_test, clf))
    return found


IMAGES = {
    **{f"SNNAutoPGD {norm}": (lambda c, norm=norm, eps=eps: SNNAutoPGD(c, norm=norm, eps=eps, max_iter=4))
       for norm, eps in ((np.inf, 0.05), (2, 0.5), (1, 2.0))},
    "StableAdaptivePGD": lambda c: StableAdaptivePGD(c, eps=0.05, max_iter=4),
    "SNNSquare": lambda c: SNNSquare(c, eps=0.05, max_iter=5),
    "RandomCorners": lambda c: RandomCorners(c, eps=0.05, max_iter=3),
    "FAB": lambda c: FAB(c, eps=0.1, max_iter=3),
    "Transfer": lambda c: Transfer(c, source=c if isinstance(c, SNNClassifier) else None, eps=0.05, max_iter=3),
    "SpikeSponge": lambda c: SpikeSponge(c, eps=0.1, max_iter=3),
    "SpikeCompatibleImages": lambda c: SpikeCompatibleImages(c, max_iter=3),
}  # fmt: skip
EVENTS = {
    "HammingFW": lambda c: HammingFW(c, k=10, max_iter=4),
    "SparseEventAttack": lambda c: SparseEventAttack(c, k=10, max_iter=3),
    "SpikeFool": lambda c: SpikeFool(c, k=10, max_iter=3, deepfool_iter=3),
    "SpikeCompatibleGradient": lambda c: SpikeCompatibleGradient(c, k=10, max_iter=5),
    "GumbelEventAttack": lambda c: GumbelEventAttack(c, k=10, max_iter=4),
    "EventSquare": lambda c: EventSquare(c, k=10, max_iter=6),
    "RandomEvents": lambda c: RandomEvents(c, k=10, kind="flip", max_iter=4),
    "EventPatch": lambda c: EventPatch(c, side=3, max_iter=3),
    "UniversalEventPerturbation": lambda c: UniversalEventPerturbation(c, k=10, max_iter=3),
    "FrameAttack": lambda c: FrameAttack(c, k=10), "CornerAttack": lambda c: CornerAttack(c, k=10),
    "DashAttack": lambda c: DashAttack(c, k=10), "MovingDashAttack": lambda c: MovingDashAttack(c, k=10),
    "SpikeRetiming": lambda c: SpikeRetiming(c, jitter=1, max_iter=3),
    "ProjectedRetiming": lambda c: ProjectedRetiming(c, jitter=1, max_iter=3),
    "RandomRetiming": lambda c: RandomRetiming(c, jitter=1, max_iter=3),
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_attacks_on_images(trained, name):
    check_attack(IMAGES[name], *trained["image"])


def test_the_attack_on_latency_codes(trained):
    check_attack(lambda c: LatencyPGD(c, eps=0.05, max_iter=4), *trained["latency"])


@pytest.mark.parametrize("name", EVENTS)
def test_attacks_on_events(trained, name):
    """A fixed pattern is what it is: it aims at nothing, and may lead away from a target."""
    patterns = ("FrameAttack", "CornerAttack", "DashAttack", "MovingDashAttack")
    check_attack(EVENTS[name], *trained["events"], unless=("targeted",) if name in patterns else ())


@pytest.mark.slow
def test_the_suite(trained):
    clf, x, y = trained["image"]
    check_attack(lambda c: SNNAutoAttack(c, eps=0.05, preset="fast", verbose=False), clf, x[:4], y[:4])


def test_every_public_evasion_attack_is_here(trained):
    built = {name.split()[0] for name in (*IMAGES, *EVENTS)} | {"LatencyPGD", "SNNAutoAttack"}
    assert built == set(attacks.__all__)


class Broken(SNNAutoPGD):
    """A conforming attack, to be broken in one place each."""

    def __init__(self, estimator, eps=0.05, max_iter=3, batch_size=64, seed=0):
        super().__init__(estimator, eps=eps, max_iter=max_iter, batch_size=batch_size, seed=seed)


class HiddenArgument(SNNAutoPGD):
    def __init__(self, estimator, eps=0.05, secret=3):
        super().__init__(estimator, eps=eps, max_iter=3)


class AcceptsAll(Broken):
    def set_params(self, **kwargs):
        for name, value in kwargs.items():
            setattr(self, name, value)


class AnyEstimator(Broken):
    _estimator_requirements = ()

    def __init__(self, estimator, **kwargs):
        super().__init__(estimator, **kwargs)


class InPlace(Broken):
    def generate(self, x, y=None, **kwargs):
        x_adv = super().generate(x, y, **kwargs)
        x += 0.1
        return x_adv


class Double(Broken):
    def generate(self, x, y=None, **kwargs):
        return super().generate(x, y, **kwargs).astype(np.float64)


class OutOfRange(Broken):
    def generate(self, x, y=None, **kwargs):
        return super().generate(x, y, **kwargs) - np.float32(0.05)


class Doubled(Broken):
    """Moves twice as far as it says."""

    def generate(self, x, y=None, **kwargs):
        return np.clip(2 * super().generate(x, y, **kwargs) - x, 0, 1).astype(np.float32)


class Boasts(Broken):
    def generate(self, x, y=None, **kwargs):
        x_adv = super().generate(x, y, **kwargs)
        self.last_run.success[:] = True
        return x_adv


class LastIterate(Broken):
    """Returns a point on the other side of the sample."""

    def generate(self, x, y=None, **kwargs):
        return np.clip(2 * x - super().generate(x, y, **kwargs), 0, 1).astype(np.float32)


class GlobalDraws(Broken):
    def generate(self, x, y=None, **kwargs):
        noise = np.random.uniform(-0.01, 0.01, x.shape).astype(np.float32)
        point = np.clip(super().generate(x, y, **kwargs) + noise, 0, 1)
        return np.clip(point, x - np.float32(0.05), x + np.float32(0.05))


class BatchDraws(Broken):
    def generate(self, x, y=None, **kwargs):
        rng = np.random.default_rng(self.batch_size)
        point = np.clip(super().generate(x, y, **kwargs) + rng.uniform(-0.02, 0.02, x.shape), 0, 1)
        return np.clip(point, x - np.float32(0.05), x + np.float32(0.05)).astype(np.float32)


class IndicesOnly(Broken):
    def generate(self, x, y=None, **kwargs):
        if y is not None and np.ndim(y) == 2:
            y = np.zeros(len(x), dtype=int)
        return super().generate(x, y, **kwargs)


class NotTurnedAround(Broken):
    """Leads away from its targets."""

    def _loss(self, z, problem):
        return -super()._loss(z, problem) if self.targeted else super()._loss(z, problem)


class NoMask(Broken):
    def generate(self, x, y=None, **kwargs):
        return super().generate(x, y)


class LeavesTraining(Broken):
    def generate(self, x, y=None, **kwargs):
        x_adv = super().generate(x, y, **kwargs)
        self.estimator.model.train(not self.estimator.model.training)
        return x_adv


BROKEN = {
    "parameters": HiddenArgument, "set_params": AcceptsAll, "estimator": AnyEstimator, "pure": InPlace,
    "shape": Double, "range": OutOfRange, "budget": Doubled, "success": Boasts, "best iterate": LastIterate,
    "seeds": GlobalDraws, "batch size": BatchDraws, "labels": IndicesOnly, "targeted": NotTurnedAround,
    "mask": NoMask, "left as found": LeavesTraining,
}  # fmt: skip


SAID = {
    "parameters": "arguments ['secret'] that are not in attack_params", "set_params": "no ValueError",
    "estimator": "no EstimatorError", "pure": "samples or labels that changed", "shape": "(6, 1, 8, 8), float64",
    "range": "values 0.05 outside the clip values", "budget": "points outside Linf(0.05)", "success": "wrong claims",
    "best iterate": "samples that", "seeds": "a global generator that moved", "batch size": "with other points",
    "labels": "other points for one-hot labels", "targeted": "targets that moved away by",
    "mask": "forbidden values that changed", "left as found": "mode",
}  # fmt: skip


class AnyNumber(Broken):
    def _check_params(self):
        """Forgotten."""


class NotFinite(Broken):
    def generate(self, x, y=None, **kwargs):
        return super().generate(x, y, **kwargs) * np.float32("nan")


class StandsStill(Broken):
    def generate(self, x, y=None, **kwargs):
        return x.copy()


class Heals(Broken):
    """Takes samples that are wrong for targets to be reached."""

    def generate(self, x, y=None, **kwargs):
        healed = SNNAutoPGD(self.estimator, eps=1.0, max_iter=30, targeted=True).generate(x, y)
        return np.where(self.estimator.predict(x).argmax(1)[:, None, None, None] == y[:, None, None, None], x, healed)


class AimsByDefault(Broken):
    def __init__(self, estimator, **kwargs):
        super().__init__(estimator, **kwargs)
        self.targeted = True


OTHERWISE = [
    ("set_params", AnyNumber, "no ValueError for max_iter=-1"), ("shape", NotFinite, "values that are not finite"),
    ("budget", StandsStill, "samples that did not move at all"),
    ("best iterate", Heals, "samples that were wrong and are right after the attack"),
    ("targeted", AimsByDefault, "targeted=True by default"),
]  # fmt: skip


def test_what_an_attack_does_to_its_samples_does_not_reach_the_callers(trained):
    clf, x, y = trained["image"]
    before = x.copy(), y.copy()
    with pytest.raises(ConformanceError) as raised:
        check_attack(InPlace, clf, x, y)
    assert set(raised.value.broken) == {"pure"}
    assert np.array_equal(x, before[0])
    assert np.array_equal(y, before[1])


def test_the_attack_that_is_broken_conforms_before(trained):
    check_attack(Broken, *trained["image"])


def test_there_is_a_broken_attack_for_every_contract():
    assert set(BROKEN) == set(ATTACK.listed) == set(SAID)


@pytest.mark.parametrize(("name", "kind", "said"), [*((n, BROKEN[n], SAID[n]) for n in BROKEN), *OTHERWISE])
def test_broken_attacks_are_found_out(trained, name, kind, said):
    with pytest.raises(ConformanceError) as raised:
        check_attack(kind, *trained["image"])
    assert name in raised.value.broken
    assert said in raised.value.broken[name]
    assert f"Fix: {ATTACK.listed[name].fix}" in str(raised.value)
    trained["image"][0].model.eval()


class Least(EvasionAttack):
    """One step along the sign of the gradient where that gains loss, and no parameter but its size."""

    attack_params = ["eps"]  # noqa: RUF012 - ART's own idiom
    _estimator_requirements = (BaseEstimator, LossGradientsMixin, ClassifierMixin)

    def __init__(self, estimator, eps=0.05):
        super().__init__(estimator=estimator)
        self.eps = eps

    def generate(self, x, y=None, **kwargs):
        decided = self.estimator.predict(x).argmax(1)
        labels = decided if y is None else np.asarray(y) if np.ndim(y) == 1 else np.argmax(y, 1)
        rows = np.eye(self.estimator.nb_classes, dtype=np.float32)[labels]
        step = self.eps * np.sign(self.estimator.loss_gradient(x, rows)) * kwargs.get("mask", 1)
        moved = np.clip(x + step, 0, 1).astype(np.float32)
        losses = [self.estimator.compute_loss(z, rows, reduction="none") for z in (x, moved)]
        gained = (losses[1] > losses[0]) & (decided == labels)
        return np.where(gained[:, None, None, None], moved, x)


def test_the_least_that_an_attack_can_be_conforms_on_any_classifier(trained):
    clf, x, y = trained["image"]
    boundless = SNNClassifier(clf.model, nn.CrossEntropyLoss(), (1, 8, 8), 10, device_type="cpu")
    torch.manual_seed(0)
    linear = PyTorchClassifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), nn.CrossEntropyLoss(), (1, 8, 8), 10,
                               clip_values=(0.0, 1.0), device_type="cpu")  # fmt: skip
    for one in (clf, boundless):
        assert check_attack(Least, one, x.copy(), y.copy()) == tuple(ATTACK.listed)
    own = linear.predict(x).argmax(1)
    check_attack(Least, linear, x.copy(), own, unless=("seeds",))  # ART's predict draws from torch's global generator
    with pytest.raises(ConformanceError, match=r"a distance of 0\.1 under eps = 0\.05"):
        check_attack(type("Twice", (Least,), {"generate": twice}), clf, x.copy(), y.copy())


def twice(self, x, y=None, **kwargs):
    """Two steps for one, in a class without a threat model."""
    honest = Least(self.estimator, eps=2 * self.eps)
    return honest.generate(x, y, **kwargs)


def test_an_attack_without_projection_is_found_out(trained, monkeypatch):
    monkeypatch.setattr(Linf, "project", lambda self, x, x_adv: x_adv)
    with pytest.raises(ConformanceError, match="outside Linf"):
        check_attack(Broken, *trained["image"])


def test_arts_own_pgd_draws_from_everybodys_generator(trained):
    """ART's attack is honest about its budget; its random start is not reproducible from a seed of its own."""
    build = lambda c: ProjectedGradientDescent(c, eps=0.05, eps_step=0.02, max_iter=3, num_random_init=1, verbose=False)  # noqa: E731
    with pytest.raises(ConformanceError) as raised:
        check_attack(build, *trained["image"])
    assert "seeds" in raised.value.broken
    assert not {"budget", "shape", "pure", "estimator"} & set(raised.value.broken)


def test_a_classifier_that_errs_everywhere_shows_nothing(trained):
    clf, x, _ = trained["image"]
    with pytest.raises(ValueError, match="right somewhere"):
        check_attack(Broken, clf, x, (clf.predict(x).argmax(1) + 1) % 10)
    with pytest.raises(TypeError, match="EvasionAttack"):
        check_attack(lambda c: c, clf, x, x[:, 0, 0, 0])

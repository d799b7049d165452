"""Whatever is handed to a public entry: it answers, or refuses by ValueError or TypeError with a repair."""

import inspect
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from art_snn import SNNClassifier, attacks, coding, gradients, threats
from art_snn.attacks.evasion import HammingFW, SNNAutoPGD, SpikeRetiming
from art_snn.coding import Decoder, Direct, Encoder, EventFrames, Latency
from art_snn.coding.transform import SpikeTransform
from art_snn.data import events
from art_snn.gradients import GradientPolicy
from art_snn.networks import SpikingNetwork, cnn, mlp

FAST = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 12), st.sampled_from([0.0, 0.5, -1.5, 2.5, 1e30, -1e30]),
    st.just(float("nan")), st.just(float("inf")), st.just(""), st.text(max_size=5),
    st.lists(st.integers(-2, 5), max_size=3),
    st.just({}), st.just((1, 2)), st.just(np.zeros(2)), st.just(np.float32(0.5)), st.just(torch.zeros(2)),
    st.just(object), st.just(len), st.just(1j), st.just(b"x"), st.just(10**30),
)  # fmt: skip
DTYPES = (np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_, np.complex64, object, "U1")


def answers_or_explains(call):
    """What a call gives; ``None`` where it refuses with a repair.

    :raises AssertionError: for any other exception, or a message without repair.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except (ValueError, TypeError) as error:
            # Python's own words for a wrong signature, and ART's for a wrong estimator, pass
            known = "Fix:" in str(error) or "argument" in str(error) or "requires an estimator" in str(error)
            assert known, f"{type(error).__name__} without repair: {error}"  # noqa: PT017
            return None


def public(module, base):
    kinds = {kind for name in module.__all__ if isinstance(kind := getattr(module, name), type)}
    return sorted(
        (k for k in kinds if issubclass(k, base) and k is not base and not inspect.isabstract(k)),
        key=lambda k: k.__name__,
    )


def required(kind):
    """Arguments that make a component of a kind."""
    own = {
        "T": 6, "encoder": Latency(6), "encoders": [Direct(6), Latency(6)], "transform": coding.SpikeJitter(1),
        "surrogate_function": "atan", "members": [gradients.BPTR()], "keep_frames": 3, "eps": 0.1, "norm": np.inf,
        "k": 3, "jitter": 1, "inner": Latency(6), "code": Latency(6), "source": None, "add": 1, "delete": 1,
    }  # fmt: skip
    found = {}
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name != "self" and parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            found[name] = own.get(name, 1)
    return found


def settings_of(kind):
    names = [
        n for n, p in inspect.signature(kind.__init__).parameters.items() if n != "self" and p.kind is not p.VAR_KEYWORD
    ]
    return st.dictionaries(st.sampled_from(names), JUNK, min_size=1, max_size=2) if names else st.just({})


KINDS = [*public(coding, Encoder), *public(coding, Decoder), *public(coding, SpikeTransform),
         *public(gradients, GradientPolicy), *public(threats, threats.ThreatModel)]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
@FAST
@given(data=st.data())
def test_constructors(kind, data):
    given_settings = {**required(kind), **data.draw(settings_of(kind))}
    answers_or_explains(lambda: kind(**given_settings))


@st.composite
def arrays(draw, shapes, low=0.0, high=1.0):
    """An array of any dtype, mostly of a fitting shape, with a few bad values."""
    shape = draw(st.one_of(st.sampled_from(shapes), st.lists(st.integers(0, 4), max_size=5).map(tuple)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = low + (high - low) * rng.random(shape)
    kind = draw(st.sampled_from([*DTYPES, np.float32, np.float32, np.float32]))
    x = np.asarray(x.astype(kind))
    if x.size and x.dtype.kind == "f" and draw(st.booleans()):
        x.reshape(-1)[draw(st.integers(0, x.size - 1))] = draw(st.sampled_from([np.nan, np.inf, -np.inf, -1, 2, 1e4]))
    return x


@pytest.mark.parametrize("kind", public(coding, Encoder), ids=lambda k: k.__name__)
@FAST
@given(data=st.data())
def test_encoders(kind, data):
    code = kind(**required(kind))
    x = data.draw(arrays([(2, 1, 4, 4), (1, 3), (2, 6, 2, 3), (3,)]).filter(lambda a: a.dtype.kind in "fiub"))

    def call():
        s = code(torch.from_numpy(x))
        assert s.shape[0] == code.T
        return s

    answers_or_explains(call)


@pytest.fixture(scope="module")
def clf():
    net = mlp((1, 4, 4), 3, hidden=(8,), encoder=Latency(T=4))
    return SNNClassifier(net, nn.CrossEntropyLoss(), (1, 4, 4), 3, clip_values=(0.0, 1.0), device_type="cpu",
                         optimizer=torch.optim.Adam(net.parameters()))  # fmt: skip


@pytest.fixture(scope="module")
def event_clf():
    net = mlp((1, 4, 4), 3, hidden=(8,), encoder=EventFrames(T=4))
    return SNNClassifier(net, nn.CrossEntropyLoss(), (4, 1, 4, 4), 3, clip_values=(0.0, 1.0), device_type="cpu")


IMAGES = arrays([(2, 1, 4, 4), (1, 1, 4, 4), (1, 4, 4), (0, 1, 4, 4)])
LABELS = st.one_of(
    st.none(), JUNK, st.sampled_from([np.array([0, 1]), np.array([[1, 0, 0], [0, 0, 1]]), np.array([0.5, 1])]),
    arrays([(2,), (2, 3), (1,), (2, 1)], 0, 3),
)  # fmt: skip


@FAST
@given(x=st.one_of(IMAGES, JUNK), y=LABELS, label=LABELS, size=st.integers(1, 3))
def test_estimators(clf, x, y, label, size):
    answers_or_explains(lambda: clf.predict(x, batch_size=size))
    answers_or_explains(lambda: clf.loss_gradient(x, y))
    answers_or_explains(lambda: clf.class_gradient(x, label=label))
    answers_or_explains(lambda: clf.compute_loss(x, y))
    answers_or_explains(lambda: clf.get_activations(x, label))
    assert not clf.model.training


ATTACKS = public(attacks, object)


def one(kind, clf, **options):
    return kind(clf, **{**{n: v for n, v in required(kind).items() if n not in ("estimator",)}, **options})


@pytest.mark.parametrize("kind", ATTACKS, ids=lambda k: k.__name__)
@FAST
@given(data=st.data())
def test_parameters_of_attacks(clf, event_clf, kind, data):
    names = [n for n in settings_names(kind) if n not in ("estimator", "source")]
    chosen = data.draw(st.dictionaries(st.sampled_from(names), JUNK, min_size=1, max_size=2))
    for target in (clf, event_clf):
        answers_or_explains(lambda target=target: one(kind, target, **chosen))


def settings_names(kind):
    return [n for n in inspect.signature(kind.__init__).parameters if n not in ("self", "kwargs")]


@settings(FAST, max_examples=40)
@given(x=IMAGES, y=LABELS, mask=st.one_of(st.none(), JUNK, arrays([(1, 4, 4), (2, 1, 4, 4), (4,)])))
def test_generate(clf, x, y, mask):
    attack = SNNAutoPGD(clf, eps=0.1, max_iter=1)
    x_adv = answers_or_explains(lambda: attack.generate(x, y, mask=mask))
    assert x_adv is None or x_adv.shape == x.shape


@settings(FAST, max_examples=40)
@given(x=arrays([(2, 4, 1, 4, 4), (1, 4, 1, 4, 4)]).map(lambda a: np.round(a) if a.dtype.kind == "f" else a), y=LABELS)
def test_generate_on_events(event_clf, x, y):
    for attack in (HammingFW(event_clf, k=3, max_iter=1), SpikeRetiming(event_clf, jitter=1, max_iter=1)):
        x_adv = answers_or_explains(lambda attack=attack: attack.generate(x, y))
        assert x_adv is None or x_adv.shape == x.shape


@FAST
@given(columns=st.lists(st.one_of(JUNK, st.lists(st.integers(-2, 40), max_size=4), arrays([(3,)], -2, 40)),
                        min_size=4, max_size=4), size=st.one_of(st.none(), st.just((4, 4)), JUNK))  # fmt: skip
def test_recordings(columns, size):
    made = answers_or_explains(lambda: events.make_events(*columns, size=size))
    if made is not None:
        answers_or_explains(lambda: events.to_frames(made, 3, (40, 40)))
        answers_or_explains(lambda: events.refractory(made, 5))
        answers_or_explains(lambda: events.encode_nmnist(made))


@FAST
@given(shape=JUNK, classes=JUNK, hidden=JUNK, neuron=JUNK)
def test_builders(shape, classes, hidden, neuron):
    for make in (mlp, cnn):
        for options in ({"hidden": hidden}, {"neuron": neuron}):
            answers_or_explains(lambda make=make, options=options: make((1, 4, 4), 3, **options))
        answers_or_explains(lambda make=make: make(shape, 3))
        answers_or_explains(lambda make=make: make((1, 4, 4), classes))


@FAST
@given(name=st.sampled_from(["encoder", "body", "decoder", "eot", "votes", "fast", "max_memory"]), value=JUNK)
def test_networks(name, value):
    parts = {"encoder": Direct(2), "body": nn.Linear(3, 2), "decoder": None, name: value}
    answers_or_explains(lambda: SpikingNetwork(**parts))

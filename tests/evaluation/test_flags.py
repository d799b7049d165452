"""Each rule on its own: closed forms, thresholds, and comparisons that must be called invalid."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from spikingjelly.activation_based import neuron
from torch import nn

from art_snn import compare
from art_snn.coding import Latency
from art_snn.errors import GradientWarning
from art_snn.estimators import SNNClassifier
from art_snn.evaluation.flags import CHECKS, Check, Evidence, Flag, NotApplicableError, Plan, Reading, Trial
from art_snn.evaluation.flags.base import slack
from art_snn.evaluation.flags.climb import Path as Ascent
from art_snn.evaluation.flags.gradients import agreement, dead_share, front_end, swallowed
from art_snn.evaluation.flags.landscape import correlation, cross_entropy, margins, nes_gradient
from art_snn.evaluation.flags.watch import watched
from art_snn.networks import SpikingNetwork
from art_snn.testing.faults import Constant, Loud, UnprojectedStart

EPS = [0.1]
PAGE = Path(__file__).parents[2] / "docs" / "flags.md"


class CutGradient(nn.Module):
    """The same predictions, without a way back."""

    def __init__(self, inner, leak=0.0):
        super().__init__()
        self.inner = inner
        self.leak = leak

    def forward(self, x):
        return self.inner(x.detach()) + self.leak * x.flatten(1).sum(1, keepdim=True)


def plain(net, **options):
    options = {"clip_values": (0.0, 1.0), **options}
    return PyTorchClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, **options)


def raised(result, model):
    return {flag.id for flag in result.raised(model)}


def evidence(classifier, samples, **options):
    return Evidence(classifier, *samples, 0.1, 0, Plan(probes=40, samples=16, steps=5, queries=10, hops=0), **options)


def trial(name, knowledge, correct, eps=0.1, used=1.0, missed=None):
    return Trial(name, knowledge, eps, np.asarray(correct, dtype=bool), used, missed)


def given(classifier, samples, trials):
    return evidence(classifier, samples, trials=trials, clean=np.ones(100, dtype=bool))


def share(value, n=100):
    return np.arange(n) < round(value * n)


def test_registry_holds_every_flag_of_the_specification_and_the_documentation_a_section_for_each():
    assert list(CHECKS) == [f"E{i}" for i in range(1, 10)] + sorted(
        (f"W{i}" for i in range(1, 16)), key=list(CHECKS).index
    )
    assert len(CHECKS) == 24
    text = PAGE.read_text()
    for name, check in CHECKS.items():
        assert f"\n## {name}\n" in text
        assert check.rule
        assert check.advice


def test_stated_thresholds_are_those_of_the_checks():
    sections = dict(re.findall(r"\n## (\w+)\n(.*?)(?=\n## |\Z)", PAGE.read_text(), flags=re.DOTALL))
    stated = {
        "E1": "1 %",
        "E2": "1e-5",
        "E3": "1e-4",
        "E7": "99 %",
        "W4": "0.5 %",
        "W6": "2 %",
        "W7": "1e-4",
        "W9": "5 %",
    }
    held = {"E1": 0.01, "E2": 1e-5, "E3": 1e-4, "E7": 0.01, "W4": 0.005, "W6": 0.02, "W7": 1e-4, "W9": 0.05}
    for name, words in stated.items():
        assert f"**{words}**" in sections[name]
        assert CHECKS[name].threshold == held[name]


def test_a_check_that_cannot_run_has_not_passed(ann, samples):
    class Broken(Check):
        id, title, rule, advice = "E1", "t", "r", "a"

        def measure(self, evidence):
            raise RuntimeError("no\nidea")

    class Warning_(Broken):  # noqa: N801
        id = "W1"

    class Nothing(Broken):
        def measure(self, evidence):
            raise NotApplicableError("no spikes")

    facts = evidence(ann, samples)
    assert Broken().judge(facts).raised
    assert Broken().judge(facts).verdict == "not measured: no idea"
    assert not Warning_().judge(facts).raised
    assert Warning_().judge(facts).verdict.startswith("not measured")
    assert Nothing().judge(facts).verdict == "not applicable: no spikes"
    assert not Nothing().judge(facts).raised


def test_flag_keeps_everything_in_its_record():
    flag = Flag("E4", True, 1.5, 1.0, "text", "raised", "rule", 32, 7, {"used": {"pgd": 1.5}})
    assert Flag(**flag.record()) == flag
    assert (flag.page, flag.severity, flag.invalidates) == ("docs/flags.md#e4", "E", True)


def test_dead_share_counts_correct_samples_only():
    z, y = np.eye(3), np.array([0, 1, 0])
    grad = np.array([[0.0], [1.0], [0.0]])
    assert dead_share(grad, z, y) == 0.5
    assert dead_share(np.array([[np.nan], [1.0], [0.0]]), z, y) == 0.5
    assert dead_share(None, z, y) == 1.0


def test_swallowed_looks_at_unsaturated_pixels():
    x = np.array([[0.0, 0.5], [1.0, 0.5]])
    assert swallowed(np.array([[0.0, 1.0], [0.0, 0.0]]), x, (0.0, 1.0)) == 0.5
    binary = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert swallowed(np.array([[0.0, 1.0], [0.0, 0.0]]), binary, (0.0, 1.0)) == 0.5
    assert swallowed(None, x, None) == 1.0


def test_front_end_stops_at_the_first_weights():
    net = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(4, 2))
    x = torch.tensor([[[-1.0, 2.0], [3.0, -4.0]]])
    assert front_end(net, x).tolist() == [[0.0, 2.0, 3.0, 0.0]]
    assert front_end(nn.ReLU(), x) is None


def test_agreement_of_gradients():
    a = np.array([3.0, 4.0])
    assert agreement(a, -a) == (-1.0, 1.0)
    assert agreement(a, 2 * a) == (1.0, 2.0)
    assert agreement(0 * a, 0 * a) == (1.0, 1.0)
    assert agreement(a, 0 * a) == (0.0, 0.0)


def test_unfinished_ascent():
    rising = np.linspace(0, 1, 101)[:, None]
    flat = np.concatenate([rising[:50], np.full((51, 1), rising[49, 0])])
    done = Ascent(rising, np.array([False])).unfinished(10)
    np.testing.assert_allclose(done, [0.1])
    np.testing.assert_allclose(Ascent(flat, np.array([False])).unfinished(10), [0.0])


def test_nes_estimate_of_a_linear_margin_is_its_gradient(samples):
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    torch.manual_seed(0)
    net[1].reset_parameters()
    facts = evidence(plain(net), samples)
    x, y = facts.few
    grad, _ = facts.gradient(x[:1], y[:1], "margin")
    estimate = nes_gradient(facts, x[0], int(y[0]), 20_000)
    assert correlation(grad.ravel(), estimate.ravel()) > 0.9


def test_margins_and_cross_entropy_agree_with_torch():
    z = np.random.default_rng(0).normal(size=(5, 4))
    y = np.array([0, 1, 2, 3, 0])
    expected = nn.functional.cross_entropy(torch.tensor(z), torch.tensor(y), reduction="none")
    np.testing.assert_allclose(cross_entropy(z, y), expected, atol=1e-12)
    assert ((margins(z, y) > 0) == (z.argmax(1) != y)).all()


def test_slack_is_two_samples_where_few_are_evaluated():
    assert not slack(0.002, 100) < 0.02
    assert slack(0.002, 100_000) < 0.00201


@pytest.mark.parametrize(
    ("name", "loser", "weaker"),
    [("W1", "pgd", ("fgsm", "white-box")), ("W2", "pgd", ("square", "black-box")), ("W3", "pgd", ("noise", "none"))],
)
def test_order_of_attacks(ann, samples, name, loser, weaker):
    def flag(better):
        trials = [trial(loser, "white-box", share(0.3)), trial(*weaker, share(better))]
        return CHECKS[name].judge(given(ann, samples, trials))

    assert not flag(0.5).raised
    assert not flag(0.28).raised
    assert flag(0.27).raised
    assert flag(0.27).value == pytest.approx(0.03)


def test_order_is_judged_per_budget(ann, samples):
    trials = [
        trial("pgd", "white-box", share(0.1), eps=0.2), trial("square", "black-box", share(0.2), eps=0.2),
        trial("pgd", "white-box", share(0.5), eps=0.1), trial("square", "black-box", share(0.3), eps=0.1),
    ]  # fmt: skip
    flag = CHECKS["W2"].judge(given(ann, samples, trials))
    assert flag.raised
    assert flag.details["eps"] == 0.1
    assert flag.details["only_by_the_weaker"] == 20
    whole = CHECKS["W3"].judge(given(ann, samples, trials))  # no noise among the cells: the whole range is left
    assert whole.details["eps"] == 1.0
    assert not whole.raised


def test_budget_units(ann, samples):
    def flag(classifier, used):
        return CHECKS["E4"].judge(given(classifier, samples, [trial("pgd", "white-box", share(0.5), used=used)]))

    assert not flag(ann, 1.0).raised
    assert not flag(ann, 1.0 + 5e-6).raised
    assert flag(ann, 1.001).raised
    assert not flag(ann, 0.95).raised
    assert flag(ann, 0.5).raised
    assert flag(ann, float("inf")).raised
    assert "no clip values" in flag(plain(ann.model, clip_values=None), 1.0).text
    assert "not those of raw input" in flag(plain(ann.model, clip_values=(-1.0, 1.0)), 1.0).text
    assert "leave the clip values" in CHECKS["E4"].judge(given(ann, (2 * samples[0], samples[1]), [])).text


def test_unbounded_attack_must_break_everything(ann, samples):
    left = [trial("unbounded", "white-box", share(0.3), eps=1.0)]
    assert CHECKS["E5"].judge(given(ann, samples, left)).raised
    none = [trial("unbounded", "white-box", share(0.05), eps=1.0)]
    assert not CHECKS["E5"].judge(given(ann, samples, none)).raised


def test_rising_security_curve(ann, samples):
    def flag(first, second):
        trials = [trial("pgd", "white-box", share(first), eps=0.1), trial("pgd", "white-box", share(second), eps=0.2)]
        return CHECKS["E6"].judge(given(ann, samples, trials))

    assert not flag(0.5, 0.3).raised
    assert not flag(0.50, 0.54).raised  # 4 samples regained, none lost: p = 1/16
    assert flag(0.50, 0.55).raised  # 5 samples: p = 1/32
    assert flag(0.50, 0.55).value == pytest.approx(1 - 1 / 32)


def test_clean_sanity(ann, samples):
    good = evidence(ann, samples)
    assert not CHECKS["E8"].judge(good).raised
    assert CHECKS["E8"].judge(evidence(plain(Constant()), samples)).raised


def test_watch_sees_a_success_that_is_not_returned(ann, samples):
    x, y = samples[0][:4], samples[1][:4]
    with watched(ann.model, x, y, 0.3) as watch:
        ann.predict(x)
    wrong = ann.predict(x).argmax(1) != y
    np.testing.assert_array_equal(watch.broken, wrong)
    with watched(ann.model, x, (y + 1) % 10, 0.01) as watch:
        ann.predict(x)
    assert watch.broken.all()
    with watched(ann.model, x, (y + 1) % 10, 0.01) as watch:
        ann.predict(np.clip(x + 0.5, 0, 1))
    assert not watch.broken.any()


def test_silent_success_is_counted_for_an_attack_that_throws_it_away(ann, samples):
    from art_snn.attacks import SNNAutoPGD

    class Forgetful:
        def __init__(self, estimator):
            self.inner = SNNAutoPGD(estimator, eps=0.2, max_iter=5)

        def generate(self, x, y):
            self.inner.generate(x, y)
            return np.clip(x + np.float32(0.2), 0, 1)

    facts = Evidence(ann, *samples, 0.2, 0, Plan(probes=16, samples=16, steps=5, queries=5), {"mine": Forgetful})
    flag = CHECKS["W11"].judge(facts)
    assert flag.raised
    assert flag.details["missed"]["mine"] == flag.value > 0
    assert flag.details["missed"]["apgd-margin"] == 0


def test_attack_that_leaves_its_ball_is_named(ann, samples):
    facts = evidence(ann, samples, attacks={"mine": lambda clf: UnprojectedStart(clf, 0.1)})
    flag = CHECKS["E4"].judge(facts)
    assert flag.raised
    assert flag.value == pytest.approx(1.5, abs=1e-3)
    assert "mine used 1.5" in flag.text


def test_only_the_cross_entropy_is_dead_under_loud_logits(ann, samples):
    flag = CHECKS["E1"].judge(evidence(plain(Loud(ann.model)), samples))
    assert flag.raised
    assert flag.details["own"]["ce"] > 0.5
    assert flag.details["own"]["margin"] == 0.0
    assert "apgd-margin" in flag.text
    assert "apgd-margin" not in CHECKS["E1"].judge(evidence(plain(CutGradient(ann.model)), samples)).text


def test_surrogate_in_the_forward_pass_breaks_mode_parity(snn, samples):
    import copy

    leaky = copy.deepcopy(snn)
    before = leaky.model.run
    leaky.model.run = lambda x, policy=None: before(x, policy) + (1e-3 if policy is not None else 0.0)
    assert not CHECKS["E2"].judge(evidence(snn, samples)).raised
    flag = CHECKS["E2"].judge(evidence(leaky, samples))
    assert flag.raised
    assert "atan 10" in flag.details["changed"]


class Counter(nn.Module):
    """Adds what it was asked before."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.seen = inner, 0.0

    def forward(self, x):
        z = self.inner(x) + self.seen
        self.seen += float(x.mean()) * torch.arange(10.0)
        return z


class OfTheBatch(nn.Module):
    """Standardizes with the statistics of the batch it is in."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x - x.mean(0))


def test_state_hygiene(ann, samples):
    assert not CHECKS["E3"].judge(evidence(ann, samples)).raised
    flag = CHECKS["E3"].judge(evidence(plain(Counter(ann.model)), samples))
    assert flag.raised
    assert "twice" in flag.details["gaps"]
    batch = CHECKS["E3"].judge(evidence(plain(OfTheBatch(ann.model)), samples))
    assert batch.raised
    assert batch.details["gaps"]["twice"] == 0.0


def test_probabilities_and_ties(ann, samples):
    class Rounded(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return (self.inner(x) / 20).round()

    assert not CHECKS["W10"].judge(evidence(ann, samples)).raised
    assert CHECKS["W10"].judge(evidence(plain(nn.Sequential(ann.model, nn.Softmax(1))), samples)).raised
    assert CHECKS["W10"].judge(evidence(plain(Rounded(ann.model)), samples)).raised


def test_reading_without_verdict_is_held_against_the_threshold(ann, samples):
    check = CHECKS["W5"]
    facts = evidence(ann, samples)
    assert check._flag(facts, Reading(0.2, threshold=0.1)).raised
    assert not check._flag(facts, Reading(0.1, threshold=0.1)).raised


@pytest.mark.parametrize("model", ["ann", "snn", "poisson", "latency"])
def test_honest_models_raise_no_invalidating_flag(model, request, samples):
    x, y = (part[:20] for part in samples) if model == "poisson" else samples
    result = compare({"m": request.getfixturevalue(model)}, x, y, EPS, verbose=False)
    assert result.valid("m"), result.raised("m")
    assert [flag.id for flag in result.flags["m"]] == list(CHECKS)
    assert not any(flag.verdict.startswith("not measured") for flag in result.flags["m"])


def test_gradient_that_is_constant_in_the_logits_is_called_missing(ann, samples):
    result = compare({"cut": plain(CutGradient(ann.model, leak=1.0))}, *samples, EPS, verbose=False)
    assert {"E1", "E7"} <= raised(result, "cut")
    assert not result.valid("cut")
    row = result.table().rows[0]
    assert row[-2] == "invalid"
    assert "invalid (E1" in result.verdict()[0]


def test_masked_and_cut_encoders_are_named(latency, samples):
    for backward, expected in (("masked", {"E7"}), ("none", {"E1", "E7"})):
        net = SpikingNetwork(Latency(8, backward=backward), latency.model.body, latency.model.decoder)
        with pytest.warns(GradientWarning):
            classifier = SNNClassifier(net, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
        facts = evidence(classifier, samples)
        assert expected <= {name for name in ("E1", "E7") if CHECKS[name].judge(facts).raised}


class Broken:
    """An attack that cannot run."""

    def __init__(self, estimator):
        self.estimator = estimator

    def generate(self, x, y):
        raise ValueError("no way")


def test_what_did_not_run_is_no_yardstick_and_breaks_nothing(ann, samples):
    stands = Trial("square", "black-box", 0.1, share(0.1), error="no way")
    trials = [trial("pgd", "white-box", share(0.3)), stands]
    assert CHECKS["W2"].judge(given(ann, samples, trials)).verdict.startswith("not applicable")
    failed = Trial("pgd", "white-box", 0.1, share(0.9), error="no way")
    flag = CHECKS["W2"].judge(given(ann, samples, [failed, trial("square", "black-box", share(0.4))]))
    assert flag.raised
    assert "no way" in flag.text


def test_no_curve_without_an_attack_that_runs(ann, samples):
    class Cut(CutGradient):
        def forward(self, x):
            return self.inner(x.detach())

    facts = evidence(plain(Cut(ann.model)), samples)
    flag = CHECKS["E6"].judge(facts)
    assert flag.raised
    assert "no attack could run" in flag.verdict
    assert CHECKS["W4"].judge(facts).verdict.startswith("not measured: the attack could not run")


def test_an_attack_under_test_that_fails_is_reported(ann, samples):
    facts = evidence(ann, samples, attacks={"mine": Broken})
    assert [t.error for t in facts.tested()] == ["no way"]
    assert not CHECKS["E4"].judge(facts).raised


def test_numpy_preprocessing_falls_back_on_arts_attacks(ann, samples):
    from art.defences.preprocessor import SpatialSmoothing

    smoothing = SpatialSmoothing(window_size=3, channels_first=True)
    facts = evidence(plain(ann.model, preprocessing_defences=[smoothing]), samples)
    flag = CHECKS["E6"].judge(facts)
    assert not flag.raised
    assert flag.samples == 16
    assert CHECKS["W5"].judge(facts).verdict.startswith("not measured")


def test_a_body_that_is_stepped_shows_its_whole_train_to_e7():
    body = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), neuron.LIFNode(), nn.Linear(12, 10))
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    net = SpikingNetwork(Latency(T=6), body)
    assert torch.equal(front_end(net, x), net.encode(x).flatten(2))

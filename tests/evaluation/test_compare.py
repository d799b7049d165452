"""The comparison as a whole: worst case, resumption, determinism, bad input."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from art_snn import Comparison, compare
from art_snn.evaluation.protocol import check_budgets

EPS = [0.05, 0.15]
ATTACKS = ["noise", "fgsm", "pgd", "square"]


def timeless(folder):
    """Records without what a clock measured."""
    text = (folder / "results.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in text]


@pytest.fixture(scope="module")
def finished(snn, ann, samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    models = {"ann": ann, "snn": snn}
    return compare(models, *samples, EPS, attacks=ATTACKS, out=folder, verbose=False), folder


def test_worst_case_is_the_intersection_over_attacks_and_smaller_budgets(finished):
    result, _ = finished
    for model in result.models:
        for eps in EPS:
            expected = result.clean[model].copy()
            for attack in ATTACKS:
                for smaller in (e for e in EPS if e <= eps):
                    expected &= result.outcomes[model, attack, smaller]
            [other] = set(result.models) - {model}
            for smaller in (e for e in EPS if e <= eps):
                expected &= result.transfer[other, model, smaller]
            np.testing.assert_array_equal(result.worst_case(model, eps), expected)
        assert (result.worst_case(model, EPS[1]) <= result.worst_case(model, EPS[0])).all()
        assert result.accuracy(model, None, EPS[1]).value <= result.accuracy(model, "pgd", EPS[1]).value


def test_a_success_at_a_smaller_budget_counts_at_a_larger_one():
    right, wrong = np.array([True]), np.array([False])
    outcomes = {("m", "a", 0.1): wrong, ("m", "a", 0.2): right}
    result = Comparison(["m"], ["a"], [0.1, 0.2], {"m": right}, outcomes, {"m": []})
    assert not result.worst_case("m", 0.2).any()
    assert result.accuracy("m", "a", 0.2).value == 1.0
    assert result.accuracy("m", None, 0.2).value == 0.0


def test_records_hold_outcomes_cost_seed_and_versions(finished):
    result, folder = finished
    records = timeless(folder)
    run = records[0]
    assert run["kind"] == "run"
    assert {"art-snn", "torch", "adversarial-robustness-toolbox", "numpy", "python"} <= set(run["versions"])
    attacks = [r for r in records if r["kind"] == "attack"]
    assert len(attacks) == 2 * (len(ATTACKS) * len(EPS) + 1)
    for record in attacks:
        assert len(record["correct"]) == 40
        assert record["accuracy"]["value"] == np.mean(record["correct"])
        assert {"seed", "forwards", "backwards", "parameters", "budget_used"} <= set(record)
    pgd = next(r for r in attacks if r["attack"] == "pgd" and r["eps"] == 0.15)
    assert pgd["backwards"] == 20 * 40
    assert all(r["budget_used"] <= r["eps"] + 1e-6 for r in attacks)
    assert result.cost("snn")["backwards"] >= 2 * 20 * 40


def test_same_seed_same_numbers_and_another_seed_other_noise(finished, ann, snn, samples, tmp_path):
    again = compare({"ann": ann, "snn": snn}, *samples, EPS, attacks=ATTACKS, out=tmp_path, verbose=False)
    assert timeless(tmp_path) == timeless(finished[1])
    assert str(again.table()) == str(finished[0].table())
    other = compare({"snn": snn}, *samples, EPS, attacks=["noise"], seed=1, verbose=False)
    noise, another = (next(r for r in one.records if r["kind"] == "attack") for one in (finished[0], other))
    assert noise["key"] != another["key"]


@pytest.mark.parametrize("kept", [0, 1, 5, 12])
def test_a_run_cut_short_goes_on_and_ends_alike(finished, ann, snn, samples, tmp_path, kept):
    lines = (finished[1] / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join(lines[:kept]) + lines[kept][: len(lines[kept]) // 2])
    compare({"ann": ann, "snn": snn}, *samples, EPS, attacks=ATTACKS, out=tmp_path, verbose=False)
    assert timeless(tmp_path) == timeless(finished[1])


def test_finished_cells_are_not_computed_again(finished, ann, snn, samples, monkeypatch):
    from art_snn.evaluation.attacks import Attack

    def never(*args):
        raise AssertionError("a finished cell was computed again")

    monkeypatch.setattr(Attack, "generate", never)
    result = compare({"ann": ann, "snn": snn}, *samples, EPS, attacks=ATTACKS, out=finished[1], verbose=False)
    assert str(result.table()) == str(finished[0].table())


def test_changed_weights_are_another_model(finished, snn, samples):
    import copy

    changed = copy.deepcopy(snn)
    changed.model.body[1].weight.data[0, 0] += 1e-3
    result = compare({"snn": changed}, *samples, EPS, attacks=["noise"], verbose=False)
    known = {record["key"] for record in finished[0].records}
    assert not {r["key"] for r in result.records if r["kind"] in ("clean", "attack", "flags")} & known


def test_stochastic_network_repeats_under_its_seed(poisson, samples):
    runs = [compare({"p": poisson}, *samples, [0.1], attacks=["noise", "fgsm"], verbose=False) for _ in range(2)]
    np.testing.assert_array_equal(runs[0].outcomes["p", "fgsm", 0.1], runs[1].outcomes["p", "fgsm", 0.1])
    poisson.model.reseed(0)


def test_an_attack_that_leaves_its_ball_is_judged_inside_and_flagged(snn, samples, monkeypatch):
    from art_snn.evaluation.attacks import SignNoise

    monkeypatch.setattr(SignNoise, "generate", lambda self, x, y=None: 1.0 - x)
    result = compare({"snn": snn}, *samples, [0.1], attacks=["noise", "pgd"], verbose=False)
    x, y = samples
    inside = np.clip(1.0 - x, x - np.float32(0.1), x + np.float32(0.1))
    np.testing.assert_array_equal(result.outcomes["snn", "noise", 0.1], snn.predict(inside).argmax(1) == y)
    assert (snn.predict(1.0 - x).argmax(1) == y).mean() < result.accuracy("snn", "noise", 0.1).value
    assert "E4" in {flag.id for flag in result.raised("snn")}
    assert not result.valid("snn")


def test_an_attack_that_returns_nan_is_flagged(snn, samples, monkeypatch):
    from art_snn.evaluation.attacks import SignNoise

    monkeypatch.setattr(SignNoise, "generate", lambda self, x, y=None: np.full_like(x, np.nan))
    result = compare({"snn": snn}, *samples, [0.1], attacks=["noise", "pgd"], verbose=False)
    assert "E4" in {flag.id for flag in result.raised("snn")}


def test_one_hot_labels_and_single_budget(snn, samples):
    x, y = samples
    rows = np.eye(10)[y]
    one = compare({"snn": snn}, x, rows, 0.1, attacks=["fgsm"], verbose=False)
    two = compare({"snn": snn}, x, y, [0.1, 0.1], attacks=["fgsm"], verbose=False)
    np.testing.assert_array_equal(one.worst_case("snn", 0.1), two.worst_case("snn", 0.1))


@pytest.mark.parametrize("eps", [-0.1, [0.1, -1e-9], [], float("nan"), [float("inf")]])
def test_bad_budgets(eps):
    with pytest.raises(ValueError, match="finite budgets >= 0"):
        check_budgets(eps)


def bad_inputs(x, y):
    nan = x.copy()
    nan[3] = np.nan
    return {
        "NaN or inf in 1 of": (nan, y),
        r"got an array of shape \(40, 3, 8, 8\)": (np.repeat(x, 3, axis=1), y),
        "channels come first": (np.transpose(x, (0, 2, 3, 1)), y),
        "empty batch": (x[:0], y[:0]),
        "clip_values": (x * 255, y),
        r"whole labels in 0\.\.9": (x, y + 1),
        "indices or": (x, y[:-1]),
    }


@pytest.mark.parametrize("message", list(bad_inputs(np.zeros((40, 1, 8, 8)), np.zeros(40))))
def test_bad_samples_and_labels_are_named(message, snn, samples):
    with pytest.raises(ValueError, match=message):
        compare({"snn": snn}, *bad_inputs(*samples)[message], [0.1], verbose=False)


def test_bad_models_are_named(samples):
    with pytest.raises(ValueError, match="no models"):
        compare({}, *samples, [0.1])
    with pytest.raises(TypeError, match="wrap the network in SNNClassifier"):
        compare({"m": nn.Linear(1, 1)}, *samples, [0.1])


def test_unknown_budget_asked_of_a_result(finished):
    with pytest.raises(KeyError, match=r"got eps=0\.3"):
        finished[0].accuracy("snn", None, 0.3)


def test_transfer_is_the_other_models_examples(finished, ann, snn, samples):
    from art_snn.evaluation.attacks import attack_named
    from art_snn.evaluation.cells import Measurement, Subject
    from art_snn.evaluation.store import ResultStore

    result, folder = finished
    x, y = samples
    cells = Measurement(x, y, ResultStore(folder), 0, ("pgd",))
    x_adv = cells.adversarial(Subject("ann", ann), attack_named("pgd"), 0.15)
    assert x_adv.shape == x.shape
    np.testing.assert_array_equal(result.transfer["ann", "snn", 0.15], snn.predict(x_adv).argmax(1) == y)
    np.testing.assert_array_equal(result.outcomes["ann", "pgd", 0.15], ann.predict(x_adv).argmax(1) == y)
    assert set(result.transfer) == {(a, b, e) for a, b in (("ann", "snn"), ("snn", "ann")) for e in EPS}


def test_lost_examples_are_made_again(finished, ann, snn, samples, tmp_path):
    import shutil

    copy = shutil.copytree(finished[1], tmp_path / "copy")
    shutil.rmtree(copy / "examples")
    lines = (copy / "results.jsonl").read_text().splitlines(keepends=True)
    (copy / "results.jsonl").write_text("".join(line for line in lines if '"kind": "transfer"' not in line))
    again = compare({"ann": ann, "snn": snn}, *samples, EPS, attacks=ATTACKS, out=copy, verbose=False)
    for cell, rows in finished[0].transfer.items():
        np.testing.assert_array_equal(again.transfer[cell], rows)


def test_work_is_counted_clean_and_under_attack(finished):
    done = {(r["model"], r["attack"]): r for r in finished[0].records if r["kind"] == "work"}
    assert set(done) == {(model, attack) for model in ("ann", "snn") for attack in (None, "pgd")}
    assert done["ann", None]["acs"] == done["ann", None]["updates"] == 0
    assert done["snn", None]["acs"] > 0
    assert done["snn", None]["macs"] > 3 * done["ann", "pgd"]["macs"] / 2
    assert done["snn", None]["energy"]["45nm-fp32"]["plain"]["compute"] > 0
    [clean, attacked] = [r for r in finished[0].records if r["kind"] == "time"]
    assert clean["accuracy"][-1] == finished[0].accuracy("snn").value
    assert attacked["accuracy"][-1] == finished[0].accuracy("snn", "pgd", 0.15).value
    assert sum(clean["decided"]) == len(finished[0].clean["snn"])


def test_a_list_is_several_networks_of_one_model(snn, ann, samples):
    import copy

    other = copy.deepcopy(ann)
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    models = {"ann": [ann, other], "snn": [snn, snn]}
    result = compare(models, *samples, [0.1], attacks=["noise", "fgsm"], verbose=False)
    assert result.clean["ann"].shape == (2, len(samples[0]))
    assert result.networks("ann") == 2
    np.testing.assert_array_equal(result.outcomes["ann", "fgsm", 0.1][1], compare(
        {"ann": other}, *samples, [0.1], attacks=["fgsm"], verbose=False).outcomes["ann", "fgsm", 0.1])  # fmt: skip
    assert "over seeds" in result.table().header
    assert result.tests()[0].difference.seeds == 2
    with pytest.raises(ValueError, match="the same number"):
        compare({"ann": [ann, other], "snn": snn}, *samples, [0.1], verbose=False)


def test_matched_accuracy_is_over_samples_that_all_classify_right(finished):
    result, _ = finished
    shared = result.clean["ann"] & result.clean["snn"]
    for model in result.models:
        assert result.conditional(model, 0.05).value == result.worst_case(model, 0.05)[shared].mean()

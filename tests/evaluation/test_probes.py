"""Beside the worst case: what further steps, surrogates and black boxes would have done; drawn, and said in tables."""

import numpy as np
import pytest

from art_snn import Comparison
from art_snn.evaluation.cells import Measurement, Subject
from art_snn.evaluation.probe_tables import (
    area_differences,
    certificate_table,
    convergence_table,
    gap_table,
    gradient_table,
    surrogate_table,
)
from art_snn.evaluation.probes import probe
from art_snn.evaluation.store import ResultStore
from art_snn.evaluation.summaries import summary_records


@pytest.fixture(scope="module")
def measured(ann, snn, samples):
    result = Comparison(["ann", "snn"], [], [0.1], {}, {}, {"ann": [], "snn": []})
    for name, classifier in (("ann", ann), ("snn", snn)):
        cells = Measurement(samples[0], samples[1], ResultStore(None), 0)
        result.records += probe(cells, Subject(name, classifier), 0.1)
        right = classifier.predict(samples[0]).argmax(1) == samples[1]
        result.clean[name] = right
    return result


def of(result, kind, model):
    [found] = [r for r in result.records if r["kind"] == kind and r["model"] == model]
    return found


def test_accuracy_falls_over_steps_and_restarts(measured):
    for model in measured.models:
        record = of(measured, "convergence", model)
        left = [*record["accuracy"], *record["restarts"][1:]]
        assert left == sorted(left, reverse=True)
        assert record["accuracy"][0] == pytest.approx(measured.clean[model][: record["samples"]].mean())
        assert record["accuracy"][-1] == record["restarts"][0]
        assert len(record["steps"]) == len(record["accuracy"])


def test_all_surrogates_together_leave_no_more_than_any(measured):
    record = of(measured, "surrogates", "snn")
    assert {"own", "atan 2", "bptr", "assg 0.45"} <= set(record["accuracy"])
    assert record["ensemble"] <= min(record["accuracy"].values())
    assert set(of(measured, "surrogates", "ann")["accuracy"]) == {"own"}


def test_norms_are_those_of_the_gradient(measured, ann, samples):
    record = of(measured, "gradients", "ann")
    assert len(record["norms"]) == record["samples"]
    assert record["median_norm"] == np.median(record["norms"])
    assert record["zero"] == 0
    cosines = of(measured, "gradients", "snn")["cosines"]
    assert all(cosines[name][name] == pytest.approx(1.0) for name in cosines)


def test_tables_and_figures_show_the_records(measured):
    assert [row[0] for row in convergence_table(measured).rows] == ["ann", "snn"]
    assert [row[0] for row in surrogate_table(measured).rows] == ["snn"]
    assert gradient_table(measured).rows[0][-1] == "-"
    assert certificate_table(measured).rows == []
    curve = measured.plot(kind="convergence").get_lines()[0]
    assert curve.get_ydata()[0] == 100 * of(measured, "convergence", "ann")["accuracy"][0]
    for kind in ("surrogates", "gradient_norms", "cosines"):
        assert measured.plot(kind=kind).has_data()


def test_certificates_are_drawn_and_listed():
    share = {"successes": 3, "samples": 4, "value": 0.75, "low": 0.3, "high": 0.95}
    record = {
        "key": "c", "kind": "certificate", "model": "m", "eps": 0.1, "samples": 4, "draws": 1000, "unit": "L2 radius",
        "radii": [0.0, 0.5], "accuracy": [share, {**share, "value": 0.5}], "abstained": {**share, "value": 0.25},
    }  # fmt: skip
    result = Comparison(["m"], [], [0.1], {"m": np.ones(4, dtype=bool)}, {}, {"m": []}, [record])
    assert certificate_table(result).rows == [["m", "L2 radius", "0: 75.0, 0.5: 50.0", "25.0", "4", "1000"]]
    assert result.plot(kind="certificates").get_xlabel() == "L2 radius"


def test_what_only_black_boxes_break_is_counted():
    right = np.ones(4, dtype=bool)
    white, black = np.array([0, 1, 1, 1], dtype=bool), np.array([1, 0, 0, 1], dtype=bool)
    under = {("m", "pgd", 0.1): white, ("m", "square", 0.1): black, ("m", "noise", 0.1): right}
    result = Comparison(["m"], ["noise", "pgd", "square"], [0.1], {"m": right}, under, {"m": []})
    assert result.gap("m", 0.1) == {"white": 0.75, "black": 0.5, "only_black": 0.5}
    result.transfer["other", "m", 0.1] = np.array([1, 1, 1, 0], dtype=bool)
    assert result.gap("m", 0.1) == {"white": 0.75, "black": 0.25, "only_black": 0.75}
    result.attacks = ["noise", "square"]
    assert result.gap("m", 0.1) is None


def test_areas_of_an_invalid_model_are_not_printed():
    rng = np.random.default_rng(0)
    clean = {m: np.ones(50, dtype=bool) for m in "ab"}
    under = {(m, "pgd", 0.1): rng.random(50) < share for m, share in (("a", 0.9), ("b", 0.2))}
    result = Comparison(["a", "b"], ["pgd"], [0.1], clean, under, {"a": [], "b": []})
    result.records = summary_records(result)
    [row] = area_differences(result).rows
    assert row[0] == "a - b"
    assert row[-1] == "shown"
    assert gap_table(result).rows == []

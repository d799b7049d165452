"""Addresses: the same thing has the same one, another thing another, and shared work is one cell."""

import copy

import pytest

from art_snn.evaluation.sweep import plan as planning
from art_snn.evaluation.sweep.config import parse
from art_snn.evaluation.sweep.devices import gpu_of
from art_snn.evaluation.sweep.plan import STAGES, plan_sweep
from art_snn.evaluation.sweep.progress import Expectation

BASE = {
    "seeds": [0, 1],
    "samples": 20,
    "models": [{"model": "ann"}, {"model": "snn"}, {"model": "converted"}],
    "threats": [{"eps": [0.1], "attacks": ["fgsm", "square"]}],
}


def cells(data="0", device="cpu", **changes):
    return plan_sweep(parse({**copy.deepcopy(BASE), **changes}), {"digits": data}, device).cells


def kinds(found):
    return {(c.kind, c.model, c.seed, c.attack, c.eps) for c in found}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"data": "1"}, set()),
        ({"device": "cuda"}, set()),
        ({"threads": 2}, set()),
        ({"training": {"epochs": 3}}, set()),
        ({"samples": 21}, {"train", "convert"}),
        ({"seed": 1}, {"train", "convert"}),
        ({"threats": [{"eps": [0.2], "attacks": ["fgsm", "square"]}]}, {"train", "convert", "clean", "unbounded"}),
        ({"threats": [{"norm": "2", "eps": [0.1], "attacks": ["fgsm", "square"]}]},
         {"train", "convert", "clean", "unbounded"}),
        ({"threats": [{"eps": [0.1], "attacks": ["fgsm"]}]},
         {"train", "convert", "clean", "unbounded", "attack", "transfer", "examine"}),
    ],
)  # fmt: skip
def test_what_decides_a_result_decides_its_address(changes, kept):
    before, after = cells(), cells(**changes)
    assert {before[address].kind for address in before.keys() & after.keys()} == kept


def test_versions_decide_too(monkeypatch):
    before = cells()
    monkeypatch.setattr(planning, "__version__", "9")
    assert not before.keys() & cells().keys()


def test_a_larger_sweep_finds_all_cells_of_a_smaller_one_again():
    more = cells(seeds=[2, 1, 0], models=[{"model": "qnn"}, *BASE["models"]])
    assert cells().keys() < more.keys()


def test_order_and_titles_do_not_matter():
    assert cells().keys() == cells(name="other", models=BASE["models"][::-1], seeds=[1, 0]).keys()


def test_threat_models_share_training_and_clean_cells():
    threats = [*BASE["threats"], {"norm": "2", "eps": [0.5], "attacks": ["fgsm"]}]
    found = cells(threats=threats).values()
    assert sum(cell.kind == "train" for cell in found) == 6  # ann, snn, and the qnn that is converted; two seeds
    assert sum(cell.kind == "clean" for cell in found) == 6
    assert sum(cell.kind == "flags" for cell in found) == 12


def test_cells_need_only_what_is_planned_in_earlier_stages():
    found = cells()
    for cell in found.values():
        assert all(STAGES[found[need].kind] < cell.stage for need in cell.needs)
    assert [cell.stage for cell in found.values()] == sorted(cell.stage for cell in found.values())


def test_no_gradient_attack_no_transfer():
    found = cells(threats=[{"eps": [0.1], "attacks": ["square"]}]).values()
    assert "transfer" not in {cell.kind for cell in found}


@pytest.mark.parametrize("count", [0, 1, 2, 4])
def test_workers_take_turns_on_gpus(count):
    used = [gpu_of(f"LokyProcess-{number}", count) for number in range(1, 9)]
    assert set(used) == set(range(max(count, 1)))
    assert 0 <= gpu_of("tcp://10.0.0.1:4000", count) < max(count, 1)


def test_time_left_is_not_guessed():
    train, flags = (next(c for c in cells().values() if c.kind == kind) for kind in ("train", "flags"))
    expected = Expectation()
    assert expected.remaining([train, flags], 1) == "time left unknown"
    expected.learn(train, 10.0)
    assert expected.remaining([train] * 3, 2) == "about 15 s left"
    assert expected.remaining([train, flags], 1) == "at least 10 s left (not measured yet: flags)"
    expected.learn(flags, 100.0)
    assert expected.remaining([train, flags], 2) == "about 2 min left"
    assert expected.remaining([], 1) == "done"

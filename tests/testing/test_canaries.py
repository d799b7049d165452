"""Every planted fault is caught by a flag that is named for it; no honest model is called invalid."""

import pytest

from art_snn.testing import CANARIES
from art_snn.testing.canaries import EPS

QUICK = ("c1", "c2", "c5", "c6", "c9", "c10", "c11", "c14", "c16", "ann")
LIMIT = 90.0


def check(name):
    canary = CANARIES[name]
    report = canary.diagnose()
    assert canary.caught(report), (canary.fault, [flag.id for flag in report.raised])
    assert report.valid == canary.honest or not any(flag.startswith("E") for flag in canary.flags)
    assert report.about["seconds"] < LIMIT
    return report


def test_suite_is_complete():
    assert [name for name in CANARIES if name.startswith("c") and name[1:].isdigit()] == [f"c{i}" for i in range(1, 17)]
    assert sum(canary.honest for canary in CANARIES.values()) >= 6


@pytest.mark.parametrize("name", QUICK)
def test_quick_canaries(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CANARIES if name not in QUICK])
def test_other_canaries(name):
    check(name)


def test_margin_attack_recovers_where_the_cross_entropy_is_dead():
    canary = CANARIES["c9"]
    loud, honest = (CANARIES[name].diagnose().about["accuracy"] for name in ("c9", "ann"))
    assert canary.flags == ("E1",)
    assert loud["pgd"] > honest["pgd"] + 0.3
    assert abs(loud["apgd-margin"] - honest["apgd-margin"]) < 0.07


@pytest.mark.slow
def test_masking_is_worth_something():
    """The masked code looks more robust than the same network with its default backward pass."""
    masked = CANARIES["c13"].diagnose().about["accuracy"]["apgd-margin"]
    assert masked - CANARIES["snn-latency"].diagnose().about["accuracy"]["apgd-margin"] > 0
    assert EPS == 0.1

"""The page lists every contract, in the words of the checks; errors can be read, sent and caught."""

import pickle
from pathlib import Path

import pytest

from art_snn.testing import ConformanceError
from art_snn.testing.conformance import KINDS, Contracts

PAGE = (Path(__file__).parents[3] / "docs" / "conformance.md").read_text()


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.kind)
def test_the_page_lists_every_contract(kind):
    for contract in kind.listed.values():
        assert f"| {contract.name} | {contract.promise} | {contract.fix} |" in PAGE
    section = PAGE.split(f" {kind.kind}\n")[1].split("\n## ")[0]
    assert section.count("\n| ") == len(kind.listed) + 1


def test_an_exception_breaks_the_contract_and_the_others_still_run():
    kind = Contracts("thing")

    @kind.contract("first", "a number", "count")
    def _first(case):
        raise KeyError(case)

    @kind.contract("second", "a name", "baptize it")
    def _second(case):
        return "nothing"

    @kind.contract("third", "silence", "hush")
    def _third(case):
        return None

    with pytest.raises(ConformanceError) as raised:
        kind.check("x", "Thing")
    error = pickle.loads(pickle.dumps(raised.value))  # noqa: S301
    assert isinstance(error, AssertionError)
    assert list(error.broken) == ["first", "second"]
    assert "KeyError: 'x'" in error.broken["first"]
    assert str(error).splitlines()[2] == "- second: got nothing; expected a name. Fix: baptize it."
    assert kind.check("x", "Thing", unless=("first", "second")) == ("third",)

"""What a test of ART is excused for: single statements, by name, and the rest of it has to pass."""

import ast

import art_excused
import pytest
from art_excused import EXCUSED, Excuse, canonical, cut, cut_copy, excuse_for, load
from art_table import EXPECTED

SOURCE = """class TestA:
    def test_one(self):
        value = compute()  # keeps
        assert value == pytest.approx(
            0.32,  # of the reference network
            abs=0.1,
        )
        for one in value:
            assert one > 0

def test_two():
    assert value == pytest.approx(0.32, abs=0.1)
"""
NUMBER = "assert value == pytest.approx(0.32, abs=0.1)"
ONE = Excuse("a/test_a.py::TestA::test_one", ("snn",), "number", "why", (NUMBER,))


def test_a_statement_is_known_whatever_its_layout():
    assert canonical('  assert  a ==  ["x",\n   1]   # why') == "assert a == ['x', 1]"
    assert canonical("with  pytest.raises(E):") == "with pytest.raises(E):"


def test_only_the_named_statement_is_cut_and_only_in_its_function():
    text = cut(SOURCE, [NUMBER], "test_one")
    assert text.count("pass") == 1
    assert text.count("0.32") == 1
    assert "assert one > 0" in text
    assert len(text.splitlines()) == len(SOURCE.splitlines())
    assert cut(SOURCE, [NUMBER]).count("0.32") == 0
    ast.parse(text)


@pytest.mark.parametrize("function", ["test_two", None])
def test_a_statement_that_art_has_no_more_is_an_error(function):
    with pytest.raises(ValueError, match="not in ART's tests any more: assert one > 1"):
        cut(SOURCE, ["assert one > 1"], function)
    with pytest.raises(ValueError, match="any more"):
        cut(SOURCE, ["assert one > 0"], "test_two")


def test_the_copy_lacks_the_numbers_and_the_original_keeps_them(tmp_path):
    (tmp_path / "tests" / "a").mkdir(parents=True)
    original = tmp_path / "tests" / "a" / "test_a.py"
    original.write_text(SOURCE)
    helped = Excuse("a/test_b.py::test_b", ("snn",), "number", "why", ("assert one > 0",), where="a/test_a.py")
    again = Excuse("a/test_a.py::TestA::test_one[x]", ("snn",), "number", "why", (NUMBER,))
    for _ in range(2):
        cut_copy(tmp_path / "tests", tmp_path / "rest" / "tests", [ONE, again, helped])
    text = (tmp_path / "rest" / "tests" / "a" / "test_a.py").read_text()
    assert text.count("pass") == 2
    assert original.read_text() == SOURCE


def test_an_excuse_holds_for_one_test_one_column_and_one_statement():
    name = "tests/a/test_a.py::TestA::test_one"
    assert excuse_for(name, "snn", NUMBER.replace("(", "( "), [ONE]) is ONE
    assert excuse_for(f"{name}[x]", "snn", NUMBER, [ONE]) is ONE
    assert excuse_for(name, "canary", NUMBER, [ONE]) is None
    assert excuse_for(name, "snn", "value = compute()", [ONE]) is None
    assert excuse_for(f"{name}_more", "snn", NUMBER, [ONE]) is None
    narrow = Excuse(f"{ONE.test}[x]", ("snn",), "number", "why", (NUMBER,))
    assert excuse_for(f"{name}[y]", "snn", NUMBER, [narrow]) is None


def test_the_file_of_excuses_is_in_order():
    assert len({(one.test, one.columns) for one in EXCUSED}) == len(EXCUSED)
    for one in EXCUSED:
        assert one.file in EXPECTED
        assert set(one.columns) <= {"canary", "snn"}
        assert one.why[0].islower()
        assert not one.why.endswith(".")
        assert one.kind == "property" or one.columns == ("snn",), "the canary has ART's numbers"


@pytest.mark.parametrize(
    ("field", "value"), [("kind", '"weak"'), ("asserts", "[]"), ("columns", "[]")], ids=lambda value: str(value)
)
def test_an_entry_without_what_it_excuses_is_refused(tmp_path, field, value):
    fields = {"test": '"a::b"', "columns": '["snn"]', "kind": '"number"', "why": '"w"', "asserts": '["assert a"]'}
    path = tmp_path / "excused.toml"
    path.write_text("[[test]]\n" + "\n".join(f"{k} = {v}" for k, v in {**fields, field: value}.items()))
    with pytest.raises(ValueError, match=r"a::b: an entry needs"):
        load(path)
    path.write_text("[[test]]\n" + "\n".join(f"{k} = {v}" for k, v in fields.items()))
    assert art_excused.load(path)[0].asserts == ("assert a",)

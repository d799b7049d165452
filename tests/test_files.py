"""Names that stay in their folder, and JSON from anywhere."""

import json

import pytest

from art_snn.evaluation.store import ResultStore
from art_snn.files import inside, plain_name, read_json


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "a\0b"])
def test_paths_out_of_a_folder_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="a file inside"):
        inside(tmp_path / "run", name)


def test_a_link_out_of_a_folder_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "examples").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="a file inside"):
        inside(tmp_path / "run", "examples/secret")


def test_paths_inside_a_folder_are_joined(tmp_path):
    assert inside(tmp_path, "a/../b") == tmp_path / "a" / ".." / "b"
    assert plain_name("b c") == "b c"


DEEP = "[" * 200_000 + "]" * 200_000


@pytest.mark.parametrize("text", [DEEP, "{", "9" * 5000, ""])
def test_json_is_read_or_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 - of json itself, or of ours
        read_json(text)


def test_a_line_that_nests_too_deeply_is_set_aside(tmp_path):
    good = json.dumps({"key": "a", "kind": "clean"})
    (tmp_path / "results.jsonl").write_text(f"{good}\n{DEEP}\n{'9' * 5000}\n")
    assert list(ResultStore(tmp_path).records) == ["a"]
    assert (tmp_path / "results.jsonl").read_text() == good + "\n"

"""No loader of the package unpickles what a stranger wrote."""

import ast
from pathlib import Path

import pytest

import art_snn

ROOT = Path(art_snn.__file__).parent
OWN = {"testing/conformance/estimators.py", "testing/conformance/encoders.py", "testing/conformance/decoders.py"}
"""They pickle a thing and read it back on the next line."""


def calls(source):
    """Dotted name and keywords of each call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def unsafe(name, words):
    if name in ("eval", "exec", "pickle.load", "pickle.loads", "marshal.loads", "yaml.load", "os.system"):
        return True
    if name.endswith("torch.load"):
        return words.get("weights_only") != "True"
    if name in ("np.load", "numpy.load"):
        return words.get("allow_pickle", "False") != "False"
    return words.get("shell", "False") != "False"


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)", "torch.load(path, weights_only=False)", "eval(text)", "pickle.loads(data)",
        "np.load(path, allow_pickle=True)", "subprocess.run(command, shell=True)",
    ],
)  # fmt: skip
def test_the_reader_of_the_source_sees_it(line):
    assert [unsafe(*call) for call in calls(line)] == [True]


def test_nothing_of_the_kind_is_called():
    files = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.rglob("*.py")}
    assert len(files) > 250
    found = {
        f"{name}: {call[0]}"
        for name, text in files.items()
        for call in calls(text)
        if unsafe(*call) and name not in OWN
    }
    assert found == set()
    assert any("torch.load" in text for text in files.values())

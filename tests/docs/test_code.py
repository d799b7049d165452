"""The code of the pages runs, from top to bottom: Python is executed, commands are parsed.

A page may hold Python that a reader does not see, ``<!-- python ... -->``, run in its place among the others. After
``<!-- python, after quickstart.md ... -->`` the names of that page are there as well.
"""

import os
import re
import shlex
import sys
import types
from importlib.util import find_spec
from pathlib import Path

import click
import numpy as np
import pytest

from art_snn import SNNClassifier
from art_snn.cli import main
from art_snn.data import DATASETS
from art_snn.evaluation import ATTACKS
from art_snn.evaluation.kinds import MODELS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
    if path.relative_to(ROOT).parts[1:2] not in (("generated",), ("_build",))
}
UNSEEN = r"^<!-- python(?:, after (?P<after>\S+))?\n(?P<unseen>.*?)^-->"
BLOCK = re.compile(UNSEEN + r"|^```python\n(?P<seen>.*?)^```", flags=re.M | re.S)
ELSEWHERE = {"README.md": "test_readme.py"}
"""Pages whose code another test runs, with claims about what it gives."""
SLOW = {"docs/defenses.md", "docs/attacks/snn_autoattack.md", "docs/doctor.md", "docs/harness.md"}
"""Pages whose code takes longer than a few seconds: it trains on adversarial images, climbs the
whole ladder of SNNAutoAttack, or runs every flag."""
PAGES = [page for page, text in TEXTS.items() if "```python" in text and page not in ELSEWHERE]
PROGRAM = "(?:python|art-snn|make)"
SHELL = rf"^```console\n(.*?)^```|^ {{4}}((?:[A-Z_]+=\S+ )?{PROGRAM} [^\n]+)$|`({PROGRAM} [\w.-][^`\n]*)`"
COMMANDS = sorted({
    (page, command.strip())
    for page, text in TEXTS.items()
    for found in re.findall(SHELL, text, flags=re.M | re.S)
    for line in "".join(found).replace("\\\n", " ").splitlines()
    for command in line.partition(" #")[0].split("&&")
})  # fmt: skip


def weights(names):
    """Weights of the classifiers among some names."""
    found = {name: value.model.state_dict() for name, value in names.items() if isinstance(value, SNNClassifier)}
    return {f"{name}.{key}": w.numpy().copy() for name, state in found.items() for key, w in state.items()}


class Library:
    """Runs pages, each once; what a page began with must come out of it as it was."""

    def __init__(self):
        self.names, self.kept, self.modules = {}, {}, {}

    def run(self, page):
        if page not in self.names:
            name = re.sub(r"\W", "_", page)
            self.modules[name] = sys.modules[name] = types.ModuleType(name)
            self.names[page] = names = vars(self.modules[name])
            for block in BLOCK.finditer(TEXTS[page]):
                if block["after"]:
                    path = os.path.relpath((ROOT / page).parent / block["after"], ROOT)
                    names.update({k: v for k, v in self.run(path).items() if not k.startswith("__")})
                line = TEXTS[page].count("\n", 0, block.start("unseen" if block["seen"] is None else "seen"))
                code = "\n" * line + (block["seen"] or block["unseen"])
                exec(compile(code, page, "exec"), names)  # noqa: S102
            self.kept[page] = weights(names)
        return self.names[page]

    def check(self):
        for page, before in self.kept.items():
            after = weights(self.names[page])
            changed = [name for name in before if not np.array_equal(before[name], after[name])]
            assert not changed, f"another page has changed what {page} made: {changed}"

    def close(self):
        for name in self.modules:
            del sys.modules[name]


@pytest.fixture(scope="module")
def library():
    library = Library()
    yield library
    library.close()


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Pages may write files."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("page", [pytest.param(p, marks=pytest.mark.slow) if p in SLOW else p for p in PAGES])
def test_python_of_the_page_runs(page, library, capsys):
    library.run(page)
    library.check()
    assert "False" not in capsys.readouterr().out.splitlines(), "what a page asserts by printing it is true"


def test_every_block_is_one_that_is_run():
    """A fence that is indented, or named otherwise, would escape."""
    for page, text in TEXTS.items():
        fences = len(re.findall(r"(?:`{3,}|~{3,}) ?(?:\{code-block\} )?(?:py\b|python|pycon)", text))
        assert fences == sum(block["seen"] is not None for block in BLOCK.finditer(text)), page
        assert not re.search(r"^>>> ", text, flags=re.M), page
        assert text.count("<!-- python") == sum(block["unseen"] is not None for block in BLOCK.finditer(text)), page


def test_a_page_with_a_mistake_is_found(monkeypatch):
    monkeypatch.setitem(TEXTS, "docs/wrong.md", "# Wrong\n\n```python\nfrom art_snn import SpikeRetimng\n```\n")
    with pytest.raises(ImportError):
        Library().run("docs/wrong.md")


def of_art_snn(words):
    """A command of art-snn that parses, and whose names are known."""
    command = main.commands[words[0]]
    if not words[1:]:
        return
    given = command.make_context(words[0], words[1:]).params
    known = {"models": {*MODELS}, "attacks": {*ATTACKS}, "dataset": {*DATASETS}}
    for option, names in known.items():
        assert {*(given.get(option) or "").split(",")} - {""} <= names
    assert any((ROOT / folder / (given.get("config") or "")).exists() for folder in ("", "examples"))


def of_python(words):
    """A script or module of the checkout, all of whose options it knows."""
    path = Path(find_spec(words[1]).origin) if words[0] == "-m" else ROOT / words[0]
    text = "".join(file.read_text() for file in [path, *path.parent.glob(f"{path.stem}*/*.py")])
    for option in re.findall(r"--[\w-]+", " ".join(words)):
        assert f'"{option}"' in text, option


def of_make(words):
    """A target of the Makefile."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
    assert words[0] in targets


CHECKS = {"art-snn": of_art_snn, "python": of_python, "make": of_make, "pip": None, "dask": None}
"""What is known of a program; of those of others, nothing."""


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_command_exists_with_its_options(page, command):
    words = [word for word in shlex.split(command) if word != "time" and not re.match("[A-Z_]+=", word)]
    check = CHECKS[words[0]]
    if check:
        check(words[1:])


WRONG = ("art-snn compare --model ann", "art-snn compare --models an", "art-snn docter x", "make doc", "python x.py")


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_command_is_found(wrong):
    with pytest.raises((click.UsageError, KeyError, AssertionError, FileNotFoundError)):
        test_command_exists_with_its_options("", wrong)

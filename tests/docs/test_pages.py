"""The links of the pages lead somewhere, what they name exists, and every page can be reached."""

import fnmatch
import re
from pathlib import Path

import pytest

import art_snn

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in ("generated", "_build"))
TESTS = {path.name: path for path in DOCS.parent.glob("tests/**/*.py")}
INDEX = (DOCS / "index.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text):
        path, _, heading = link.partition("#")
        target = (DOCS / path[1:] if path.startswith("/") else page.parent / path) if path else page
        if target.relative_to(DOCS).parts[0] == "api" if target.is_relative_to(DOCS) else False:
            continue
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles]
            named = re.findall(r"^\(([\w-]+)\)=$", target.read_text(), flags=re.MULTILINE)
            assert heading in [*slugs, *named], link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_no_page_is_an_orphan(page):
    name = str(page.relative_to(DOCS).with_suffix(""))
    trees = re.findall(r"```\{toctree\}\n(.*?)```", INDEX, flags=re.DOTALL)
    lines = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    entries = [re.sub(r".*<(.*)>$", r"\1", line) for line in lines]
    assert name == "index" or any(fnmatch.fnmatch(name, entry) for entry in entries)


@pytest.mark.parametrize("name", re.findall(r"\{literalinclude\} (\S+)", (DOCS / "examples.md").read_text()))
def test_examples_and_their_outputs_are_there(name):
    assert (DOCS / name).read_text().strip()


def within(path):
    """A path of the repository; the package may be installed elsewhere."""
    home = Path(art_snn.__file__).parents[1] if path.startswith("art_snn/") else DOCS.parent
    return home / path


@pytest.mark.parametrize("page", [*PAGES, DOCS.parent / "README.md"], ids=lambda page: page.name)
def test_what_is_named_exists(page, api):
    text = page.read_text()
    for name in re.findall(r"`(art_snn(?:\.\w+)+)", text):
        assert api.exists(name), name
    for path in re.findall(r"`((?:art_snn|benchmarks|docs|examples|tests)/[\w/.-]+)", text):
        if not path.startswith("docs/_build/"):  # made by make docs
            assert within(path).exists(), path


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "art-tests.md"], ids=lambda page: page.name)
def test_tests_that_are_named_exist(page):
    names = {*re.findall(r"^def (test_\w+)", "".join(path.read_text() for path in TESTS.values()), flags=re.MULTILINE)}
    assert names.issuperset(name for name in re.findall(r"`(?:[\w/]+\.py::)?(test_\w+)`", page.read_text()))

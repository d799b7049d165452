"""The pages' own Python runs, their links lead somewhere, and every page can be reached."""

import fnmatch
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(p for p in DOCS.rglob("*.md") if p.relative_to(DOCS).parts[0] not in ("generated", "_build"))
EXECUTED = ("quickstart", "concepts", "wrap", "citing")
INDEX = (DOCS / "index.md").read_text()


@pytest.mark.parametrize("name", EXECUTED)
def test_code_runs_from_top_to_bottom(name):
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / f"{name}.md").read_text(), flags=re.DOTALL)
    assert blocks
    names = {"__name__": name}
    for block in blocks:
        exec(compile(block, f"{name}.md", "exec"), names)  # noqa: S102


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
    entries = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    assert name == "index" or any(fnmatch.fnmatch(name, entry) for entry in entries)


@pytest.mark.parametrize("name", re.findall(r"\{literalinclude\} (\S+)", (DOCS / "examples.md").read_text()))
def test_examples_and_their_outputs_are_there(name):
    assert (DOCS / name).read_text().strip()

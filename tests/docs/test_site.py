"""The site needs no web: formulas are MathML, and a page that would load something ends the build."""

import ast
import re
from pathlib import Path

import pytest

import art_snn

pytest.importorskip("sphinx", reason="the site is built with the extra `docs`")

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0] not in ("_build", "generated")]
SOURCES = [*PAGES, *Path(art_snn.__file__).parent.rglob("*.py")]


def formulas(path):
    text = path.read_text()
    if path.suffix == ".py":
        texts = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
        return [found for text in texts if isinstance(text, str) for found in re.findall(r":math:`([^`]+)`", text)]
    text = re.sub(r"```.*?```|`[^`\n]*`|^ {4}.*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [found.strip("$") for found in re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", text, flags=re.DOTALL)]


def test_there_are_formulas():
    assert sum(len(formulas(path)) for path in SOURCES) > 100


@pytest.mark.parametrize("path", [path for path in SOURCES if formulas(path)], ids=lambda path: path.name)
def test_every_formula_converts(path, mathml):
    for formula in formulas(path):
        assert mathml.convert(formula).startswith("<math")


@pytest.mark.parametrize("wrong", [r"\unknown x", "x_{1", r"\frac{1}", "x^"])
def test_what_does_not_convert_is_an_error(wrong, mathml):
    from docutils.utils.math import MathError

    with pytest.raises(MathError):
        mathml.convert(wrong)


def test_fractions_and_primes_mean_what_tex_means(mathml):
    assert mathml.convert(r"\tfrac12 x") == mathml.convert(r"\tfrac{1}{2} x")
    assert mathml.convert(r"\frac{\frac1T}\alpha 2") == mathml.convert(r"\frac{\frac{1}{T}}{\alpha}2")
    assert mathml.convert(r"\big(\big||v| - 1\big|\big)") == mathml.convert(r"\bigl(\bigl||v| - 1\bigr|\bigr)")
    assert "<msup>" in mathml.convert("x'")
    assert "<msubsup>" in mathml.convert("x'_t")


@pytest.mark.parametrize("page", [
    '<script src="https://a.org/x.js"></script>', '<link rel="stylesheet" href="//a.org/x.css">',
    '<img srcset="https://a.org/x.png 2x">', '<style>p { background: url("https://a.org/x.png") }</style>',
    '<object data="http://a.org"></object>', '<iframe src="HTTPS://a.org"></iframe>',
])  # fmt: skip
def test_what_loads_from_the_web_is_found(page, offline):
    assert len(offline.loads(page)) == 1


def test_links_and_own_files_are_fine(offline):
    page = '<a href="https://a.org">a</a><img src="images/x.svg"><link rel="stylesheet" href="_static/x.css">'
    assert not offline.loads(page)


def test_pictures_and_styles_of_the_site_load_nothing(offline):
    for path in DOCS.rglob("*.svg"):
        assert not offline.loads(path.read_text()), path
    for path in (DOCS / "static").iterdir():
        assert not offline.loads(path.read_text(), style=True), path

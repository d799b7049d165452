r"""Formulas as MathML, which browsers show by themselves: no script, nothing from the web.

docutils converts; what it cannot convert is an error that names the place. It reads ``\frac12`` as twelve over whatever
follows, and a prime as an apostrophe, so these are written out for it.
"""

from __future__ import annotations

import re
from itertools import cycle

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml, unichar2tex
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.writers.html5 import HTML5Translator

FRACTION = r"\\[dt]?(?:frac|binom)"
BAR = r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>'
"""Bars are as high as the text and stand close: which are left and which right, MathML cannot know."""
ATOM = r"[\dA-Za-z]|\\[A-Za-z]+"
BRACED = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
"""Braces, up to three deep."""


def convert(tex: str, block: bool = False) -> str:
    """One formula, inline or as a block.

    :raises docutils.utils.math.MathError: for what docutils does not know.

    >>> convert("x_t").split()[2:]
    ['<msub>', '<mi>x</mi>', '<mi>t</mi>', '</msub>', '</math>']
    """
    braces = re.sub(r"\\.|[^{}]", "", tex, flags=re.DOTALL)
    if braces.count("{") != braces.count("}"):
        raise MathError("unbalanced braces")
    code = spelled_out(tex).translate(unichar2tex.uni2tex_table)
    if "&" in code and r"\begin" not in code:
        code = rf"\begin{{aligned}}{code}\end{{aligned}}"
    try:
        code = latex2mathml.tex2mathml(code, as_block=block)
    except AttributeError as error:  # docutils closes what was never opened
        raise MathError("a part that closes nothing") from error
    return re.sub(r'<mo(?: stretchy="false"| class="math\w+")?>([|‖])</mo>', BAR, code)


def spelled_out(tex: str) -> str:
    r"""What docutils does not read, in words that it does: bare fractions, primes, dots, sizes without a side.

    >>> print(spelled_out(r"\tfrac12 \frac{a}b x''_t \dots, 1..T"))
    \tfrac{1}{2} \frac{a}{b} x^{\prime\prime}_t \ldots , 1\ldots T
    >>> print(spelled_out(r"\big(x\big) \texttt{sum}"))
    \bigl(x\bigr) \text{sum}
    """
    tex = re.sub(rf"({FRACTION})\s*({ATOM})", r"\1{\2}", tex)
    before = None
    while tex != before:
        before, tex = tex, re.sub(rf"({FRACTION}\s*{BRACED})\s*({ATOM})", r"\1{\2}", tex)
    tex = re.sub("'+", lambda found: "^{" + r"\prime" * len(found[0]) + "}", tex)
    tex = re.sub(r"\\dots(?![A-Za-z])|\.{2,3}", r"\\ldots ", tex)
    tex = re.sub(r"\\([bB]igg?)(?=[(\[]|\\[{]|\\l)", r"\\\1l", tex)
    sides = cycle("lr")
    tex = re.sub(r"\\([bB]igg?)\|", lambda found: rf"\{found[1]}{next(sides)}|", tex)
    tex = re.sub(r"\\([bB]igg?)(?![A-Za-z])", r"\\\1r", tex)
    return re.sub(r"\\textstyle\s*", "", tex).replace(r"\texttt{", r"\text{")


def visit(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    """Write a formula, or end the build with its place: the page is not written, so the next build ends there too."""
    block = isinstance(node, nodes.math_block)
    try:
        code = convert(node.astext(), block)
    except MathError as error:
        raise ExtensionError(f"{node.source}:{node.line}: formula {node.astext()!r}: {error}") from error
    tag = "div" if block else "span"
    translator.body.append(f"{translator.starttag(node, tag, '', CLASS='math')}{code}</{tag}>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register as ``html_math_renderer = "mathml"``."""
    app.add_html_math_renderer("mathml", (visit, None), (visit, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

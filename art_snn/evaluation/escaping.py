"""Names are the user's: what they may hold must not become markup."""

from __future__ import annotations

import html

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def markdown_text(text: str) -> str:
    r"""One line of Markdown that shows ``text``: no HTML, link, image, code or line break can begin in it.

    >>> print(markdown_text("<b> [a](b) `c`\n# d"))
    &lt;b&gt; [a]\(b) \`c\` # d
    """
    line = " ".join(text.split()).replace("\\", "\\\\")
    return html.escape(line, quote=False).replace("](", "]\\(").replace("][", "]\\[").replace("`", "\\`")


def latex_text(text: str) -> str:
    r"""One line of LaTeX that shows ``text``.

    >>> print(latex_text("50 % of a_b\n\\input{x}"))
    50 \% of a\_b \textbackslash{}input\{x\}
    """
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split()))

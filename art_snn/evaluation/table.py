"""A small table that reads well in a terminal, in Markdown and in a notebook."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass

from art_snn.evaluation.escaping import latex_text, markdown_text


@dataclass(frozen=True)
class Table:
    """Header and rows of text.

    >>> print(Table(["a", "bc"], [["1", "2"]]))
    | a | bc |
    |---|----|
    | 1 | 2  |
    """

    header: list[str]
    rows: list[list[str]]

    def __str__(self) -> str:
        cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in [self.header, *self.rows]]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
                 for row in cells]  # fmt: skip
        rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
        return "\n".join([lines[0], rule, *lines[1:]])

    def markdown(self) -> str:
        """As Markdown, names escaped."""
        return str(self._with(markdown_text))

    def latex(self) -> str:
        r"""As a LaTeX tabular with rules of the booktabs package, names escaped.

        >>> print(Table(["a"], [["50 %"]]).latex().splitlines()[4])
        50 \% \\
        """
        shown = self._with(latex_text)
        lines = [" & ".join(row) + r" \\" for row in (shown.header, *shown.rows)]
        columns = "l" + "r" * (len(self.header) - 1)
        rules = rf"\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"
        return "\n".join([*rules, r"\end{tabular}"])

    def _with(self, escape: Callable[[str], str]) -> Table:
        return Table([escape(cell) for cell in self.header], [[escape(cell) for cell in row] for row in self.rows])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        def line(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        return "<table>" + line(self.header, "th") + "".join(line(row, "td") for row in self.rows) + "</table>"

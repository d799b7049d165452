"""The paper that figures are drawn on. Colors are Okabe and Ito's; what a color tells, a marker or hatch tells too."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
"""Colors of models, in order, told apart by colour-blind readers."""
MARKERS = "osD^vP*X"
"""Markers of models, in order."""
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "ooo", "+++", "---", "**")
_SVG = {"svg.hashsalt": "art-snn", "svg.fonttype": "path"}


def plain_text() -> AbstractContextManager[None]:
    """Inside, names are drawn as they are written: a dollar sign is no formula.

    >>> from matplotlib import rcParams
    >>> with plain_text():
    ...     rcParams["text.parse_math"]
    False
    """
    return rc_context({"text.parse_math": False})


def new_figure(width: float, height: float) -> Figure:
    """A figure outside pyplot's global state, that can draw itself.

    :param width: in inches.
    :param height: in inches.

    >>> new_figure(4.0, 3.0).get_size_inches().tolist()
    [4.0, 3.0]
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def svg(figure: Figure) -> str:
    """The figure as SVG text, the same for the same data.

    :param figure: a figure of matplotlib.

    >>> svg(new_figure(1.0, 1.0))[:4]
    '<svg'
    """
    buffer = io.StringIO()
    with rc_context(_SVG):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def png(figure: Figure) -> bytes:
    """The figure as a PNG.

    :param figure: a figure of matplotlib.

    >>> png(new_figure(1.0, 1.0))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    return buffer.getvalue()

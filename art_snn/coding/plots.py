"""Pictures of spike trains. Each draws into ``ax`` (a new figure if ``None``) and returns it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from art_snn.coding.first_spike import first_spike
from art_snn.errors import explain, summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _axes(ax: Axes | None) -> Any:
    if ax is not None:
        return ax
    from matplotlib import pyplot as plt

    return plt.subplots()[1]


def _units(s: Tensor) -> Tensor:
    if s.dim() < 2:
        raise ValueError(explain(summary(s), "spikes [T, *] with at least one unit", "add an axis: s[:, None]"))
    return s.detach().reshape(s.shape[0], -1).cpu()


def raster(s: Tensor, ax: Axes | None = None) -> Any:
    """One dot per spike: time across, unit up.

    :param s: ``[T, *]``, the spikes of one sample; the units are the flattened rest.

    >>> import matplotlib; matplotlib.use("Agg")
    >>> ax = raster(torch.eye(3))
    >>> ax.get_xlabel()
    'time step'
    """
    axes = _axes(ax)
    steps, units = _units(s).nonzero(as_tuple=True)
    axes.scatter(steps.numpy(), units.numpy(), s=4, marker="|" if s.shape[0] > 50 else "s", color="black", linewidths=1)
    axes.set(xlabel="time step", ylabel="unit", xlim=(-0.5, s.shape[0] - 0.5))
    return axes


def latency_histogram(s: Tensor, ax: Axes | None = None) -> Any:
    """How many units fire first at each step; the last bar, at T, counts the silent ones.

    :param s: ``[T, *]``.

    >>> import matplotlib; matplotlib.use("Agg")
    >>> ax = latency_histogram(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    >>> [int(bar.get_height()) for bar in ax.patches]
    [1, 0, 1]
    """
    axes, units = _axes(ax), _units(s)
    T = units.shape[0]
    tau = T - first_spike((units != 0).float()[:, None])[0].long()
    counts = torch.bincount(tau, minlength=T + 1)
    axes.bar(range(T + 1), counts.tolist(), color=["tab:blue"] * T + ["lightgrey"])
    axes.set(xlabel="first spike (last bar: silent)", ylabel="units")
    return axes


def count_histogram(s: Tensor, ax: Axes | None = None) -> Any:
    """How many units fire how often.

    :param s: ``[T, *]``.

    >>> import matplotlib; matplotlib.use("Agg")
    >>> ax = count_histogram(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    >>> [int(bar.get_height()) for bar in ax.patches]
    [1, 0, 1]
    """
    axes, units = _axes(ax), _units(s)
    counts = torch.bincount((units != 0).sum(0), minlength=units.shape[0] + 1)
    axes.bar(range(len(counts)), counts.tolist(), color="tab:blue")
    axes.set(xlabel="spikes", ylabel="units")
    return axes

"""Data sets by name, read offline where they are bundled; event recordings and their files in ``data.events``."""

from collections.abc import Callable

from art_snn.data.base import Dataset
from art_snn.data.images import cifar10, digits, mnist
from art_snn.data.recordings import event_digits, event_grids
from art_snn.data.saccades import SaccadeCamera, saccades
from art_snn.errors import suggest

DATASETS: dict[str, Callable[[], Dataset]] = {
    "digits": digits,
    "mnist": mnist,
    "cifar10": cifar10,
    "events": event_digits,
}
"""Data sets by name."""


def load(name: str) -> Dataset:
    """Load a data set by name.

    :param name: one of :data:`DATASETS`.
    :raises ValueError: for an unknown name; the message suggests the nearest one.
    :raises RuntimeError: if it has to be downloaded and cannot be.

    >>> load("digits").x_train.shape
    (1297, 1, 8, 8)
    """
    if name not in DATASETS:
        raise ValueError(suggest(name, DATASETS, "data set"))
    return DATASETS[name]()


__all__ = [
    "DATASETS",
    "Dataset",
    "SaccadeCamera",
    "cifar10",
    "digits",
    "event_digits",
    "event_grids",
    "load",
    "mnist",
    "saccades",
]

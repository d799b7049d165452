"""Image data sets: scikit-learn's bundled digits, and MNIST and CIFAR-10 through ART's loaders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from art_snn.data.base import Dataset
from art_snn.errors import explain

_TEST_SHARE = 500


def digits() -> Dataset:
    """The 1,797 real handwritten digits that ship with scikit-learn: 8 x 8 pixels, 17 grey levels, ten classes.

    1,297 train, 500 test, stratified by class, always the same split.

    Source: Alpaydin and Kaynak, UCI "Optical Recognition of Handwritten Digits", test half.

    >>> data = digits()
    >>> data.x_train.shape, data.x_test.shape
    ((1297, 1, 8, 8), (500, 1, 8, 8))
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    raw = load_digits()
    x = (raw.images / 16).astype(np.float32)[:, None]
    y = raw.target.astype(np.int64)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=_TEST_SHARE, stratify=y, random_state=0)
    return Dataset("digits", x_train, y_train, x_test, y_test)


def mnist() -> Dataset:
    """MNIST, 60,000 + 10,000 images of 28 x 28, through ``art.utils.load_mnist``.

    :raises RuntimeError: if the data are not in ART's data folder and cannot be downloaded.
    """
    from art.utils import load_mnist

    return _from_art("mnist", load_mnist)


def cifar10() -> Dataset:
    """CIFAR-10, 50,000 + 10,000 color images of 32 x 32, through ``art.utils.load_cifar10``.

    :raises RuntimeError: if the data are not in ART's data folder and cannot be downloaded.
    """
    from art.utils import load_cifar10

    return _from_art("cifar10", load_cifar10)


def _from_art(name: str, loader: Callable[[], tuple[tuple[np.ndarray, np.ndarray], ...]]) -> Dataset:  # type: ignore[type-arg]
    from art import config

    try:
        (x_train, y_train), (x_test, y_test), _, _ = loader()  # type: ignore[misc]
    except Exception as error:
        came = f"no {name} in {config.ART_DATA_PATH}, and the download failed ({error})"
        fix = (
            "download it once while online, or set art.config.ART_DATA_PATH to a folder that has it; digits is bundled"
        )
        raise RuntimeError(explain(came, "the data set, or a network connection", fix)) from error
    images = [np.ascontiguousarray(x.transpose(0, 3, 1, 2), dtype=np.float32) for x in (x_train, x_test)]
    labels = [np.argmax(y, axis=1).astype(np.int64) for y in (y_train, y_test)]
    return Dataset(name, images[0], labels[0], images[1], labels[1])

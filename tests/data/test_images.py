"""Data sets by name: real, split alike every time, and clear when they cannot be had."""

import numpy as np
import pytest

from art_snn import data


def test_digits_are_real_and_split_once_for_all():
    one, two = data.load("digits"), data.load("digits")
    assert one.x_train.shape == (1297, 1, 8, 8)
    assert one.x_test.shape == (500, 1, 8, 8)
    assert one.x_train.dtype == np.float32
    assert one.x_train.min() == 0.0
    assert one.x_train.max() == 1.0
    np.testing.assert_array_equal(one.x_test, two.x_test)
    assert set(np.unique(one.x_train * 16)) <= set(range(17))
    train = {row.tobytes() for row in one.x_train}
    assert not any(row.tobytes() in train for row in one.x_test)


def test_stratified_split_keeps_class_shares():
    digits = data.load("digits")
    shares = [np.bincount(y, minlength=10) / len(y) for y in (digits.y_train, digits.y_test)]
    assert np.abs(shares[0] - shares[1]).max() < 0.005


def test_selection_is_balanced_seeded_and_ordered():
    digits = data.load("digits")
    x, y, rows = digits.select(100, seed=3)
    assert (np.bincount(y) == 10).all()
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(x, digits.x_test[rows])
    np.testing.assert_array_equal(rows, digits.select(100, seed=3)[2])
    assert (rows != digits.select(100, seed=4)[2]).any()


@pytest.mark.parametrize("samples", [0, -1, 501])
def test_impossible_selections_are_refused(samples):
    with pytest.raises(ValueError, match=r"1\.\.500 test samples"):
        data.load("digits").select(samples, seed=0)


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'mnist'"):
        data.load("minst")


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_offline_message_names_the_folder_and_the_way_out(name, monkeypatch, tmp_path):
    import art.utils
    from art import config

    def unreachable(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(config, "ART_DATA_PATH", str(tmp_path))
    monkeypatch.setattr(art.utils, f"load_{name}", unreachable)
    with pytest.raises(RuntimeError, match="ART_DATA_PATH") as caught:
        data.load(name)
    assert str(tmp_path) in str(caught.value)
    assert "digits is bundled" in str(caught.value)


def test_art_loader_arrays_become_channels_first(monkeypatch):
    import art.utils

    rng = np.random.default_rng(0)
    x = rng.random((6, 4, 5, 3))
    y = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    monkeypatch.setattr(art.utils, "load_cifar10", lambda: ((x, y), (x[:2], y[:2]), 0.0, 1.0))
    loaded = data.load("cifar10")
    assert loaded.input_shape == (3, 4, 5)
    assert loaded.nb_classes == 3
    np.testing.assert_allclose(loaded.x_train[1, 2], x[1, :, :, 2], rtol=1e-6)

"""The simulated event camera."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from art_snn.data import SaccadeCamera, digits, event_grids, load, saccades
from art_snn.data.events import check_events


def one_pixel_at_a_time(image, camera):
    """The model of the module's docstring, pixel by pixel and crossing by crossing, in plain Python."""

    def light(row, column, shift):
        total = 0.0
        for i in range(image.shape[0]):
            for j in range(image.shape[1]):
                y = (row - (camera.size[0] - 1) / 2 + shift[0]) / camera.scale + (image.shape[0] - 1) / 2
                x = (column - (camera.size[1] - 1) / 2 + shift[1]) / camera.scale + (image.shape[1] - 1) / 2
                total += image[i, j] * max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j))
        return math.log(camera.dark + total)

    rows = []
    gaze = camera.gaze()
    for row in range(camera.size[0]):
        for column in range(camera.size[1]):
            reference, last = light(row, column, gaze[0]), -math.inf
            for step in range(1, len(gaze)):
                start, stop = light(row, column, gaze[step - 1]), light(row, column, gaze[step])
                sign = 1 if stop > reference else -1
                while sign * (stop - reference) >= camera.threshold * (1 - 1e-9):
                    reference += sign * camera.threshold
                    share = min(max((reference - start) / (stop - start), 0), 1)
                    t = math.floor((step - 1 + share + 1e-9) * camera.saccade / camera.samples)
                    t = min(t, camera.duration - 1)
                    if t - last >= camera.refractory:
                        rows.append((t, row, column, int(sign > 0)))
                        last = t
    return sorted(rows)


@pytest.mark.parametrize("refractory", [0, 4_000, 30_000])
def test_every_event_is_that_of_the_model(refractory):
    images = np.random.default_rng(0).random((3, 4, 5)).round(2)
    camera = SaccadeCamera(size=(6, 7), scale=1.3, samples=7, threshold=0.27, refractory=refractory)
    for image, recording in zip(images, saccades(images, camera), strict=True):
        expected = one_pixel_at_a_time(image, camera)
        assert len(expected) > 40
        found = [(int(e["t"]), int(e["y"]), int(e["x"]), int(e["p"])) for e in recording]
        assert [e[1:] for e in sorted(found)] == [e[1:] for e in expected]
        assert max(abs(a[0] - b[0]) for a, b in zip(sorted(found), expected, strict=True)) <= 1


@given(st.integers(0, 10_000), st.integers(0, 20_000))
def test_recordings_are_legal(seed, refractory):
    image = np.random.default_rng(seed).random((1, 5, 5))
    camera = SaccadeCamera(size=(8, 8), samples=5, threshold=0.3, refractory=refractory)
    recording = check_events(saccades(image, camera)[0], camera.size)
    assert recording["t"].min() >= 0
    assert recording["t"].max() < camera.duration
    pixel = recording["y"].astype(int) * 8 + recording["x"]
    for place in np.unique(pixel):
        assert (np.diff(recording["t"][pixel == place]) >= refractory).all()


def test_a_recording_depends_on_its_image_alone():
    images = digits().x_test[:5]
    together = saccades(images)
    for image, recording in zip(images, together, strict=True):
        assert np.array_equal(saccades(image[None])[0], recording)


def test_the_gaze_returns_so_that_light_balances():
    """Every pixel ends with the light that it began with, so it reports as many brighter as darker events."""
    camera = SaccadeCamera(refractory=0)
    for recording in saccades(digits().x_test[:5], camera):
        balance = np.zeros(camera.size)
        np.add.at(balance, (recording["y"], recording["x"]), 2.0 * recording["p"] - 1)
        assert (balance == 0).all()


def test_nothing_moves_nothing_seen():
    assert len(saccades(np.ones((1, 8, 8)), SaccadeCamera(amplitude=0.0))[0]) == 0
    assert len(saccades(np.zeros((1, 8, 8)))[0]) == 0
    assert saccades(np.zeros((0, 8, 8))) == []


def test_errors():
    with pytest.raises(ValueError, match=r"intensities in \[0, 1\]"):
        saccades(np.full((1, 8, 8), 2.0))
    with pytest.raises(ValueError, match=r"intensities in \[0, 1\]"):
        saccades(np.full((1, 8, 8), np.nan))
    with pytest.raises(ValueError, match=r"\[N, H, W\]"):
        saccades(np.zeros((8, 8)))
    with pytest.raises(ValueError, match="threshold=0"):
        SaccadeCamera(threshold=0)


def test_the_data_set():
    data, images = load("events"), digits()
    assert data.x_train.shape == (1297, 9, 2, 16, 16)
    assert data.x_test.dtype == np.float32
    assert set(np.unique(data.x_test)) == {0.0, 1.0}
    assert np.array_equal(data.y_test, images.y_test)
    assert np.array_equal(data.x_test[:3], event_grids(saccades(images.x_test[:3])))
    assert (data.x_test.sum((1, 2, 3, 4)) > 50).all()
    assert data.input_shape == (9, 2, 16, 16)

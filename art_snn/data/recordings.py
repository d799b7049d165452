"""Event data sets: images seen by a simulated event camera, as recordings and as frames."""

from __future__ import annotations

from typing import Any

import numpy as np

from art_snn.data.base import Dataset
from art_snn.data.events.frames import to_frames
from art_snn.data.images import digits
from art_snn.data.saccades import SaccadeCamera, saccades

Array = np.ndarray[Any, np.dtype[Any]]

CAMERA = SaccadeCamera()
"""The camera of the data set ``events``."""

FRAMES = 9
"""Frames of the data set ``events``: three for each saccade."""


def event_digits() -> Dataset:
    """The digits seen by a simulated event camera: 9 binary frames of 2 polarities, 16 x 16 pixels, ten classes.

    The split is that of :func:`~art_snn.data.digits`. The recordings behind the frames are
    ``saccades(digits().x_test)``; :func:`event_grids` makes the frames.

    >>> event_digits().input_shape
    (9, 2, 16, 16)
    """
    images = digits()
    grids = [event_grids(saccades(x, CAMERA)) for x in (images.x_train, images.x_test)]
    return Dataset("events", grids[0], images.y_train, grids[1], images.y_test)


def event_grids(recordings: list[Array], T: int = FRAMES, camera: SaccadeCamera = CAMERA) -> Array:
    """Binary frames ``[N, T, 2, H, W]`` of simulated recordings: 1 where a pixel reported a change in that time.

    The frames divide the camera's whole time, so that no event can move their borders.

    :param recordings: what :func:`~art_snn.data.saccades.saccades` returned.
    :param T: number of frames.
    :param camera: the camera that recorded them.
    :raises ValueError: if an event lies outside the camera's sensor or time.

    >>> event_grids(saccades(np.eye(8)[None])).shape
    (1, 9, 2, 16, 16)
    """
    span = (0, camera.duration)
    grids = [to_frames(recording, T, camera.size, binary=True, span=span) for recording in recordings]
    return np.stack(grids) if grids else np.zeros((0, T, 2, *camera.size), dtype=np.float32)

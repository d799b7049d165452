r"""A deterministic event camera: it looks at an image, moves its gaze three times, and reports every change of light.

The gaze :math:`d(t)` runs along the sides of a triangle of width and height :math:`a`, one saccade a side, at constant
speed, and ends where it began. Sensor pixel :math:`u` sees the log intensity

.. math:: L(u, t) = \log\bigl(c + I((u + d(t)) / s)\bigr),

:math:`I` the image (bilinear, centered on the sensor, black outside), :math:`s` its magnification, :math:`c` the dark
level. Each pixel keeps a reference :math:`R`, at first :math:`L(u, 0)`. Whenever :math:`L - R` reaches
:math:`+\theta` or :math:`-\theta`, the reference moves there, :math:`R \leftarrow R \pm \theta`, and the pixel emits an
event of polarity 1 or 0, unless its last one is less than the refractory time ago: then that event is lost.
:math:`L` is sampled along the path and is linear between samples, so the times of the crossings are exact, in whole
microseconds. There is no noise: the recording is a pure function of image and camera.

Source: the saccades follow Orchard et al. 2015 (N-MNIST); the pixel is the standard contrast model of Lichtsteiner et
al. 2008, interpolated as in Rebecq et al. 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from art_snn.data.events.base import EVENT
from art_snn.errors import explain

Array = np.ndarray[Any, np.dtype[Any]]

_CHUNK = 256
"""Recordings simulated at a time."""

_DUST = 1e-9
"""Rounding, in thresholds and steps: the gaze returns to where it began, so many crossings lie exactly on a sample."""


@dataclass(frozen=True)
class SaccadeCamera:
    r"""An event camera and the movement of its gaze; the equation stands in the module's docstring.

    :param size: ``(H, W)`` of the sensor, in pixels.
    :param scale: sensor pixels per image pixel, :math:`s`.
    :param amplitude: width and height of the gaze's triangle in sensor pixels, :math:`a`.
    :param saccade: duration of one saccade in microseconds; a recording has three.
    :param samples: positions at which the light is sampled on each saccade.
    :param threshold: change of log intensity that makes an event, :math:`\theta`.
    :param dark: light that a black pixel sends, as a share of white, :math:`c`.
    :param refractory: shortest time between two events of a pixel, in microseconds.
    :raises ValueError: for a value out of range.

    >>> SaccadeCamera().duration
    300000
    """

    size: tuple[int, int] = (16, 16)
    scale: float = 1.5
    amplitude: float = 2.0
    saccade: int = 100_000
    samples: int = 20
    threshold: float = 0.6
    dark: float = 0.1
    refractory: int = 1_000

    def __post_init__(self) -> None:
        positive = ("scale", "saccade", "samples", "threshold", "dark")
        wrong = [f"{name}={getattr(self, name)}" for name in positive if not getattr(self, name) > 0]
        wrong += [f"{name}={getattr(self, name)}" for name in ("amplitude", "refractory") if getattr(self, name) < 0]
        if wrong or min(self.size) < 1:
            came = ", ".join(wrong) or f"size={self.size}"
            raise ValueError(explain(came, "positive numbers", "start from the defaults: SaccadeCamera()"))

    @property
    def duration(self) -> int:
        """Length of a recording in microseconds: its time stamps lie in ``0..duration - 1``."""
        return 3 * self.saccade

    def gaze(self) -> Array:
        """Displacement ``[3 * samples + 1, 2]`` of the gaze in rows and columns, at equal steps of time.

        >>> SaccadeCamera(samples=1, amplitude=2.0).gaze().tolist()
        [[-1.0, -1.0], [1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]]
        """
        corners = self.amplitude * np.array([[-0.5, -0.5], [0.5, 0.0], [-0.5, 0.5], [-0.5, -0.5]])
        at = np.arange(3 * self.samples + 1) / self.samples
        return np.stack([np.interp(at, np.arange(4), corners[:, axis]) for axis in (0, 1)], axis=1)


def saccades(images: Array, camera: SaccadeCamera | None = None) -> list[Array]:
    """One recording per image, as structured arrays in order of time (then row, column).

    :param images: ``[N, H, W]`` or ``[N, 1, H, W]`` in [0, 1].
    :param camera: sensor and movement; the default suits 8 x 8 digits.
    :raises ValueError: if the images have another shape or leave [0, 1].

    >>> recording = saccades(np.eye(8)[None])[0]
    >>> recording.dtype.names, bool((np.diff(recording["t"]) >= 0).all())
    (('t', 'x', 'y', 'p'), True)
    """
    camera = SaccadeCamera() if camera is None else camera
    planes = _planes(images)
    chunks = [planes[start : start + _CHUNK] for start in range(0, len(planes), _CHUNK)]
    return [recording for chunk in chunks for recording in _record(chunk, camera)]


def _planes(images: Array) -> Array:
    planes = np.asarray(images)
    if planes.ndim == 4 and planes.shape[1] == 1:
        planes = planes[:, 0]
    if planes.ndim != 3 or 0 in planes.shape[1:]:
        came, fix = f"images of shape {np.shape(images)}", "average colors first: images.mean(1)"
        raise ValueError(explain(came, "[N, H, W] or [N, 1, H, W]", fix))
    planes = planes.astype(np.float64)
    if planes.size and not (planes.min() >= 0 and planes.max() <= 1):
        came = f"values in [{planes.min():g}, {planes.max():g}]"
        raise ValueError(explain(came, "intensities in [0, 1]", "divide 8-bit images by 255"))
    return planes


def _record(planes: Array, camera: SaccadeCamera) -> list[Array]:
    light = _light(planes, camera, 0)
    reference, last = light.copy(), np.full(light.shape, -camera.refractory - 1, dtype=np.int64)
    found: list[Array] = []
    for step in range(1, 3 * camera.samples + 1):
        later = _light(planes, camera, step)
        sign = np.where(later > reference, 1.0, -1.0)
        crossings = np.floor(np.abs(later - reference) / camera.threshold + _DUST).astype(np.int64)
        for crossing in range(1, int(crossings.max(initial=0)) + 1):
            where = np.nonzero(crossings >= crossing)
            level = reference[where] + sign[where] * (crossing * camera.threshold)
            share = (level - light[where]) / (later[where] - light[where])
            t = np.floor((step - 1 + share.clip(0, 1) + _DUST) * camera.saccade / camera.samples).astype(np.int64)
            t = np.minimum(t, camera.duration - 1)
            kept = t - last[where] >= camera.refractory
            where, t = tuple(index[kept] for index in where), t[kept]
            last[where] = t
            found.append(np.stack([where[0], t, where[1], where[2], sign[where] > 0]))
        reference += sign * (crossings * camera.threshold)
        light = later
    return _split(found, len(planes))


def _split(found: list[Array], recordings: int) -> list[Array]:
    rows = np.concatenate([np.zeros((5, 0), dtype=np.int64), *found], axis=1)
    n, t, y, x, p = rows[:, np.lexsort((rows[3], rows[2], rows[1], rows[0]))]
    events = np.empty(len(n), dtype=EVENT)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return np.split(events, np.searchsorted(n, np.arange(1, recordings)))


def _light(planes: Array, camera: SaccadeCamera, step: int) -> Array:
    """Log intensity ``[N, H, W]`` on the sensor at one position of the gaze."""
    rows, columns = (
        _interpolation(sensor, image, camera.scale, shift)
        for sensor, image, shift in zip(camera.size, planes.shape[1:], camera.gaze()[step], strict=True)
    )
    return np.log(camera.dark + rows @ planes @ columns.T)


def _interpolation(sensor: int, image: int, scale: float, shift: float) -> Array:
    """Weights ``[sensor, image]`` of linear interpolation: what each sensor pixel sees, nothing beyond the image."""
    at = (np.arange(sensor) - (sensor - 1) / 2 + shift) / scale + (image - 1) / 2
    return np.maximum(0.0, 1.0 - np.abs(at[:, None] - np.arange(image)))

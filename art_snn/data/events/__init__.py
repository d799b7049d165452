"""Recordings of event cameras: structured arrays (t, x, y, p), and their frames."""

from art_snn.data.events.base import EVENT, check_events, make_events, sensor_size
from art_snn.data.events.frames import to_frames

__all__ = ["EVENT", "check_events", "make_events", "sensor_size", "to_frames"]

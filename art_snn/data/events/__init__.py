"""Recordings of event cameras: structured arrays (t, x, y, p), their files, their frames, and the way back."""

from art_snn.data.events.aedat import read_aedat4
from art_snn.data.events.base import EVENT, check_events, make_events, sensor_size
from art_snn.data.events.filters import background_activity, refractory
from art_snn.data.events.frames import to_frames
from art_snn.data.events.lifting import event_gradients, lift
from art_snn.data.events.nmnist import decode_nmnist, encode_nmnist, read_nmnist, write_nmnist
from art_snn.data.events.npz import read_events_np, read_npz, write_events_np, write_npz
from art_snn.data.events.spike_camera import read_spike_camera, write_spike_camera

__all__ = [
    "EVENT",
    "background_activity",
    "check_events",
    "decode_nmnist",
    "encode_nmnist",
    "event_gradients",
    "lift",
    "make_events",
    "read_aedat4",
    "read_events_np",
    "read_nmnist",
    "read_npz",
    "read_spike_camera",
    "refractory",
    "sensor_size",
    "to_frames",
    "write_events_np",
    "write_nmnist",
    "write_npz",
    "write_spike_camera",
]

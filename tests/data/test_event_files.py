"""Event files: what is written comes back, and a damaged file is one clear error."""

import io
import struct
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from art_snn.data import digits, saccades
from art_snn.data.events import (
    EVENT,
    decode_nmnist,
    encode_nmnist,
    make_events,
    read_aedat4,
    read_events_np,
    read_nmnist,
    read_npz,
    read_spike_camera,
    write_events_np,
    write_nmnist,
    write_npz,
    write_spike_camera,
)

HERE = Path(__file__).parent
REAL = bytes.fromhex(
    "070f80028e1312000bb71511000bc90a12000f350c09800fb70e09800fbf"
    "20068016ea0d0a801cb90b13001cba0e18001e6a0c1200201a0c1080204f"
)
"""The first twelve events of one N-MNIST recording."""
AEDAT = HERE / "saccades.aedat4"
SHORT = saccades(np.eye(8)[None])[0][:50]
SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@st.composite
def recordings(draw, latest=2**24, most=40):
    n = draw(st.integers(0, most))
    columns = [draw(st.lists(st.integers(0, top), min_size=n, max_size=n)) for top in (latest, 33, 33, 1)]
    return make_events(*columns, size=(34, 34))


@st.composite
def damage(draw, data):
    """A file cut short, with bytes changed, taken out or shuffled."""
    kind = draw(st.sampled_from(["cut", "change", "remove", "shuffle"]))
    at, to = sorted([draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))])
    if kind == "cut":
        return data[:at]
    if kind == "remove":
        return data[:at] + data[to:]
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    raw = np.frombuffer(data, dtype=np.uint8).copy()
    if kind == "shuffle":
        raw[at:to] = generator.permutation(raw[at:to])
    else:
        raw[generator.integers(len(raw), size=8)] = generator.integers(256, size=8)
    return raw.tobytes()


def opens_or_explains(read):
    """Either events come out, or one ValueError that says what to do."""
    try:
        return read()
    except ValueError as error:
        assert "Fix:" in str(error)  # noqa: PT017
        assert "numpy" not in str(error).lower().replace("np.savez", "")  # noqa: PT017
        return None


def test_events_of_a_real_recording(tmp_path):
    path = tmp_path / "real.bin"
    path.write_bytes(REAL)
    events = read_nmnist(path)
    assert events.dtype == EVENT
    assert events[:2].tolist() == [(0x28E, 7, 15, 1), (0xBB7, 19, 18, 0)]
    assert write_nmnist(events, tmp_path / "copy.bin").read_bytes() == REAL


@given(recordings())
def test_bin_round_trip_across_the_end_of_the_clock(events):
    data = encode_nmnist(events)
    back, markers = decode_nmnist(data)
    assert np.array_equal(back, events)
    assert len(data) == 5 * (len(events) + len(markers))
    assert encode_nmnist(back, markers) == data
    if len(events):
        assert len(markers) == max(0, -(-(int(events["t"][-1]) - 2**23 + 1) // 2**13))


def test_overflow_markers_where_the_camera_put_them():
    """The clock of 13 bits of the first cameras: a marker every 8.192 ms, with bytes of its own, several at once."""
    data = bytes([1, 2, 0, 0, 5, 7, 240, 3, 4, 5, 9, 240, 0, 0, 0, 3, 4, 128, 0, 9, 0, 240, 0, 0, 1])
    events, markers = decode_nmnist(data)
    assert events.tolist() == [(5, 1, 2, 0), (2 * 8192 + 9, 3, 4, 1)]
    assert markers["at"].tolist() == [1, 1, 2]
    assert encode_nmnist(events, markers) == data
    with pytest.raises(ValueError, match="overflow markers"):
        encode_nmnist(events, markers[[2, 0]])


@given(st.data())
def test_damaged_bin_files(data):
    content = data.draw(damage(encode_nmnist(SHORT)))
    opens_or_explains(lambda: decode_nmnist(content))


def test_each_way_to_damage_a_bin_file(tmp_path):
    cases = {
        "whole number of 5-byte events": REAL[:-2],
        "time stamps in order": REAL[30:] + REAL[:30],
        "outside the sensor": bytes([40, 2, 0, 0, 1]),
    }
    for message, content in cases.items():
        path = tmp_path / "damaged.bin"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message) as raised:
            read_nmnist(path)
        assert str(raised.value).startswith("damaged.bin: got")


def test_bin_files_begin_at_zero(tmp_path):
    early = np.array([(-3, 0, 0, 1), (5, 1, 1, 0)], dtype=EVENT)
    with pytest.raises(ValueError, match=r"a negative time stamp; expected t >= 0\. Fix: shift the recording"):
        write_nmnist(early, tmp_path / "early.bin")
    assert not list(tmp_path.iterdir())
    early["t"] += 3
    assert read_nmnist(write_nmnist(early, tmp_path / "shifted.bin")).tolist() == early.tolist()


@given(recordings())
@SAME_FOLDER
def test_npz_round_trip(tmp_path, events):
    path = write_npz(events, tmp_path / "a.npz")
    assert np.array_equal(read_npz(path, (34, 34)), events)
    assert write_npz(events, tmp_path / "b.npz").read_bytes() == path.read_bytes()


@given(st.data())
@SAME_FOLDER
def test_damaged_npz_files(tmp_path, data):
    buffer = io.BytesIO()
    np.savez(buffer, **{name: SHORT[name] for name in "txyp"})
    path = tmp_path / "damaged.npz"
    path.write_bytes(data.draw(damage(buffer.getvalue())))
    opens_or_explains(lambda: read_npz(path, (16, 16)))


@pytest.mark.parametrize(("split", "name"), [("train", "../../outside"), ("../outside", "a"), ("train", "/outside")])
def test_no_name_leads_out_of_the_folder(tmp_path, split, name):
    with pytest.raises(ValueError, match="without a path"):
        write_events_np(tmp_path / "data", split, [SHORT], [0], [name])
    assert list(tmp_path.iterdir()) == []


def npz_of(tmp_path, **arrays):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    return path


def test_npz_files_that_are_no_recording(tmp_path):
    one, two = np.array([1]), np.array([2, 1])
    with pytest.raises(ValueError, match="t, x, y and p"):
        read_npz(npz_of(tmp_path, t=one, x=one))
    with pytest.raises(ValueError, match="time stamps in order"):
        read_npz(npz_of(tmp_path, t=two, x=two, y=two, p=np.array([0, 1])))
    with pytest.raises(ValueError, match="four of one length"):
        read_npz(npz_of(tmp_path, t=one, x=two, y=one, p=one))
    with pytest.raises(ValueError, match="outside the sensor"):
        read_npz(npz_of(tmp_path, t=one, x=one * 99, y=one, p=one), (34, 34))
    with pytest.raises(ValueError, match="1-D integers"):
        read_npz(npz_of(tmp_path, t=one * 0.5, x=one, y=one, p=one))
    with pytest.raises(ValueError, match="1-D integers"):
        read_npz(npz_of(tmp_path, t=np.array([{}]), x=one, y=one, p=one))
    with pytest.raises(ValueError, match="finite values in"):
        read_npz(npz_of(tmp_path, t=np.array([2**64 - 1], dtype=np.uint64), x=one, y=one, p=one))


def test_a_header_that_promises_a_terabyte_takes_no_memory(tmp_path):
    text = b"{'descr': '<i8', 'fortran_order': False, 'shape': (137438953472,), }"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n" + bytes(8)
    path = tmp_path / "huge.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for name in "txyp":
            archive.writestr(f"{name}.npy", array)
    with pytest.raises(ValueError, match=r"huge.npz: got a damaged file"):
        read_npz(path)


def test_events_np_folders(tmp_path):
    data = digits()
    taken = saccades(data.x_test[:12])
    names = [str(digit) for digit in range(10)]
    write_events_np(tmp_path, "test", taken, data.y_test[:12], names)
    back, labels, classes = read_events_np(tmp_path, "test", (16, 16))
    assert classes == names
    order = np.argsort(data.y_test[:12], kind="stable")
    assert labels.tolist() == data.y_test[:12][order].tolist()
    assert all(np.array_equal(back[i], taken[row]) for i, row in enumerate(order))
    with pytest.raises(FileNotFoundError, match="events_np"):
        read_events_np(tmp_path, "train")
    with pytest.raises(ValueError, match="ascending"):
        write_events_np(tmp_path, "test", taken, data.y_test[:12], names[::-1])
    with pytest.raises(ValueError, match=r"labels in 0\.\.4"):
        write_events_np(tmp_path, "test", taken, data.y_test[:12], names[:5])


@pytest.mark.slow
def test_spikingjelly_reads_the_folders(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", ModuleType("torchaudio"))  # theirs need not fit this torch
    base = pytest.importorskip("spikingjelly.datasets.base")

    class Saccades(base.NeuromorphicDatasetFolder):
        @classmethod
        def resource_url_md5(cls):
            return []

        @classmethod
        def downloadable(cls):
            return False

        @classmethod
        def extract_downloaded_files(cls, download_root, extract_root):
            raise NotImplementedError

        @classmethod
        def create_raw_from_extracted(cls, extract_root, raw_root):
            raise NotImplementedError

        @classmethod
        def get_H_W(cls):
            return 16, 16

    data = digits()
    taken = saccades(data.x_test[:60])
    for split in ("train", "test"):
        write_events_np(tmp_path, split, taken, data.y_test[:60], [str(digit) for digit in range(10)])
    theirs = Saccades(tmp_path, train=True, data_type="event")
    back, labels, _ = read_events_np(tmp_path, "train")
    assert len(theirs) == 60
    for i in range(60):
        sample, label = theirs[i]
        assert label == labels[i]
        assert all(np.array_equal(sample[name], back[i][name]) for name in "txyp")


@given(st.integers(0, 5), st.integers(1, 9), st.integers(1, 20), st.integers(0, 1000))
@SAME_FOLDER
def test_spike_camera_round_trip(tmp_path, steps, height, width, seed):
    spikes = np.random.default_rng(seed).integers(0, 2, (steps, height, width)).astype(np.uint8)
    path = write_spike_camera(spikes, tmp_path / "a.dat")
    back = read_spike_camera(path, (height, width))
    assert np.array_equal(back, spikes)
    assert write_spike_camera(back, tmp_path / "b.dat").read_bytes() == path.read_bytes()


def test_spike_camera_bits_lie_as_the_camera_puts_them(tmp_path):
    path = tmp_path / "a.dat"
    path.write_bytes(bytes([0b00000001, 0b10000000]))
    spikes = read_spike_camera(path, (2, 8))
    assert np.argwhere(spikes).tolist() == [[0, 0, 7], [0, 1, 0]]
    with pytest.raises(ValueError, match="a multiple of 3 bytes"):
        read_spike_camera(path, (3, 8))
    with pytest.raises(ValueError, match="filling"):
        read_spike_camera(path, (1, 7))
    with pytest.raises(ValueError, match="zeros and ones"):
        write_spike_camera(spikes * 2, path)


def test_spike_camera_files_of_whole_frames_come_back(tmp_path):
    content = np.random.default_rng(0).integers(0, 256, 3 * 250 * 416 // 8, dtype=np.uint8).tobytes()
    path = tmp_path / "with_head.dat"
    path.write_bytes(content)
    spikes = read_spike_camera(path, (250, 416))
    assert spikes[..., :400].shape == (3, 250, 400)
    assert write_spike_camera(spikes, path).read_bytes() == content


def test_aedat_needs_its_library(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'art-snn\[aedat\]'"):
        read_aedat4(AEDAT)


@pytest.mark.parametrize("size", [(250,), (0, 400), (3, 250, 400)])
def test_a_spike_camera_has_rows_and_columns(tmp_path, size):
    path = tmp_path / "one.dat"
    path.write_bytes(bytes(12500))
    with pytest.raises(ValueError, match=r"expected \(H, W\) of at least one pixel\. Fix: size=\(250, 400\)"):
        read_spike_camera(path, size)


def decodes_to(monkeypatch, rows):
    """The library is there, and finds the rows t, x, y, p in every file."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("art_snn.data.events.aedat._decoded", lambda path, timeout: np.array(rows))


def test_what_the_library_decodes_is_checked(monkeypatch):
    decodes_to(monkeypatch, [[5, 7, 7], [0, 3, 1], [2, 0, 1], [1, 0, 1]])
    assert read_aedat4(AEDAT, (3, 4)).tolist() == [(5, 0, 2, 1), (7, 3, 0, 0), (7, 1, 1, 1)]
    with pytest.raises(ValueError, match=r"saccades.aedat4: got 1 events outside the sensor, the first at x=3"):
        read_aedat4(AEDAT, (3, 3))
    decodes_to(monkeypatch, [[5, 4], [0, 0], [0, 0], [1, 0]])
    with pytest.raises(ValueError, match=r"saccades.aedat4: got time stamps that go back.*Fix: fetch the file again"):
        read_aedat4(AEDAT)


def test_an_aedat_file_that_is_not_there(monkeypatch, tmp_path):
    decodes_to(monkeypatch, [])
    with pytest.raises(FileNotFoundError, match=r"no file .*missing.aedat4.*Fix: check the path"):
        read_aedat4(tmp_path / "missing.aedat4")


def test_aedat_comes_back():
    pytest.importorskip("aedat")
    assert np.array_equal(read_aedat4(AEDAT, (16, 16)), saccades(digits().x_test[:1])[0])
    with pytest.raises(ValueError, match="outside the sensor"):
        read_aedat4(AEDAT, (8, 8))


@pytest.mark.parametrize("kind", ["cut", "middle", "header", "empty"])
def test_damaged_aedat_files(tmp_path, kind):
    pytest.importorskip("aedat")
    data = AEDAT.read_bytes()
    path = tmp_path / "damaged.aedat4"
    path.write_bytes({"cut": data[:700], "middle": data[:600] + data[900:], "header": data[20:], "empty": b""}[kind])
    with pytest.raises(ValueError, match=r"damaged.aedat4, which .* cannot decode"):
        read_aedat4(path)

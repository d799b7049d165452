"""Files that are damaged, hostile or absurd: every reader answers or refuses with a repair, in little memory.

The slow variant reads mutants for ART_SNN_FUZZ_SECONDS seconds per reader (default 20), from seeds of the clock; a
failure names its seed.
"""

import io
import itertools
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as serialize
from torch import nn

from art_snn.coding import EarlyExit, Latency
from art_snn.conversion import QCFS, convert
from art_snn.data.events import (
    make_events,
    read_aedat4,
    read_nmnist,
    read_npz,
    read_spike_camera,
    write_nmnist,
    write_npz,
    write_spike_camera,
)  # fmt: skip
from art_snn.evaluation.store import ResultStore
from art_snn.networks import ann_twin, cnn, describe, load, mlp, save
from art_snn.networks.adapters import from_nir

AEDAT = Path(__file__).parent.parent / "data" / "saccades.aedat4"
FAST = 60


def events(n=40, seed=0):
    rng = np.random.default_rng(seed)
    return make_events(np.sort(rng.integers(0, 2**24, n)), rng.integers(0, 34, n), rng.integers(0, 34, n),
                       rng.integers(0, 2, n))  # fmt: skip


def bins(folder):
    return [write_nmnist(events(n), folder / "a.bin").read_bytes() for n in (0, 1, 40)]


def npzs(folder):
    plain = [write_npz(events(n), folder / "a.npz").read_bytes() for n in (0, 3, 40)]
    packed = io.BytesIO()
    np.savez_compressed(packed, **{name: events()[name].astype(np.int16) for name in "xyp"}, t=events()["t"])
    return [*plain, packed.getvalue()]


def cameras(folder):
    rng = np.random.default_rng(0)
    return [write_spike_camera(rng.integers(0, 2, (n, 5, 7)), folder / "a.dat").read_bytes() for n in (0, 1, 9)]


def networks(folder):
    converted = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), QCFS(levels=4), nn.Linear(6, 3))
    nets = [
        mlp((1, 4, 4), 3, hidden=(6,)), mlp((1, 4, 4), 3, hidden=(6,), neuron="evolutionary", encoder=Latency(T=8)),
        cnn((1, 4, 4), 3, channels=(2,), hidden=4, neuron="plif", decoder=EarlyExit()),
        ann_twin(mlp((1, 4, 4), 3, hidden=(6,))), convert(converted, T=4, calibration=torch.rand(8, 1, 4, 4)),
    ]  # fmt: skip
    return [save(net, folder / "a.safetensors").read_bytes() for net in nets]


def results(folder):
    lines = [{"key": "a", "kind": "cell", "model": "ann", "eps": 0.1}, {"key": "b", "kind": "run", "models": ["x"]}]
    return ["".join(json.dumps(line) + "\n" for line in lines).encode()]


def stored(path):
    folder = path.parent / "store"
    folder.mkdir(exist_ok=True)
    (folder / "results.jsonl").write_bytes(path.read_bytes())
    return ResultStore(folder)


def graphs(folder):
    nir, one = pytest.importorskip("nir"), np.ones(3)
    nodes = (
        nir.Linear(np.ones((3, 4))),
        nir.LIF(0.01 * one, one, 0 * one, one, 0 * one),
        nir.Affine(np.ones((2, 3)), one[:2]),
    )
    nir.write(folder / "a.nir", nir.NIRGraph.from_list(*nodes))
    return [(folder / "a.nir").read_bytes()]


READERS = {
    "nir": (graphs, from_nir, ".nir", (ValueError,)),
    "nmnist": (bins, read_nmnist, ".bin", (ValueError,)),
    "npz": (npzs, read_npz, ".npz", (ValueError,)),
    "camera": (cameras, lambda path: read_spike_camera(path, (5, 7)), ".dat", (ValueError,)),
    "network": (networks, load, ".safetensors", (ValueError,)),
    "results": (results, stored, ".jsonl", ()),
}


@pytest.mark.parametrize("name", READERS)
def test_mutants_are_answered_or_refused(fuzzer, tmp_path, name):
    valid, read, suffix, refusals = READERS[name]
    fuzzer.run(valid(tmp_path), read, range(FAST), suffix, refusals=refusals)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_mutants_for_a_while(fuzzer, tmp_path, name, record_property):
    valid, read, suffix, refusals = READERS[name]
    until = time.monotonic() + float(os.environ.get("ART_SNN_FUZZ_SECONDS", "20"))
    numbers = itertools.takewhile(lambda _: time.monotonic() < until, itertools.count(time.time_ns() % 2**40))
    answered, total = fuzzer.run(valid(tmp_path), read, numbers, suffix, refusals=refusals)
    record_property("mutants", total)
    record_property("answered", answered)
    assert total > 10


def with_recipe(net, recipe):
    tensors = {key: value.contiguous().clone() for key, value in net.state_dict().items()}
    return serialize(tensors, {"format": "art-snn 1", "recipe": recipe})


def recipes(folder):
    converted = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), QCFS(levels=4), nn.Linear(6, 3))
    return [
        mlp((1, 4, 4), 3, hidden=(6,)), mlp((1, 4, 4), 3, hidden=(6,), neuron="evolutionary", encoder=Latency(T=8)),
        cnn((1, 4, 4), 3, channels=(2,), hidden=4, neuron="plif"), ann_twin(mlp((1, 4, 4), 3, hidden=(6,))),
        convert(converted, T=4, calibration=torch.rand(8, 1, 4, 4)),
    ]  # fmt: skip


def recipe_mutants(fuzzer, folder, mutate, numbers):
    nets = [(net, json.loads(json.dumps(describe(net)))) for net in recipes(folder)]

    def mutant(_, rng):
        net, recipe = nets[int(rng.integers(len(nets)))]
        return with_recipe(net, json.dumps(mutate(recipe, rng)))

    return fuzzer.run([b""], load, numbers, ".safetensors", mutate=mutant)


def test_recipes_that_say_something_else(fuzzer, tmp_path, json_mutation):
    recipe_mutants(fuzzer, tmp_path, json_mutation, range(FAST))


@pytest.mark.slow
def test_recipes_for_a_while(fuzzer, tmp_path, json_mutation, record_property):
    until = time.monotonic() + float(os.environ.get("ART_SNN_FUZZ_SECONDS", "20"))
    numbers = itertools.takewhile(lambda _: time.monotonic() < until, itertools.count(time.time_ns() % 2**40))
    answered, total = recipe_mutants(fuzzer, tmp_path, json_mutation, numbers)
    record_property("mutants", total)
    record_property("answered", answered)
    assert total > 10


@pytest.mark.slow
def test_aedat_mutants(fuzzer):
    pytest.importorskip("aedat")
    fuzzer.run([AEDAT.read_bytes()], lambda path: read_aedat4(path, timeout=20.0), range(25), ".aedat4")


def bomb(folder, size):
    """A zip file of a thousandth of what it holds."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (size // 8,)})
    path = folder / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in "txyp":
            with archive.open(f"{name}.npy", "w") as member:
                member.write(header.getvalue())
                for _ in range(size // 2**20):
                    member.write(bytes(2**20))
    return path


def test_a_zip_bomb_is_refused_unopened(tmp_path, monkeypatch):
    from art_snn.data.events import npz

    monkeypatch.setattr(npz, "_LARGEST", 2**21)
    path = bomb(tmp_path, 4 * 2**20)
    assert path.stat().st_size < 2**16
    with pytest.raises(ValueError, match="Fix:"):
        read_npz(path)
    monkeypatch.setattr(npz, "_LARGEST", 2**28)
    assert len(read_npz(path)) == 2**19


def test_arrays_of_objects_are_refused(tmp_path):
    path = tmp_path / "objects.npz"
    columns = {name: np.array([0, 1]) for name in "xyp"}
    np.savez(path, t=np.array([[1], None], dtype=object), **columns, allow_pickle=True)
    with pytest.raises(ValueError, match="Fix:"):
        read_npz(path)


@pytest.mark.parametrize(
    ("place", "value"),
    [("hidden", [10**6, 10**6]), ("hidden", [10**9]), ("input_shape", [1, 10**4, 10**4]), ("nb_classes", 10**30)],
)
def test_recipes_of_giants_take_no_memory(tmp_path, place, value):
    """The network is sketched without memory first, and the sketch does not have the shapes of the file."""
    net = mlp((1, 4, 4), 3, hidden=(6,))
    recipe = json.loads(json.dumps(describe(net)))
    recipe["arguments"][place] = value
    path = tmp_path / "giant.safetensors"
    path.write_bytes(with_recipe(net, json.dumps(recipe)))
    with pytest.raises(ValueError, match="Fix:"):
        load(path)


@pytest.mark.parametrize("recipe", ["[" * 10**5, "{", "3", '"mlp"', '{"builder": []}', '{"builder": "mlp"}', "NaN"])
def test_recipes_that_are_none(tmp_path, recipe):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(with_recipe(mlp((1, 4, 4), 3, hidden=(6,)), recipe))
    with pytest.raises(ValueError, match="Fix:"):
        load(path)

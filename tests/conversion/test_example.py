"""The example's table and figure, from records as a run leaves them."""

import importlib.util
from pathlib import Path

import torch

EXAMPLE = Path(__file__).parents[2] / "examples" / "convert_and_attack.py"


def example():
    spec = importlib.util.spec_from_file_location("convert_and_attack", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(name, T, wide=0.0):
    share = {"value": 0.5, "low": 0.4, "high": 0.6}
    found = {"clean": share, "robust": share, "wide": wide, "rate": 0.1, "multiplies": 1234.0, "accumulates": 5.0}
    return {"name": name, "T": T, "steps": T + 4 if T else None, **found}


def test_table_marks_failed_attacks_and_counts_all_steps():
    module = example()
    rows = module.table([record("qcfs", 2), record("ann", 0), record("rate_coding", 1, wide=0.1)]).splitlines()
    assert [row.split("|")[1].strip() for row in rows[2:]] == ["ann", "qcfs", "rate_coding"]
    assert "| 2 | 6 |" in rows[3]
    assert "invalid" in rows[4]
    assert "invalid" not in rows[3]


def test_figure_is_written(tmp_path):
    module = example()
    records = [record(name, T) for T in (1, 2) for name in module.METHODS] + [record("ann", 0), record("qnn", 0)]
    module.figure(records, tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").read_text(encoding="utf-8").count("<path") > 10


def test_measurement_of_a_pair(qnn, digits, monkeypatch):
    module = example()
    monkeypatch.setattr(module, "classifier", lambda model: _small(module, model))
    x, y = digits[2][:12].numpy(), digits[3][:12].numpy()
    found = module.measure(module.convert(qnn, 2), {"QNN": qnn}, (x, y), (x, y), max_iter=2)
    assert set(found["each"]) == {"white box", "white box, BPTR", "transfer, QNN"}
    assert found["robust"]["value"] <= min(found["each"].values())
    assert torch.tensor(found["accumulates"]) > 0


def _small(module, model):
    kind = module.SNNClassifier if isinstance(model, module.SpikingNetwork) else module.PyTorchClassifier
    return kind(model, torch.nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))

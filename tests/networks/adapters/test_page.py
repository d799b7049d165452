"""The examples of the page run, in order."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "adapters.md").read_text()


def test_examples_run(tmp_path, monkeypatch):
    for library in ("snntorch", "norse", "nir"):
        pytest.importorskip(library)
    import nir
    import torch

    monkeypatch.chdir(tmp_path)
    one = np.ones(3)
    nir.write("network.nir", nir.NIRGraph.from_list(nir.Affine(np.ones((3, 64)), one), nir.IF(1e4 * one, one, 0 * one)))
    names = {}
    shapes = []
    for example in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL):
        exec(compile(example, "adapters.md", "exec"), names)  # noqa: S102
        flat = "nir" in example
        shapes.append(tuple(names["body"](torch.rand(4, 2, *((64,) if flat else (1, 8, 8)))).shape))
    assert shapes == [(4, 2, 10), (4, 2, 10), (4, 2, 3)]
    assert names["clf"].predict(np.zeros((2, 1, 8, 8), dtype=np.float32)).shape == (2, 10)

"""The scripts whose output the documentation prints still run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = sorted(path.stem for path in (ROOT / "docs" / "output").glob("*.txt"))


def test_every_output_has_its_script():
    assert SHOWN
    assert all((ROOT / "examples" / f"{name}.py").exists() for name in SHOWN)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHOWN)
def test_script_runs(name):
    script = ROOT / "examples" / f"{name}.py"
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()

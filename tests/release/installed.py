"""The built package, checked as a stranger gets it: installed from its wheel, with the source tree out of sight.

    python tests/release/installed.py --python python3.12 [--slow] [pytest arguments]

builds the sdist and from it the wheel, installs the wheel and what its tests need into an empty environment, unpacks
the sdist without ``art_snn`` into another folder, and there runs the README's example, ``art-snn compare`` and the
tests.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def main() -> int:
    """Build, install, try and test; the exit status is pytest's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="interpreter of the empty environment")
    parser.add_argument("--slow", action="store_true", help="run the slow tests too")
    arguments, passed_on = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="art-snn-installed-") as name:
        place = Path(name)
        wheel, sdist = build(place / "dist")
        python = install(wheel, arguments.python, place / "environment")
        tree = unpack(sdist, place / "elsewhere")
        check_home(python, tree, place / "environment")
        try_as_a_user(python, tree)
        chosen = [] if arguments.slow else ["-m", "not slow"]
        tests = [str(python), "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *chosen, "tests", *passed_on]
        return subprocess.run(tests, cwd=tree, env=environment(), check=False).returncode


def build(folder: Path) -> tuple[Path, Path]:
    """The wheel and the sdist; the wheel is built from the sdist, so that nothing the sdist lacks gets into it."""
    command = [sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("*.whl")), next(folder.glob("*.tar.gz"))


def install(wheel: Path, interpreter: str, place: Path) -> Path:
    """An environment that has the wheel, what its tests need, and nothing else."""
    subprocess.run([interpreter, "-m", "venv", str(place)], check=True)
    python = place / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", f"{wheel}[test,bench]"], check=True)
    return python


def unpack(sdist: Path, place: Path) -> Path:
    """The sdist without the package itself."""
    with tarfile.open(sdist) as archive:
        archive.extractall(place, filter="data")
    tree = next(place.iterdir())
    shutil.rmtree(tree / "art_snn")
    return tree


def environment() -> dict[str, str]:
    """The caller's environment without a path to the source tree."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MPLBACKEND": "Agg"}


def check_home(python: Path, tree: Path, expected: Path) -> None:
    """Stop if Python finds ``art_snn`` anywhere but in the environment."""
    command = [str(python), "-c", "import art_snn; print(art_snn.__file__)"]
    done = subprocess.run(command, cwd=tree, env=environment(), check=True, capture_output=True, text=True)
    if not Path(done.stdout.strip()).is_relative_to(expected.resolve()):
        raise SystemExit(f"art_snn comes from {done.stdout.strip()}, not from the wheel in {expected}")


def try_as_a_user(python: Path, tree: Path) -> None:
    """The README's first example and a small comparison, from a folder of their own."""
    folder = tree.parent / "user"
    folder.mkdir()
    example = re.findall(r"```python\n(.*?)```", (tree / "README.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    subprocess.run([str(python), "-c", example], cwd=folder, env=environment(), check=True)
    command = [str(python.parent / "art-snn"), "compare", "--models", "ann,snn-direct", "--eps", "0.1"]
    subprocess.run([*command, "--samples", "20", "--out", "out"], cwd=folder, env=environment(), check=True)
    if not (folder / "out" / "report.html").is_file():
        raise SystemExit("art-snn compare left no report")


if __name__ == "__main__":
    sys.exit(main())

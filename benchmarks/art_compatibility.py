"""The matrix: everything that ART can do with a PyTorch classifier, done to a spiking one and to its plain twin.

    python benchmarks/art_compatibility.py            run what is missing, one process per case
    python benchmarks/art_compatibility.py --page     write docs/art-compatibility.md from the lines
    python benchmarks/art_compatibility.py --check    only compare the installed ART with the cases

Lines are kept in ``benchmarks/art_compatibility.jsonl``; a finished case is not run again. The exit status is 1 if a
class of ART has no case, or a case fails on a spiking network and not on the plain one, without a documented reason.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
os.environ.setdefault("TQDM_DISABLE", "1")

import torch  # noqa: E402
from art_matrix.cases import CASES  # noqa: E402
from art_matrix.catalogue import gaps  # noqa: E402
from art_matrix.page import regressions, write  # noqa: E402
from art_matrix.runner import measure  # noqa: E402
from art_matrix.victims import SHAPES, VICTIMS, network  # noqa: E402

LINES = HERE / "art_compatibility.jsonl"
PAGE = HERE.parent / "docs" / "art-compatibility.md"


def finished(path: Path) -> list[dict[str, Any]]:
    """The last line of each case and victim."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return list({(line["case"], line["victim"]): line for line in lines if line["case"] in CASES}.values())


def run(path: Path, only: str, victims: list[str], keep: str, slower: float) -> None:
    """Measure what is missing; ``keep`` says which finished lines count: ``all``, those that ``work``, or ``none``."""
    done = {
        (line["case"], line["victim"])
        for line in finished(path)
        if keep == "all" or (keep == "works" and line["outcome"] == "works")
    }
    wanted = [(case, v) for case in CASES.values() for v in victims if only in case.name and (case.name, v) not in done]
    if wanted:
        for victim in victims:
            for kind in SHAPES:
                network(victim, kind)
    for case, victim in wanted:
        line = measure(case, victim, slower)
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(f"{line['outcome']:14} {victim:8} {case.name}, {line['seconds']:.1f} s  {line['detail']}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name holds this word")
    parser.add_argument("--victims", nargs="+", choices=VICTIMS, default=list(VICTIMS))
    parser.add_argument("--keep", choices=("all", "works", "none"), default="all", help="finished cases to leave alone")
    parser.add_argument("--slower", type=float, default=1.0, help="factor on the time limits")
    parser.add_argument("--lines", type=Path, default=LINES)
    parser.add_argument("--page", action="store_true", help="write the page from the lines")
    parser.add_argument("--check", action="store_true", help="only look for classes without a case")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    wrong = gaps({name for case in CASES.values() for name in case.covers})
    if not chosen.check and not chosen.page:
        run(chosen.lines, chosen.only, chosen.victims, chosen.keep, chosen.slower)
    if not chosen.check:
        wrong += regressions(finished(chosen.lines))
    if chosen.page:
        write(PAGE, finished(chosen.lines), wrong)
    print("\n".join(wrong) or "every class of ART has a case, and nothing fails on a spiking network alone")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

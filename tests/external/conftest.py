"""Only the tests of the canary run with the suite; the rest needs a source tree of ART (``run.py``)."""

import sys
from pathlib import Path

collect_ignore = ["run.py", *(path.name for path in Path(__file__).parent.glob("art_*.py"))]
sys.path.insert(0, str(Path(__file__).parent))

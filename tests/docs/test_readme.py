"""The README's example runs as printed, and its links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_example_runs(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(example, "README.md", "exec"), names)  # noqa: S102
    assert (tmp_path / "run" / "report.html").exists()
    printed = capsys.readouterr().out
    assert "worst case" in printed
    result = names["result"]
    assert result.accuracy("snn").value > 0.8
    assert result.accuracy("ann").value > 0.8
    assert result.valid("snn")


@pytest.mark.parametrize("link", re.findall(r"\]\((?!https?://)([^)#]+)\)", README))
def test_local_links_exist(link):
    assert (ROOT / link).exists()

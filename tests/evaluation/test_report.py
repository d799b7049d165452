"""The report: self-contained, escaped, and every number backed by a record."""

import copy
import csv
import html.parser
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from art_snn import Comparison, compare
from art_snn.evaluation.flags import Flag
from art_snn.evaluation.plots import PLOTS, new_figure
from art_snn.evaluation.plots.examples import example_images
from art_snn.evaluation.references import references


class Text(html.parser.HTMLParser):
    """Text of table cells and list items outside drawings, and every external reference."""

    def __init__(self):
        super().__init__()
        self.cells, self.links, self.skipped, self.inside = [], [], 0, False

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.links += [values[k] for k in ("src", "href") if values.get(k)]
        self.skipped += tag == "svg"
        self.inside = tag in ("td", "li")
        if self.inside and not self.skipped:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.skipped -= tag == "svg"
        self.inside = self.inside and tag not in ("td", "li")

    def handle_data(self, data):
        if self.inside and not self.skipped:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def saved(snn, ann, samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    hostile = "<script>alert('x')</script> $\\x{$ --> | &amp; [a](javascript:b) `c`\n# head \"q"
    result = compare(
        {"ann": ann, hostile: snn}, *samples, [0.05, 0.1], attacks=["noise", "pgd"], out=folder, verbose=False
    )
    return result, folder


def parsed(folder):
    page = Text()
    page.feed((folder / "report.html").read_text())
    return page


def numbers(value):
    if isinstance(value, bool):
        return []
    if isinstance(value, int | float):
        return [float(value)]
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    if isinstance(value, list):
        return [float(len(value)), *(n for v in value for n in numbers(v))]
    return [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", value)] if isinstance(value, str) else []


def test_every_number_stands_in_the_results(saved):
    _, folder = saved
    records = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    known = np.array(sorted({n for record in records for n in numbers(record)}))
    known = np.concatenate([known, 100 * known, [95.0]])
    page = parsed(folder)
    found = [(cell, token) for cell in page.cells for token in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", cell)]
    assert len(found) > 60
    for cell, token in found:
        digits = len(token.partition(".")[2])
        assert (np.abs(known - float(token)) <= 0.5001 * 10.0**-digits).any(), (cell, token)


def test_page_needs_nothing_from_outside_and_runs_no_script(saved):
    page = parsed(saved[1])
    assert all(link.startswith(("#", "data:")) for link in page.links), page.links
    text = (saved[1] / "report.html").read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_figures_are_written_and_deterministic(saved, tmp_path):
    result, folder = saved
    names = {path.name for path in (folder / "figures").iterdir()}
    figures = {*PLOTS, "examples"} - {"certificates"}
    assert names == {f"{n}.{k}" for n in figures for k in ("svg", "png")}
    result.save(tmp_path)
    for name in names:
        assert (tmp_path / "figures" / name).read_bytes() == (folder / "figures" / name).read_bytes()
    assert (tmp_path / "report.html").read_text() == (folder / "report.html").read_text()
    assert (tmp_path / "results.jsonl").exists()


def test_only_what_has_pixels_is_drawn_and_colours_stay_colours():
    def drawn(shape):
        x = np.random.default_rng(0).random(shape)
        shown = {"clean": x, "snn": {"x_adv": x, "correct": np.array([True, False]), "attack": "pgd"}}
        return example_images(Comparison(["snn"], [], [0.1], {}, {}, {"snn": []}, images=shown))

    assert drawn((2, 16)) is None
    assert drawn((2, 5, 16)) is None
    assert drawn((2, 1, 4, 4)).axes[0].images[0].get_array().shape == (4, 4)
    assert drawn((2, 3, 4, 4)).axes[0].images[0].get_array().shape == (4, 4, 3)
    assert drawn((2, 5, 2, 4, 4)).axes[0].images[0].get_array().shape == (4, 4)


def test_plot_draws_into_given_axes(saved):
    ax = new_figure(4, 3).add_subplot()
    assert saved[0].plot(ax) is ax
    line = ax.get_lines()[0]
    expected = [
        100 * saved[0].accuracy("ann").value,
        *(100 * saved[0].accuracy("ann", None, e).value for e in (0.05, 0.1)),
    ]
    np.testing.assert_allclose(line.get_ydata(), expected)


@pytest.mark.parametrize("kind", sorted(set(PLOTS) - {"certificates"}))
def test_every_plot_draws_into_given_axes(saved, kind):
    ax = new_figure(5, 4).add_subplot()
    assert saved[0].plot(ax, kind) is ax
    assert ax.has_data()


def test_unknown_plots_and_missing_measurements_are_explained(saved):
    with pytest.raises(ValueError, match="did you mean 'ladder'"):
        saved[0].plot(kind="lader")
    bare = Comparison(["m"], [], [0.1], {"m": np.ones(3, dtype=bool)}, {}, {"m": []})
    for kind, message in (
        ("transfer", "compare two models"),
        ("over_time", "T > 1"),
        ("raster", "SpikingNetwork"),
        ("certificates", "compare"),
    ):
        with pytest.raises(ValueError, match=message):
            bare.plot(kind=kind)


def test_the_ladder_accounts_for_every_sample(saved):
    result = saved[0]
    ax = result.plot(kind="ladder")
    ends = {}
    for bar in ax.patches:
        ends[round(bar.get_y(), 3)] = max(ends.get(round(bar.get_y(), 3), 0.0), bar.get_x() + bar.get_width())
    assert list(ends.values()) == pytest.approx([100.0] * len(result.models))
    last = [bar for bar in ax.patches if bar.get_x() + bar.get_width() == pytest.approx(100.0)]
    robust = [bar.get_width() for bar in last if bar.get_facecolor() == (1, 1, 1, 1)]
    expected = [100 * result.accuracy(model, None, result.telling_eps).value for model in result.models]
    assert robust == pytest.approx(expected)


def test_files_beside_the_page_say_the_same(saved):
    result, folder = saved
    data = json.loads((folder / "report.json").read_text())
    assert data["schema"] == 1
    assert data["verdict"] == result.verdict()
    assert data["valid"] == {model: result.valid(model) for model in result.models}
    rows = list(csv.reader((folder / "outcomes.csv").open()))
    assert len(rows) == 1 + len(result.clean["ann"])
    column = rows[0].index("ann 0: pgd 0.1")
    assert [row[column] for row in rows[1:]] == [str(int(v)) for v in result.outcomes["ann", "pgd", 0.1]]
    markdown = (folder / "report.md").read_text()
    assert "<script" not in markdown
    assert "](javascript" not in markdown
    assert "\n# head" not in markdown
    assert "\\`c\\`" in markdown
    assert "## Paired tests" in markdown


def test_references_are_those_of_what_ran(saved, ann, samples):
    text = (saved[1] / "references.bib").read_text()
    keys = set(re.findall(r"@\w+\{([^,]+),", text))
    assert {"madry2018towards", "fang2023spikingjelly", "papernot2016transferability", "mcnemar1947note"} <= keys
    assert not {"goodfellow2015explaining", "croce2020reliable", "bu2022optimal", "athalye2018synthesizing"} & keys
    alone = compare({"ann": ann}, *samples, [0.1], attacks=["fgsm"], verbose=False)
    assert set(references(alone)["entries"]) == {
        "artsnn", "goodfellow2015explaining", "nicolae2018art", "yik2023neurobench", "horowitz2014computing",
        "wilson1927probable",
    }  # fmt: skip


def test_an_invalid_model_is_announced_and_its_numbers_withheld(saved, tmp_path):
    result = copy.copy(saved[0])
    result.flags = {**result.flags, "ann": [Flag("E1", True, 1.0, 0.01, "no gradient")]}
    result.records = list(result.records)
    result._tests = None
    result.records = [{**r, "valid": False} if r["kind"] == "summary" and r["model"] == "ann" else r
                      for r in result.records]  # fmt: skip
    result.save(tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Invalid: ann." in page
    assert "does not apply" in page
    matched = page[page.index("Matched clean accuracy") : page.index("Clean accuracy against")]
    assert matched.count("invalid") == 2
    assert "more robust" not in page


BROWSERS_OWN = (".google.com", ".googleapis.com", ".gvt1.com", ".gstatic.com")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
@pytest.mark.parametrize("size", ["1280,1600", "390,1600"])
def test_opens_in_a_browser_without_console_errors(saved, tmp_path, size):
    shot = tmp_path / "shot.png"
    done = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
         f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", f"--window-size={size}",
         f"--screenshot={shot}",
         f"--log-net-log={tmp_path / 'net.json'}", (saved[1] / "report.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    assert shot.stat().st_size > 10_000
    hosts = set(re.findall(r'"url":"(?:https?|wss?)://([^/"]+)', (tmp_path / "net.json").read_text()))
    assert not {host for host in hosts if not f".{host}".endswith(BROWSERS_OWN)}

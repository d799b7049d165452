"""What lies in the folder is enough: the same report from it, valid by its schema, with files that are theirs."""

import hashlib
import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file

from art_snn import compare
from art_snn.cli import main
from art_snn.evaluation.schema import schema
from art_snn.evaluation.stored import load_comparison


@pytest.fixture(scope="module")
def finished(ann, poisson, samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    x, y = samples[0][:12], samples[1][:12]
    result = compare(
        {"poisson": [poisson, poisson], "ann": [ann, ann]}, x, y, [0.1], attacks=["noise", "fgsm"], out=folder,
        verbose=False,
    )  # fmt: skip
    return result, folder


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(Path(folder).rglob("*")) if p.is_file()}


def test_the_report_is_made_again_byte_by_byte(finished, tmp_path, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("a report needs no model")

    monkeypatch.setattr("art_snn.evaluation.deployed.deployed_draws", never)
    before = contents(finished[1])
    done = CliRunner().invoke(main, ["report", str(finished[1])])
    assert done.exit_code == 0, done.output
    assert contents(finished[1]) == before
    done = CliRunner().invoke(main, ["report", str(finished[1]), "--out", str(tmp_path / "again")])
    assert done.exit_code == 0, done.output
    again = contents(tmp_path / "again")
    assert again == {name: text for name, text in before.items() if name.parts[0] not in ("examples", ".lock")}


def changed(folder, into, change):
    """The results of a folder, one record changed."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    (into / "results.jsonl").write_text("".join(json.dumps(change(line)) + "\n" for line in lines))
    return into


@pytest.mark.parametrize(
    "change",
    [
        lambda line: {**line, "records": None} if line["kind"] == "index" else line,
        lambda line: {k: v for k, v in line.items() if k != "order"} if line["kind"] == "run" else line,
        lambda line: {**line, "model": "another"} if line["kind"] == "attack" else line,
        lambda line: {**line, "eps": "much"} if line["kind"] == "attack" else line,
    ],
    ids=["index", "run", "model", "eps"],
)
def test_changed_records_are_refused_in_words(finished, tmp_path, change):
    done = CliRunner().invoke(main, ["report", str(changed(finished[1], tmp_path, change))])
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit)
    assert "Fix: give its command again" in " ".join(done.output.split())


def test_examples_lie_in_the_folder_or_are_not_read(finished, tmp_path):
    def climb(line):
        return {**line, "key": "../../outside"} if line["kind"] == "attack" else line

    folder = changed(finished[1], tmp_path, climb)
    with pytest.raises(ValueError, match="Fix"):
        load_comparison(folder)


def test_what_is_read_back_says_the_same(finished):
    live, folder = finished
    read = load_comparison(folder)
    assert str(read) == str(live)
    assert read.models == live.models == ["poisson", "ann"]
    assert read.records == json.loads(json.dumps(live.records))
    assert read.expected("poisson", 0.1) == live.expected("poisson", 0.1)
    for name, row in live.outcomes.items():
        assert (read.outcomes[name] == row).all()


def test_results_and_report_obey_the_schema(finished):
    _, folder = finished
    jsonschema.Draft202012Validator.check_schema(schema())
    whole = jsonschema.Draft202012Validator(schema())
    line = jsonschema.Draft202012Validator({"$ref": "#/$defs/record", "$defs": schema()["$defs"]})
    document = json.loads((folder / "report.json").read_text())
    whole.validate(document)
    records = [json.loads(text) for text in (folder / "results.jsonl").read_text().splitlines()]
    for record in records:
        line.validate(record)
    assert {"convergence", "surrogates", "gradients", "aurc", "expected", "gap", "index"} <= {
        r["kind"] for r in records
    }
    for spoil in ({"schema": 2}, {"valid": {"ann": "yes"}}, {"surplus": 1}):
        assert not whole.is_valid({**document, **spoil})
    attack = next(record for record in records if record["kind"] == "attack")
    for spoil in ({"correct": [2]}, {"kind": "other"}, {"examples": {}}):
        assert not line.is_valid({**attack, **spoil})


def test_adversarial_samples_are_the_ones_of_their_cell(finished):
    result, folder = finished
    kept = [record for record in result.records if "examples" in record]
    assert len(kept) == 1 + 2 * 2 * 3
    for record in kept:
        file = folder / record["examples"]["file"]
        assert hashlib.sha256(file.read_bytes()).hexdigest() == record["examples"]["sha256"]
        assert len(load_file(file)["x_adv"]) == record["examples"]["samples"]


def test_a_report_shows_the_samples_that_are_still_there(finished, tmp_path):
    result, folder = finished
    shutil.copytree(folder, tmp_path / "some", ignore=shutil.ignore_patterns(".lock"))
    assert set(load_comparison(tmp_path / "some").images) == {"clean", "labels", "poisson", "ann"}
    for record in result.records:
        if record.get("model") == "ann" and "examples" in record:
            (tmp_path / "some" / record["examples"]["file"]).unlink()
    assert set(load_comparison(tmp_path / "some").images) == {"clean", "labels", "poisson"}
    shutil.rmtree(tmp_path / "some" / "examples")
    bare = load_comparison(tmp_path / "some")
    assert bare.images == {}
    assert str(bare) == str(result)


def test_folders_without_a_finished_run_are_explained(finished, tmp_path):
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 1
    assert "without results.jsonl" in done.output
    lines = (finished[1] / "results.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "results.jsonl").write_text("".join(lines[:5]))
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 1
    assert "give its command again" in done.output

"""Finished work survives kills, damage and other runs."""

import json
import logging
import os

import pytest

from art_snn.evaluation.store import ResultStore
from art_snn.files import write_whole


def record(key, **more):
    return {"key": key, "kind": "attack", "value": 1, **more}


def lines(folder):
    return (folder / "results.jsonl").read_text().splitlines()


def test_a_record_is_on_disk_when_add_returns(tmp_path):
    store = ResultStore(tmp_path / "deep" / "run")
    store.add(record("a"))
    assert json.loads(lines(tmp_path / "deep" / "run")[0]) == record("a")
    assert ResultStore(tmp_path / "deep" / "run").get("a") == record("a")


@pytest.mark.parametrize("damage", ['{"key": "b", "kind"', "not json", '["a list"]', '{"kind": "attack"}', "\x00\x00"])
def test_damaged_lines_are_set_aside_and_the_rest_kept(tmp_path, damage, caplog):
    ResultStore(tmp_path).add(record("a"))
    with (tmp_path / "results.jsonl").open("a") as file:
        file.write(damage)
    with caplog.at_level(logging.WARNING):
        again = ResultStore(tmp_path)
    assert "1 damaged line" in caplog.text
    assert list(again.records) == ["a"]
    again.add(record("c"))
    assert [json.loads(line)["key"] for line in lines(tmp_path)] == ["a", "c"]


def test_rewrite_orders_and_drops(tmp_path):
    store = ResultStore(tmp_path)
    for key in "abc":
        store.add(record(key))
    store.rewrite(["c", "a"])
    assert [json.loads(line)["key"] for line in lines(tmp_path)] == ["c", "a"]


def test_without_a_folder_records_are_kept_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = ResultStore(None)
    store.add(record("a"))
    store.rewrite(["a"])
    assert store.get("a") == record("a")
    assert not list(tmp_path.iterdir())


def test_cells_of_other_runs_stay_but_their_summaries_go(tmp_path):
    store = ResultStore(tmp_path)
    store.add(record("mine"))
    store.add(record("other"))
    store.add({"key": "summary-x", "kind": "summary"})
    assert store.cells_beside(["mine"]) == ["other"]


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="a folder that can be written"):
        ResultStore(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="a folder that can be written"):
        ResultStore(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path, monkeypatch):
    target = write_whole(tmp_path / "report.html", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]

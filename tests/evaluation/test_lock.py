"""One process at a time in a folder, whatever became of the last one."""

import signal
import subprocess
import sys

import pytest

from art_snn.evaluation import compare
from art_snn.evaluation.lock import HOLDER, locked

HOLD = """
import json, os, platform, sys, time
from filelock import FileLock
with FileLock(sys.argv[1] + "/.lock"):
    with open(sys.argv[1] + "/.lock.json", "w") as file:
        json.dump({"pid": os.getpid(), "host": platform.node()}, file)
    print("held", flush=True)
    time.sleep(600)
"""
"""What ``locked`` does, in a process that starts fast."""


@pytest.fixture
def other(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_told_who_is_there_and_a_killed_one_is_not_in_the_way(other, tmp_path, samples, ann):
    with pytest.raises(RuntimeError, match=f"process {other.pid} on .* --out"), locked(tmp_path):
        pass
    with pytest.raises(RuntimeError, match=f"process {other.pid} on"):
        compare({"ann": ann}, *samples, eps=0.1, out=tmp_path, verbose=False)
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / HOLDER).exists()
    with locked(tmp_path):
        pass
    assert not (tmp_path / HOLDER).exists()


def test_it_holds_against_the_same_process_and_lets_go_after_an_error(tmp_path):
    with locked(tmp_path), pytest.raises(RuntimeError, match="at work"), locked(tmp_path):
        pass
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("left", ["[]", '{"pid": 7}', "no json", None])
def test_a_note_that_names_nobody_still_keeps_others_out(tmp_path, left):
    with locked(tmp_path):
        (tmp_path / HOLDER).unlink() if left is None else (tmp_path / HOLDER).write_text(left)
        with pytest.raises(RuntimeError, match="in which another process is at work"), locked(tmp_path):
            pass


def test_no_folder_no_lock():
    with locked(None), locked(None):
        pass


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="a folder that can be written"), locked(tmp_path / "file" / "run"):
        pass

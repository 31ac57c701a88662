"""Files of a state that are removed, cut, copied over or replaced by another state: no process ends, and the gateway and
aegis-apply use the same state."""

import contextlib
import os
import shutil
import sqlite3
import subprocess

import pytest

from client import Client
from gateway import eventually
from state_files import back_up, fold, is_readable, is_served, restore, state, witness_gateway

gateway = pytest.fixture(witness_gateway)


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_removed_file_of_sqlite_does_not_separate_gateway_and_apply(gateway, suffix):
    fold(gateway)
    state(gateway, suffix).unlink()
    gateway.config["hosts"].append({"domain": "third.test", "respond": {"body": "third"}})
    eventually("an apply", lambda: gateway.run_apply().returncode == 0)
    eventually("the host", lambda: is_served(gateway, "third.test", b"third"))
    gateway.config["hosts"].append({"domain": "fourth.test", "respond": {"body": "fourth"}})
    gateway.reload()
    assert is_served(gateway, "fourth.test", b"fourth") and is_served(gateway)


def has_index(gateway):
    """Whether the -shm file is as long as SQLite needs it. An absent file counts too, since SQLite makes it when it
    opens the database."""
    try:
        return state(gateway, "-shm").stat().st_size >= 32768
    except FileNotFoundError:
        return True


def cut_index(gateway, length):
    with contextlib.suppress(FileNotFoundError):
        os.truncate(state(gateway, "-shm"), length)


@pytest.mark.parametrize("length", [0, 100, 4096, 32767])
def test_a_truncated_index_ends_no_process(gateway, length):
    """SQLite maps the file: each access beyond its end raises SIGBUS."""
    for number in range(3):
        cut_index(gateway, length)
        eventually("it is made long again", lambda: has_index(gateway))
        gateway.config["hosts"].append({"domain": f"more{number}.test", "respond": {"body": f"more {number}"}})
        gateway.reload()
        assert is_served(gateway, f"more{number}.test", f"more {number}".encode())
    cut_index(gateway, length)
    assert is_served(gateway)
    eventually("it is made long again", lambda: has_index(gateway))
    fold(gateway)
    with contextlib.closing(sqlite3.connect(state(gateway))) as database:
        assert database.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    eventually("nothing is wrong", lambda: is_readable(gateway))
    assert gateway.process.poll() is None


def test_files_copied_over_those_in_use_end_no_process(gateway):
    """An operator may restore files like this, wrongly: each file is empty for a moment."""
    backup = back_up(gateway)
    copies = gateway.folder / "copies"
    copies.mkdir()
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(state(gateway, suffix), copies)
    for _ in range(20):
        # The copy fails if SQLite removes or makes one of the files meanwhile.
        subprocess.run(["cp", *copies.iterdir(), gateway.folder], capture_output=True)
        assert is_served(gateway)
    restore(gateway, backup)
    gateway.config["hosts"].append({"domain": "after.test", "respond": {"body": "after"}})
    eventually("an apply", lambda: gateway.run_apply().returncode == 0, pause=0.2)
    eventually("what was applied", lambda: is_served(gateway, "after.test", b"after"))
    assert is_served(gateway, "second.test", b"second") and is_readable(gateway)
    assert gateway.process.poll() is None


@pytest.mark.parametrize("way", [restore, lambda gateway, other: state(gateway).write_bytes(other.read_bytes())],
                         ids=["renamed", "written over"])
def test_another_valid_state_in_the_same_place_is_served(gateway, way):
    older = back_up(gateway)
    gateway.config["hosts"].append({"domain": "third.test", "respond": {"body": "third"}})
    gateway.reload()
    fold(gateway)
    way(gateway, older)

    def is_older():
        with Client(gateway.http) as client:
            return client.get("third.test").status == 404

    eventually("the older state", is_older)
    assert is_served(gateway) and is_served(gateway, "second.test", b"second")
    gateway.reload()
    assert is_served(gateway, "third.test", b"third")

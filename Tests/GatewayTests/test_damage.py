"""Damage to the files of a state while a gateway serves: the gateway reports it and continues with the last good state.
It follows a restored state without a restart."""

import contextlib
import os
import sqlite3

import pytest

from gateway import eventually
from state_files import await_trouble, back_up, fold, is_readable, is_served, restore, state, witness_gateway

gateway = pytest.fixture(witness_gateway)


def put(path, data, offset=0):
    """Overwrites bytes of a file in place."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def zero_page_of(gateway, table):
    with contextlib.closing(sqlite3.connect(state(gateway))) as database:
        page, = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        size, = database.execute("PRAGMA page_size").fetchone()
    put(state(gateway), bytes(size), (page - 1) * size)


def emptied(gateway):
    os.truncate(state(gateway), 0)


def emptied_once_folded(gateway):
    fold(gateway)
    os.truncate(state(gateway), 0)


def cut_in_half(gateway):
    fold(gateway)
    os.truncate(state(gateway), state(gateway).stat().st_size // 2)


def garbage_in_front(gateway):
    fold(gateway)
    put(state(gateway), b"garbage " * 20)


def settings_zeroed(gateway):
    fold(gateway)
    zero_page_of(gateway, "settings")


def challenges_zeroed(gateway):
    fold(gateway)
    zero_page_of(gateway, "challenges")


def texts_zeroed(gateway):
    fold(gateway)
    zero_page_of(gateway, "generation_texts")


def frame_zeroed(gateway):
    """Overwrites, with zeros, the last commit's page in the -wal file (https://sqlite.org/fileformat2.html#walformat)."""
    with contextlib.closing(sqlite3.connect(state(gateway))) as database:
        page, = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'items'").fetchone()
        size, = database.execute("PRAGMA page_size").fetchone()
    wal = state(gateway, "-wal")
    data = wal.read_bytes()
    frames = [place for place in range(32, len(data), 24 + size) if int.from_bytes(data[place:place + 4]) == page]
    put(wal, bytes(size), frames[-1] + 24)


def certificates_zeroed(gateway):
    fold(gateway)
    zero_page_of(gateway, "certificates")


def lost(table):
    """Makes a function that removes a table, as another program might do."""
    def befall(gateway):
        with contextlib.closing(sqlite3.connect(state(gateway))) as database:
            database.execute(f"DROP TABLE {table}")

    befall.__name__ = f"{table}_lost"
    return befall


def no_database(gateway):
    broken = gateway.folder / "broken"
    broken.write_bytes(b"this is no database" * 1000)
    broken.rename(state(gateway))


def removed(gateway):
    state(gateway).unlink()


def await_recovery(gateway):
    eventually("a state that can be read", lambda: is_readable(gateway))
    assert gateway.ask("/readyz") == (200, "ready\n")
    # The gateway follows the state again.
    gateway.config["hosts"].append({"domain": "after.test", "respond": {"body": "after"}})
    gateway.reload()
    assert is_served(gateway, "after.test", b"after") and is_served(gateway)
    with contextlib.closing(sqlite3.connect(state(gateway))) as database:
        query = "SELECT action, failure IS NULL FROM events WHERE action LIKE 'read the state%' ORDER BY id DESC LIMIT 2"
        eventually("events that tell of it", lambda: database.execute(query).fetchall() == [
            ("read the state again", 1), ("read the state", 0)])


@pytest.mark.parametrize("befall, cause", [
    (emptied, "empty"), (emptied_once_folded, "empty"), (cut_in_half, "malformed"),
    (garbage_in_front, "not a database"), (settings_zeroed, "'settings' is damaged"),
    (challenges_zeroed, "'challenges' is damaged"), (certificates_zeroed, "'certificates' is damaged"),
    (texts_zeroed, "'generation_texts' is damaged"), (frame_zeroed, "'items' is damaged"),
    *[(lost(table), f"'{table}' is missing") for table in ("challenges", "items", "position", "orders", "expiry_alerts")],
    (no_database, "not a database"), (removed, "no state"),
])
def test_damage_is_reported_and_a_restored_state_is_followed(gateway, befall, cause):
    backup = back_up(gateway)
    befall(gateway)
    await_trouble(gateway, cause)
    if befall is not removed:
        done = gateway.run_apply()
        assert done.returncode == 1 and "No changes" not in done.stdout, done.stdout
        assert "cannot read the state" in done.stderr and "hint: put the state back from a backup" in done.stderr
    restore(gateway, backup)
    await_recovery(gateway)


def test_a_state_that_is_put_back_in_its_place_is_followed(gateway):
    fold(gateway)
    content = state(gateway).read_bytes()
    os.truncate(state(gateway), 0)
    await_trouble(gateway, "empty")
    state(gateway).write_bytes(content)
    await_recovery(gateway)


@pytest.mark.parametrize("share", [0, 0.5, 0.75])
def test_commits_that_are_lost_stay_in_force_until_they_are_applied_again(gateway, share):
    wal = state(gateway, "-wal")
    os.truncate(wal, int(wal.stat().st_size * share))
    await_trouble(gateway, "has lost its latest changes")
    gateway.config["hosts"].append({"domain": "third.test", "respond": {"body": "third"}})
    # The gateway must close the state first.
    eventually("an apply", lambda: gateway.run_apply().returncode == 0)
    eventually("the hosts in force", lambda: is_readable(gateway) and is_served(gateway, "third.test", b"third"))
    assert is_served(gateway, "second.test", b"second")
    await_recovery(gateway)

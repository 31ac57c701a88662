"""The files of a gateway's state, their backups, and what the gateway reports of them."""

import contextlib
import shutil
import sqlite3

from client import Client
from gateway import eventually

WITNESS = {"domain": "app.test", "respond": {"body": "here"}}


def witness_gateway(run):
    """A gateway of two hosts, whose latest commits are in the -wal file."""
    gateway = run([WITNESS])
    gateway.config["hosts"].append({"domain": "second.test", "respond": {"body": "second"}})
    gateway.reload()
    return gateway


def state(gateway, suffix=""):
    return gateway.folder / ("state.db" + suffix)


def fold(gateway):
    """Makes SQLite move all commits from the -wal file into the database, so that damage to the database affects
    them."""
    with contextlib.closing(sqlite3.connect(state(gateway))) as database:
        busy, _, _ = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not busy


def back_up(gateway):
    """Makes a backup of a state in use by SQLite's backup API."""
    path = gateway.folder / "backup.db"
    source, copy = sqlite3.connect(state(gateway)), sqlite3.connect(path)
    with contextlib.closing(source), contextlib.closing(copy):
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    return path


def restore(gateway, backup):
    """Restores a backup as the error message's hint says."""
    for suffix in ("-wal", "-shm"):
        state(gateway, suffix).unlink(missing_ok=True)
    copy = gateway.folder / "copy.db"
    shutil.copy(backup, copy)
    copy.chmod(0o600)
    copy.rename(state(gateway))


def is_served(gateway, host="app.test", body=b"here"):
    with Client(gateway.http) as client:
        return client.get(host).body == body


def is_readable(gateway):
    return gateway.metric("aegis_state_readable") == 1


def await_trouble(gateway, cause):
    """Waits until metrics, /readyz and the log report the trouble; requests are still answered."""
    eventually("the state's trouble in /metrics", lambda: not is_readable(gateway))
    # While the state changes, the gateway may at first find it damaged in another way.
    eventually("its cause in /readyz", lambda: cause in gateway.ask("/readyz")[1])
    status, text = gateway.ask("/readyz")
    assert status == 200 and text.startswith("ready\n"), text
    line = gateway.await_log("error: the state can't be put in force, and the former configuration stays in force", cause)
    assert cause == "Permission denied" or "backup" in line or "aegis-apply" in line
    assert is_served(gateway) and is_served(gateway, "second.test", b"second")

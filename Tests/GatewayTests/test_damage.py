"""Damage to the files of a state while a gateway serves: the gateway reports it and continues with the last good state.
It follows a restored state without a restart."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile

import pytest

from client import Client
from gateway import PATIENCE, PROGRAMS, Gateway, eventually

WITNESS = {"domain": "app.test", "respond": {"body": "here"}}


@pytest.fixture
def gateway(run):
    gateway = run([WITNESS])
    # The latest commits are in the -wal file.
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


def test_a_renamed_directory_is_reported_and_found_again(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [WITNESS, {"domain": "second.test", "respond": {"body": "second"}}])
    gateway.config["state"]["path"] = "sub/state.db"
    gateway.apply()
    gateway.launch("--state", "sub/state.db")
    try:
        gateway.await_ready()
        (gateway.folder / "sub").rename(gateway.folder / "other")
        await_trouble(gateway, "no state")
        (gateway.folder / "other").rename(gateway.folder / "sub")
        eventually("a state that can be read", lambda: is_readable(gateway))
    finally:
        gateway.stop()


def test_missing_permissions_are_reported():
    # A folder without permissions keeps out everybody but root, who can read everything.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        gateway = Gateway(
            pathlib.Path(folder) / "gateway", [WITNESS, {"domain": "second.test", "respond": {"body": "second"}}])
        gateway.apply()
        for path in [gateway.folder, *gateway.folder.rglob("*")]:
            os.chown(path, 65534, 65534)
        gateway.start("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        try:
            state(gateway).chmod(0)
            await_trouble(gateway, "Permission denied")
            state(gateway).chmod(0o600)
            eventually("a state that can be read", lambda: is_readable(gateway))
        finally:
            gateway.stop()


def change(gateway, statement):
    with contextlib.closing(sqlite3.connect(state(gateway))) as database, database:
        database.execute(statement)


def hang_up(gateway):
    """Makes the gateway read the whole state again by SIGHUP, and waits until it has done so."""
    reloads = gateway.metric('aegis_reloads_total{result="ok"}')
    gateway.process.send_signal(signal.SIGHUP)
    eventually("a full reading", lambda: gateway.metric('aegis_reloads_total{result="ok"}') > reloads)


def serial(gateway, host):
    """The serial number of the certificate that is shown for a host."""
    context = ssl.create_default_context(cafile=gateway.root)
    with socket.create_connection(("127.0.0.1", gateway.https), PATIENCE) as raw:
        with context.wrap_socket(raw, server_hostname=host) as connection:
            return connection.getpeercert()["serialNumber"]


@pytest.fixture
def named(run):
    """Two hosts with a certificate each."""
    names = {"a": "a.test", "b": "b.test"}
    return run(
        [{"domain": domain, "respond": {"body": name}, "ssl_mode": "custom", "certificate": name}
         for name, domain in names.items()],
        issuers={"lan": {"type": "local_ca"}},
        certificates={name: {"issuer": "lan", "domains": [domain]} for name, domain in names.items()})


@pytest.mark.parametrize("befall", [
    "DELETE FROM certificates WHERE name = 'a'",
    "UPDATE certificates SET chain = zeroblob(length(chain)) WHERE name = 'a'",
    "UPDATE certificates SET sealed_key = substr(sealed_key, 1, 10) WHERE name = 'a'",
    "UPDATE certificates SET fingerprint = 'x' WHERE name = 'a'",
    "UPDATE items SET record = substr(record, 1, 5) WHERE name = 'a.test'",
    "DELETE FROM items WHERE kind = 'gateway'",
], ids=["row gone", "chain", "key", "fingerprint", "host", "settings gone"])
def test_an_item_that_a_full_read_can_not_read_stays_and_is_reported(named, befall):
    before = serial(named, "a.test")
    assert named.metric("aegis_state_problems") == 0
    change(named, befall)
    hang_up(named)
    named.await_log("error: ", "stays as it was: ")
    assert serial(named, "a.test") == before
    eventually("the problem in /metrics", lambda: named.metric("aegis_state_problems") == 1)
    with contextlib.closing(sqlite3.connect(state(named))) as database:
        query = "SELECT count(*) FROM events WHERE action = 'load' AND failure IS NOT NULL"
        eventually("an event that tells of it", lambda: database.execute(query).fetchone() == (1,))


def test_a_lost_certificate_is_replaced_by_an_apply_and_deleted_with_its_host(named):
    before = serial(named, "a.test")
    change(named, "DELETE FROM certificates")
    hang_up(named)
    named.reload()
    eventually("another certificate", lambda: serial(named, "a.test") != before)
    eventually("the end of the problem", lambda: named.metric("aegis_state_problems") == 0)
    change(named, "DELETE FROM certificates WHERE name = 'b'")
    hang_up(named)
    eventually("another problem", lambda: named.metric("aegis_state_problems") == 1)
    del named.config["certificates"]["b"], named.config["hosts"][1]
    named.reload()
    eventually("the end of the problem", lambda: named.metric("aegis_state_problems") == 0)


def test_a_deleted_certificate_stays_deleted_after_a_full_read(named):
    before = serial(named, "b.test")
    del named.config["certificates"]["b"], named.config["hosts"][1]
    named.reload()
    hang_up(named)
    assert serial(named, "b.test") != before and named.metric("aegis_state_problems") == 0


@contextlib.contextmanager
def locked(gateway, *statements):
    with contextlib.closing(sqlite3.connect(state(gateway), isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)
        yield


LOCKS = [("BEGIN IMMEDIATE",), ("BEGIN EXCLUSIVE",)]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_locked_state_delays_no_signal_and_is_reported(gateway, lock):
    with locked(gateway, *lock):
        gateway.process.send_signal(signal.SIGHUP)
        gateway.await_log("reading the state again")
        eventually("the trouble in /metrics", lambda: gateway.metric("aegis_state_writable") == 0)
        gateway.await_log("error: this gateway can't report", "keeps the state", "locked")
        assert is_served(gateway) and is_readable(gateway)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(PATIENCE) == 0


@pytest.mark.parametrize("lock", LOCKS)
def test_a_locked_state_can_be_written_again(gateway, lock):
    with locked(gateway, *lock):
        eventually("the trouble in /metrics", lambda: gateway.metric("aegis_state_writable") == 0)
    eventually("reports again", lambda: gateway.metric("aegis_state_writable") == 1)
    gateway.await_log("the state can be written again")


def test_a_gateway_hands_over_while_the_state_is_locked(gateway):
    with locked(gateway, "BEGIN EXCLUSIVE"):
        former = gateway.upgrade()
        assert former.wait(PATIENCE) == 0
        assert is_served(gateway)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait() == 0
        gateway.process = None


def test_an_apply_says_that_the_state_is_locked_and_for_how_long_it_has_waited(gateway):
    gateway.config["hosts"].append({"domain": "third.test", "respond": {"body": "third"}})
    with locked(gateway, "BEGIN EXCLUSIVE"):
        done = gateway.run_apply()
    assert done.returncode == 75
    assert "another process keeps the state" in done.stderr and "locked; it was waited for 10 s" in done.stderr
    assert "hint: try again when that process is done; 'fuser " in done.stderr


def test_a_full_disk_is_reported(gateway):
    tracer = subprocess.Popen(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", "inject=pwrite64:error=ENOSPC", "-p",
         str(gateway.process.pid)])
    try:
        eventually("the trouble in /metrics", lambda: gateway.metric("aegis_state_writable") == 0)
        assert "full" in gateway.ask("/readyz")[1] and gateway.ask("/readyz")[0] == 200
        gateway.await_log("error: this gateway can't report", "full")
        assert is_served(gateway)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(PATIENCE)
    eventually("reports again", lambda: gateway.metric("aegis_state_writable") == 1)
    gateway.await_log("the state can be written again")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "below a file"])
def test_a_path_that_can_be_no_state_is_told_with_its_cause_as_by_aegis_apply(tmp_path, kind):
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "hello"}}])
    path = gateway.folder / "state.db"
    words = "the state can't be 'state.db': it is no regular file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    elif kind == "folder":
        path.mkdir()
        words = "the state can't be 'state.db': it is a directory"
    else:
        path.write_text("no folder")
        words = "'state.db' is no directory"
    name = "state.db/x" if kind == "below a file" else "state.db"
    gateway.launch("--state", name)
    try:
        gateway.await_log("the state can't be put in force, and nothing is served:")
        assert words in gateway.log and "is empty" not in gateway.log and "waiting until" not in gateway.log
    finally:
        gateway.stop()
    gateway.config["state"] = {"path": name}
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    done = subprocess.run([PROGRAMS / "aegis-apply", "--dry-run"], cwd=gateway.folder, capture_output=True, text=True)
    assert done.returncode != 0 and words.replace("'state.db", "'./state.db") in (done.stdout + done.stderr).replace(
        "'state.db", "'./state.db"), done

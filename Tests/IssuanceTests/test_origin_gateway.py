"""Gateways maintain certificates of Cloudflare's Origin CA by themselves, whatever happens to the gateways meanwhile.

AEGIS_LONG=1 kills at every place where the state is written; else the test takes a sample.
"""

import contextlib
import fcntl
import os
import pathlib
import signal
import sqlite3
import ssl
import subprocess

import pytest

from cloudflare import TOKEN, ends_with, lose
from gateway import PATIENCE, PROGRAMS, eventually
from hosts import aegis_apply, age, killing_at, nothing_is_left, rows, serial
from process import held

LONG = bool(os.environ.get("AEGIS_LONG"))


def renews(gateway, former):
    """Waits until the state has another certificate than `former`, and the gateway serves it."""
    eventually("another one", lambda: number(gateway) != former, patience=60)
    stored = rows(gateway, "SELECT chain FROM certificates WHERE name = 'site'")[0][0]
    served = ssl.PEM_cert_to_DER_cert(stored if isinstance(stored, str) else stored.decode())
    eventually("it is served", lambda: serial(gateway, "app.example.test") == served)


def number(gateway):
    """The identifier of the stored certificate at Cloudflare, as a list. Empty if there is no certificate."""
    return [remote for (remote,) in rows(gateway, "SELECT remote_id FROM certificates")]


# Revocations.


def try_to_lock(directory):
    """Takes a directory's lock and releases it; raises BlockingIOError if another process has it."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(folder)


@contextlib.contextmanager
def held_between_commits(gateway):
    """Stops a gateway at a moment when it holds neither the state's write lock nor a directory's lock."""
    with contextlib.ExitStack() as stack:
        def stands_still():
            with contextlib.ExitStack() as attempt:
                attempt.enter_context(held(gateway.process.pid))
                with contextlib.closing(sqlite3.connect(gateway.folder / "state.db", timeout=0)) as state:
                    try:
                        state.execute("BEGIN IMMEDIATE")
                        for directory in (gateway.folder, gateway.folder / "ca"):
                            try_to_lock(directory)
                    except (sqlite3.OperationalError, BlockingIOError):
                        return False
                stack.enter_context(attempt.pop_all())
                return True

        eventually("a standstill", stands_still)
        yield


def test_a_replaced_certificate_is_revoked_when_every_gateway_serves_the_new_one(behind, cloudflare):
    gateway = behind(revoke_replaced=True)
    gateway.apply()
    gateway.start()
    [former] = cloudflare.valid
    with held_between_commits(gateway):
        renewal = subprocess.Popen(
            [PROGRAMS / "aegis-apply", "renew", "site", "--force"], cwd=gateway.folder, stdout=subprocess.DEVNULL)
        # The renewed certificate is stored, and the command waits for the gateway to serve it.
        eventually("a stored certificate", lambda: rows(gateway, "SELECT id FROM superseded") == [(former,)])
        with pytest.raises(subprocess.TimeoutExpired):
            renewal.wait(2)
        assert former in cloudflare.valid
    assert renewal.wait(PATIENCE) == 0
    assert cloudflare.valid == number(gateway)


def test_a_gateway_revokes_what_an_apply_could_not(behind, cloudflare):
    gateway = behind(revoke_replaced=True)
    gateway.apply()
    [former] = cloudflare.valid
    cloudflare.refuse("DELETE", "/certificates/", 403, 9109, "Not now")
    aegis_apply(gateway, "renew", "site", "--force")
    assert former in cloudflare.valid
    rows(gateway, "UPDATE superseded SET next_try_at = 0")
    gateway.start()
    gateway.await_log("the former certificate of 'site' is revoked")
    assert cloudflare.valid == number(gateway)
    assert len(cloudflare.said("DELETE")) == 2


# Tokens.


def test_a_gateway_finds_the_tokens_file_wherever_it_is_started(behind, cloudflare):
    gateway = behind()
    gateway.apply()
    former = number(gateway)
    age(gateway, "site")
    # Relative paths are relative to the file.
    gateway.launch("--state", gateway.folder / "state.db", "--key-file", gateway.folder / "key",
                   wrapper=("env", "--chdir=/"))
    gateway.await_ready()
    renews(gateway, former)


def test_a_gateway_without_the_token_says_so_and_continues_to_serve(behind, cloudflare):
    gateway = behind(api_token={"env": "CF_API_TOKEN"})
    assert gateway.run_apply("env", f"CF_API_TOKEN={TOKEN}").returncode == 0
    former = number(gateway)
    age(gateway, "site")
    gateway.start()
    gateway.await_log("the variable CF_API_TOKEN is not set")
    assert number(gateway) == former and serial(gateway, "app.example.test")
    gateway.stop()
    rows(gateway, "UPDATE renewals SET next_try_at = 0")
    gateway.start("env", f"CF_API_TOKEN={TOKEN}")
    renews(gateway, former)


def test_a_token_in_the_file_survives_a_change_of_the_master_key(behind, cloudflare):
    gateway = behind(api_token=TOKEN)
    # The key of an order whose result is unknown is sealed too.
    cloudflare.on_call("POST", "/certificates", ends_with(lambda: apply, after=True))
    apply = gateway.launch_apply()
    assert apply.wait(PATIENCE) == -signal.SIGKILL
    (gateway.folder / "new").write_text("6b" * 32)
    aegis_apply(gateway, "rekey", "--new-key-file", "new")
    (gateway.folder / "new").rename(gateway.folder / "key")
    gateway.apply()
    assert len(cloudflare.said("POST")) == 1 and number(gateway) == cloudflare.valid
    former = number(gateway)
    age(gateway, "site")
    gateway.start()
    renews(gateway, former)


# Orders whose result is unknown.


def test_a_gateway_in_doubt_orders_no_more(behind, cloudflare):
    gateway = behind(zone_id=None)
    gateway.apply()
    former = number(gateway)
    cloudflare.on_call("POST", "/certificates", lose)
    age(gateway, "site")
    for look in (1, 2):
        # A gateway looks for due certificates as soon as it starts.
        rows(gateway, "UPDATE renewals SET next_try_at = 0")
        gateway.start()
        eventually("a look", lambda: gateway.log.count("a certificate may have been issued") == look)
        assert len(cloudflare.said("POST")) == 2
        gateway.stop()
    gateway.start()
    aegis_apply(gateway, "renew", "site", "--force")
    renews(gateway, former)
    assert len(cloudflare.said("POST")) == 3 and nothing_is_left(gateway)


def test_a_certificates_own_zone_is_searched(behind, cloudflare):
    zone = "f" * 32
    cloudflare.zones[zone] = "other.test"
    gateway = behind(hosts=[{"domain": "app.other.test", "ssl_mode": "custom", "certificate": "site", "respond": {}}])
    gateway.config["certificates"]["site"].update(zone_id=zone, domains=["app.other.test"])
    cloudflare.on_call("POST", "/certificates", lose)
    gateway.apply()
    assert len(cloudflare.said("POST")) == 1 and number(gateway) == cloudflare.valid


# Many gateways at once, and kills.


def test_many_certificates_are_obtained_once_each_from_a_failing_provider(behind, cloudflare):
    gateway = behind()
    names = [f"host{number}.example.test" for number in range(30)]
    gateway.config["certificates"] = {name: {"issuer": "origin", "domains": [name]} for name in names}
    gateway.config["hosts"] = [
        {"domain": name, "ssl_mode": "custom", "certificate": name, "respond": {}} for name in names]
    for _ in range(4):
        cloudflare.refuse("POST", "/certificates", 429, 971, "Too many", Retry_After="1")
        cloudflare.refuse("POST", "/certificates", 400, 1100, "Try again")
        cloudflare.on_call("POST", "/certificates", lose)
    gateway.apply()
    assert "No changes" in gateway.apply()
    assert sorted(number(gateway)) == sorted(cloudflare.valid) and len(cloudflare.valid) == len(names)
    assert nothing_is_left(gateway)


@pytest.mark.parametrize("place", range(1, 30) if LONG else [2, 5, 9, 14])
def test_a_gateway_killed_as_it_writes_recovers(behind, cloudflare, place):
    gateway = behind(revoke_replaced=True)
    gateway.apply()
    former = number(gateway)
    age(gateway, "site")
    gateway.launch(wrapper=killing_at("fdatasync", place))
    eventually("its end or a renewal", lambda: gateway.process.poll() is not None
               or number(gateway) != former and cloudflare.valid == number(gateway), patience=60)
    end_traced(gateway)
    gateway.start()
    eventually("a renewal", lambda: number(gateway) != former, patience=60)
    # Every issued certificate is revoked except the served one.
    eventually("revocations", lambda: cloudflare.valid == number(gateway), patience=60)
    eventually("nothing is left", lambda: nothing_is_left(gateway))
    assert len(cloudflare.said("POST")) == 2
    assert len(cloudflare.certificates) == 2


def end_traced(gateway):
    """Ends a gateway that was started under strace, unless it was killed."""
    if gateway.process.poll() is None:
        tracer = gateway.process.pid
        for child in pathlib.Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split():
            with contextlib.suppress(ProcessLookupError):  # it may be killed meanwhile
                os.kill(int(child), signal.SIGTERM)
        gateway.process.wait(PATIENCE)
    gateway.process = None


@pytest.mark.parametrize("place", range(1, 40) if LONG else [2, 5, 8, 12])
def test_a_renewal_killed_as_it_writes_recovers(behind, cloudflare, place):
    gateway = behind(revoke_replaced=True)
    gateway.apply()
    subprocess.run(
        [*killing_at("fdatasync", place), PROGRAMS / "aegis-apply", "renew", "site", "--force"], cwd=gateway.folder,
        capture_output=True, timeout=PATIENCE * 2)
    aegis_apply(gateway, "renew", "site", "--force")
    assert cloudflare.valid == number(gateway), "what was issued before is taken up, or revoked"
    assert nothing_is_left(gateway)

"""A state that can't be written for a while, since it is locked or the disk is full: the gateway serves and reports it."""

import contextlib
import signal
import sqlite3
import subprocess

import pytest

from gateway import PATIENCE, eventually
from state_files import is_readable, is_served, state, witness_gateway

gateway = pytest.fixture(witness_gateway)


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

"""Kills the process that orders a certificate at each step: the next process continues, and nothing is ordered twice.

AEGIS_LONG=1 kills at every call to the CA, before and after the CA gets it, and at every place where the state is
written; else the test takes a sample.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess

import pytest

from client import Client, tls_context
from gateway import PATIENCE, eventually
from hosts import age, forget, host, killing_at, nothing_is_left, rows, shown
from process import traced
from proxy import ends_with

LONG = bool(os.environ.get("AEGIS_LONG"))
MANY = 200


def places(every, first):
    return range(1 if LONG else first, MANY, 1 if LONG else every)


def check(stand, gateway, before, where):
    """Checks that there is one more certificate than before, and no trace of the order."""
    eventually(f"the end of the order, {where}", lambda: nothing_is_left(gateway))
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        assert state.execute("PRAGMA integrity_check").fetchone() == ("ok",), where
    assert len(stand.ca.issued) == before + 1, where


# An apply.


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_apply_killed_at_a_call_recovers(stand, figures, after):
    kills = 0
    for place in places(4, 2 + after):
        before = len(stand.ca.issued)
        gateway = stand.gateway([host("app.test")])
        stand.proxy.arm(place, ends_with(lambda: apply, after=after))
        apply = gateway.launch_apply(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        apply.wait(PATIENCE)
        if stand.proxy.broken is None:
            break
        kills += 1
        where = f"killed at call {place}, {stand.proxy.broken}"
        assert apply.returncode == -signal.SIGKILL, where
        gateway.apply()
        assert "No changes" in gateway.apply(), where
        check(stand, gateway, before, where)
    figures.append(f"apply killed {'after' if after else 'before'} a call: {kills} kills")


@pytest.mark.parametrize("call, every", [("fdatasync", 5), ("pwrite64", 40)])
def test_an_apply_killed_as_it_writes_recovers(stand, figures, call, every):
    kills = 0
    for place in places(every, 3):
        before = len(stand.ca.issued)
        gateway = stand.gateway([{"domain": "plain.test", "respond": {}}])
        gateway.apply()
        gateway.config["hosts"].append(host("app.test"))
        stand.proxy.arm(None, None)
        done = gateway.run_apply(*killing_at(call, place))
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
        kills += 1
        where = f"killed at {call} {place}"
        gateway.apply()
        assert "No changes" in gateway.apply(), where
        check(stand, gateway, before, where)
    assert kills
    figures.append(f"apply killed at {call}: {kills} kills")


# A gateway.


@pytest.fixture
def served(stand):
    """A gateway that has a certificate."""
    gateway = stand.gateway([host("app.test")])
    stand.proxy.arm(None, None)
    gateway.apply()
    yield gateway
    gateway.stop()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_gateway_killed_at_a_call_for_a_handshake_recovers(stand, served, figures, after):
    def run(place):
        forget(served, "app.test")
        stand.proxy.arm(place, ends_with(lambda: served.process, after=after))
        served.start()
        ask(served)

    kill_again_and_again(stand, served, places(5, 1 + after), run, figures)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_gateway_killed_at_a_call_for_a_renewal_recovers(stand, served, figures, after):
    def run(place):
        age(served, "app.test")
        stand.proxy.arm(place, ends_with(lambda: served.process, after=after))
        served.launch()

    kill_again_and_again(stand, served, places(5, 3 + after), run, figures)


@pytest.mark.parametrize("call, every", [("fdatasync", 4), ("pwrite64", 25)])
def test_a_gateway_killed_as_it_writes_recovers(stand, served, figures, call, every):
    def run(place):
        forget(served, "app.test")
        stand.proxy.arm(None, None)
        served.start()
        # strace counts for each thread separately.
        with traced(served.process.pid, "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={place}"):
            ask(served)
            await_end_or_certificate(served)

    kill_again_and_again(stand, served, places(every, 2), run, figures)


def kill_again_and_again(stand, gateway, places, run, figures):
    """Kills a gateway by `run` at each place, until the gateway reaches no further place. After each kill a restarted
    gateway must complete the order."""
    kills = 0
    for place in places:
        before = len(stand.ca.issued)
        former = fingerprint(gateway)
        run(place)
        await_end_or_certificate(gateway, former)
        if gateway.is_alive():
            break
        assert gateway.process.wait(PATIENCE) == -signal.SIGKILL
        gateway.process = None
        # Other gateways would wait for the killed one, whose row in the state makes it seem alive for ten seconds.
        forget_nodes(gateway)
        kills += 1
        where = f"killed at place {place}, {stand.proxy.broken}"
        gateway.start()

        def has_come():
            ask(gateway)
            return fingerprint(gateway) not in (None, former)

        eventually(f"the certificate, {where}", has_come, patience=60)
        check(stand, gateway, before, where)
        assert shown(gateway, stand.ca, "app.test") == "app.test", where
        gateway.stop()
    assert kills
    figures.append(f"{os.environ['PYTEST_CURRENT_TEST'].split('::')[1].split(' ')[0]}: {kills} kills")


def forget_nodes(gateway):
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("DELETE FROM nodes")


def fingerprint(gateway):
    """The fingerprint of the certificate in the state."""
    return next(iter(rows(gateway, "SELECT fingerprint FROM certificates WHERE name = 'app.test'")), None)


def ask(gateway):
    """Starts a handshake that asks for the certificate, whether it completes or not."""
    with contextlib.suppress(OSError, AssertionError), Client(gateway.https, tls_context(), "app.test"):
        pass


def await_end_or_certificate(gateway, former=None):
    eventually("an end", lambda: gateway.process.poll() is not None
               or fingerprint(gateway) not in (None, former) and nothing_is_left(gateway))

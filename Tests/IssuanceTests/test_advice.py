"""Profiles and renewal information (RFC 9773), by a newer Pebble than Debian's stable release has.

scripts/unpack-debian fetches it; where it could not, these tests are skipped.
"""

import contextlib
import json
import pathlib
import sqlite3
import time
import urllib.request

import pytest

from gateway import eventually
from hosts import host, nothing_is_left, rows, serial, shown
from stand import Stand
from test_apply import renew

PROGRAM = pathlib.Path(".build/pebble-sid/usr/bin/pebble").resolve()
DAY = 86_400
# The path of Pebble's renewal information.
ADVICE = "/draft-ietf-acme-ari-03/renewalInfo/"
PROFILES = {"default": {"description": "usual", "validityPeriod": 90 * DAY},
            "shortlived": {"description": "short", "validityPeriod": 6 * DAY}}

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="scripts/unpack-debian could not fetch a newer Pebble")


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    made = Stand(tmp_path_factory.mktemp("stand"), program=PROGRAM, profiles=PROFILES)
    yield made
    made.stop()


@pytest.fixture
def served(stand):
    """A gateway with its certificate, not started."""
    gateway = stand.gateway([host("app.test")])
    stand.proxy.arm(None, None)
    gateway.apply()
    yield gateway
    gateway.stop()


def advise(ca, gateway, start, end):
    """Makes the CA suggest a renewal window for a gateway's certificate, in seconds from now."""
    (chain,), = rows(gateway, "SELECT chain FROM certificates WHERE name = 'app.test'")
    leaf = chain.decode().split("-----END")[0] + "-----END CERTIFICATE-----\n"
    stamps = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + offset)) for offset in (start, end)]
    window = {"suggestedWindow": dict(zip(("start", "end"), stamps))}
    request = urllib.request.Request(
        f"https://localhost:{ca.management}/set-renewal-info/",
        json.dumps({"certificate": leaf, "ariResponse": json.dumps(window)}).encode())
    with urllib.request.urlopen(request, timeout=5, context=ca.trust):
        pass


def advised(gateway):
    """The renewal time in the state, which was chosen from the CA's window; None when there is none."""
    return next((at for at, in rows(gateway, "SELECT advised_at FROM renewals WHERE certificate = 'app.test'")), None)


def forget_when_to_ask(gateway):
    """Makes the next request for renewal information due."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("UPDATE renewals SET next_advice_at = 0")


def asked(stand):
    """How often the CA was asked for renewal information."""
    return sum(1 for _, path in stand.proxy.calls if path.startswith(ADVICE))


def test_an_order_has_the_profile(stand):
    gateway = stand.gateway([host("app.test")], issuer={"profile": "shortlived"})
    gateway.apply()
    (lifetime,), = rows(gateway, "SELECT expires_at - not_before FROM certificates WHERE name = 'app.test'")
    assert abs(lifetime - 6 * DAY) < 60


def test_an_unknown_profile_is_refused_with_a_reason(stand):
    gateway = stand.gateway([host("app.test")], issuer={"profile": "shortlive"})
    before = len(stand.ca.issued)
    said = gateway.apply(expect=3, everything=True)
    line = next(line for line in said.splitlines() if "issue failed" in line)
    assert "'shortlive'" in line and "default, shortlived" in line
    assert len(stand.ca.issued) == before


def test_a_past_renewal_window_makes_the_gateway_renew_at_once(stand, served):
    before = len(stand.ca.issued)
    advise(stand.ca, served, -2 * DAY, -DAY)
    served.start()
    former = serial(served, "app.test")
    eventually("the new certificate", lambda: serial(served, "app.test") != former, patience=60)
    eventually("the end of the order", lambda: nothing_is_left(served))
    assert shown(served, stand.ca, "app.test") == "app.test"
    # The order replaces an issued certificate, so rate limits don't count it.
    assert "is a replacement of" in stand.ca.log
    assert rows(served, "SELECT is_exempt FROM ledger WHERE kind = 'order' ORDER BY id") == [(0,), (1,)]
    # The gateway asks about the new certificate only some hours later. Otherwise a CA could make it renew without end.
    # The new window is in the future.
    served.stop()
    forget_when_to_ask(served)
    served.start()
    eventually("advice on the new one", lambda: (advised(served) or 0) > time.time() + DAY, patience=60)
    assert len(stand.ca.issued) == before + 1


def test_advice_is_kept_over_restarts(stand, served):
    before = len(stand.ca.issued)
    advise(stand.ca, served, 10 * DAY, 20 * DAY)
    served.start()
    chosen = eventually("advice", lambda: advised(served), patience=60)
    assert 10 * DAY - 60 <= chosen - time.time() <= 20 * DAY
    times = asked(stand)
    served.stop()
    served.start()
    assert advised(served) == chosen
    assert asked(stand) == times
    # A chosen time stays as long as it is in the window. Otherwise another time is chosen.
    for window, stays in [((9 * DAY, 21 * DAY), True), ((30 * DAY, 40 * DAY), False)]:
        served.stop()
        advise(stand.ca, served, *window)
        forget_when_to_ask(served)
        served.start()
        eventually("another question", lambda: asked(stand) > times, patience=60)
        times = asked(stand)
        eventually("its answer", lambda: (advised(served) == chosen) == stays, patience=60)
    assert len(stand.ca.issued) == before


def test_an_order_that_a_restored_state_repeats_leaves_out_replaces(stand, served):
    before = len(stand.ca.issued)
    backup = (served.folder / "state.db").read_bytes()
    assert renew(served, "app.test", "--force").returncode == 0
    (served.folder / "state.db").write_bytes(backup)
    stand.proxy.arm(None, None)
    done = renew(served, "app.test", "--force")
    assert done.returncode == 0, done.stderr
    # The CA refuses the order since the certificate was replaced already, and accepts it without `replaces`.
    assert [path for _, path in stand.proxy.calls].count("/order-plz") == 2
    assert len(stand.ca.issued) == before + 2
    assert nothing_is_left(served)


def test_a_ca_that_always_advises_a_renewal_does_not_cause_endless_ones(stand, served):
    before = len(stand.ca.issued)

    def want(call):
        past = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * DAY)) for days in (2, 1)]
        body = json.dumps({"suggestedWindow": {"start": past[0], "end": past[1]}}).encode()
        call.answer(200, [("Content-Type", "application/json")], body)

    stand.proxy.arm(None, want, ADVICE)
    served.start()
    eventually("a renewal", lambda: len(stand.ca.issued) == before + 1)
    eventually("the end of the order", lambda: nothing_is_left(served))
    served.stop()
    served.start()
    (at,), = rows(served, "SELECT next_advice_at FROM renewals WHERE certificate = 'app.test'")
    assert 5 * 3600 < at - time.time() <= 6 * 3600
    served.stop()
    assert len(stand.ca.issued) == before + 1

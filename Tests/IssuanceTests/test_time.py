"""Renewal as time passes: real time with very short-lived certificates, and clocks that are wrong.

Real time passes with AEGIS_LONG=1 only, for some minutes.
"""

import os
import ssl
import time

import pytest

from client import Client, tls_context
from clocks import ahead, needs_faketime
from gateway import eventually
from hosts import host, nothing_is_left, rows, serial
from stand import Stand

DAY = 86_400
LIFETIME = 80
RENEWALS = 4


@pytest.fixture
def stand_with(tmp_path):
    made = []

    def make(lifetime):
        made.append(Stand(tmp_path, certificateValidityPeriod=lifetime))
        return made[-1]

    yield make
    for stand in made:
        stand.stop()


@pytest.mark.skipif(not os.environ.get("AEGIS_LONG"), reason="it takes minutes: AEGIS_LONG=1")
def test_short_lived_certificates_never_expire_in_service(stand_with, figures):
    stand = stand_with(LIFETIME)
    names = [f"host{number}.test" for number in range(5)]
    gateway = stand.gateway([host(name) for name in names])
    gateway.apply()
    gateway.start()
    try:
        trust = tls_context(stand.ca.root())
        seen = {name: [] for name in names}
        left = LIFETIME

        def all_are_renewed():
            nonlocal left
            for name in names:
                # The client verifies the certificate, including its validity.
                with Client(gateway.https, trust, name) as client:
                    assert client.get(name).status == 200
                    ends = ssl.cert_time_to_seconds(client.socket.getpeercert()["notAfter"])
                left = min(left, ends - time.time())
                if ends not in seen[name]:
                    seen[name].append(ends)
            return all(len(ends) > RENEWALS for ends in seen.values())

        eventually("renewals", all_are_renewed, patience=(RENEWALS + 1) * LIFETIME, pause=0.2)
        eventually("the end of all orders", lambda: nothing_is_left(gateway))
        issued = rows(gateway, "SELECT count(*) FROM ledger WHERE kind = 'certificate'")[0][0]
        assert len(stand.ca.issued) == issued
        figures.append(f"{len(names)} certificates of {LIFETIME} s renewed {RENEWALS} times and more each, "
                       f"{issued} issued in all, the shortest time left was {left:.0f} s")
    finally:
        gateway.stop()


@needs_faketime
@pytest.mark.parametrize("days, issued", [(20, 1), (75, 2)])
def test_a_gateway_renews_once_when_it_is_time(stand_with, days, issued):
    # The CA's clock is correct: a certificate that it issues to a gateway whose clock is 75 days ahead is due at once.
    stand = stand_with(90 * DAY)
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    for _ in range(2):
        # A gateway looks for due certificates as soon as it starts.
        before = looked(gateway)
        with ahead(days) as wrapper:
            try:
                gateway.start(*wrapper)
                eventually("a look at what is due", lambda: looked(gateway) != before)
                eventually("what is due", lambda: len(stand.ca.issued) >= issued and nothing_is_left(gateway))
            finally:
                gateway.stop()
    assert len(stand.ca.issued) == issued


def looked(gateway):
    """The lease that a gateway takes when it looks for due certificates; it changes each time."""
    return rows(gateway, "SELECT * FROM leases WHERE name = 'maintenance'")

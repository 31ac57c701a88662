"""A CA that wants a certificate renewed at once (RFC 9773): it is renewed, however new it is, and only once."""

import contextlib
import sqlite3
import threading
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gateway import PATIENCE, eventually
from hosts import host, nothing_is_left, rows, serial
from scripted_ca import ScriptedCA
from test_apply import renew
from twists import always, gave_up, put

DAY = 86_400
HOURS = 3600


def fingerprint(gateway):
    return rows(gateway, "SELECT fingerprint FROM certificates WHERE name = 'app.test'")[0][0]


def next_advice(gateway):
    return next((at for at, in rows(gateway, "SELECT next_advice_at FROM renewals WHERE certificate = 'app.test'")), 0)


def advise(gateway, seconds):
    """Stores renewal information for the current certificate, as a gateway does; `seconds`: from now."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("INSERT OR REPLACE INTO renewals (certificate, failures, advised_fingerprint, advised_at) "
                      "SELECT name, 0, fingerprint, unixepoch() + ? FROM certificates", (seconds,))


def test_a_gateway_renews_a_young_certificate_by_advice_and_not_the_next_one(odd):
    gateway, ca = odd(advice=(-2 * DAY, -DAY))
    gateway.apply()
    gateway.start()
    first = ca.issued[0]
    eventually("the renewal", lambda: len(ca.issued) == 2)
    eventually("the end of the order", lambda: nothing_is_left(gateway))
    eventually("the new one", lambda: serial(gateway, "app.test") != first.public_bytes(Encoding.DER))
    # The CA would suggest a time in the past again, if it were asked.
    asked = ca.calls["renewal"]
    assert 5 * HOURS < next_advice(gateway) - time.time() <= 6 * HOURS
    gateway.stop()
    gateway.start()
    done = renew(gateway, "--all")
    assert done.returncode == 0 and done.stdout == "Nothing is due.\n", done.stdout + done.stderr
    assert "No changes" in gateway.apply()
    assert ca.calls["renewal"] == asked and len(ca.issued) == 2


def test_an_odd_explanation_does_not_hide_the_advice(odd):
    gateway, ca = odd(always("renewal", put(explanationURL=5)), advice=(-2 * DAY, -DAY))
    gateway.apply()
    done = renew(gateway, "--all")
    assert done.returncode == 0 and len(ca.issued) == 2, done.stdout + done.stderr


def test_a_silent_ca_does_not_delay_the_advice_of_another(odd, tmp_path):
    gateway, ca = odd(advice=(-2 * DAY, -DAY))
    over = threading.Event()
    silent = ScriptedCA(tmp_path / "silent", advice=(-2 * DAY, -DAY))
    try:
        gateway.config["issuers"]["silent"] = silent.issuer
        gateway.config["hosts"] += [host(f"app{number}.test", issuer="silent") for number in range(12)]
        gateway.apply()
        silent.twist = lambda kind, answer: kind == "renewal" and over.wait(PATIENCE * 5)
        gateway.start()
        # The silent CA answers only after this.
        eventually("the renewal at the other CA", lambda: len(ca.issued) == 2)
        assert len(silent.issued) == 12
    finally:
        over.set()
        silent.stop()


@pytest.mark.parametrize("renewing", ["renew", "apply"])
def test_a_young_certificate_is_renewed_by_request_once_it_is_advised(odd, renewing):
    gateway, ca = odd(advice=(-2 * DAY, -DAY))
    gateway.apply()
    advise(gateway, -DAY)
    if renewing == "renew":
        assert renew(gateway, "--all").returncode == 0
    else:
        gateway.apply()
    assert len(ca.issued) == 2
    assert renew(gateway, "--all").stdout == "Nothing is due.\n"
    assert "No changes" in gateway.apply()
    assert 5 * HOURS < next_advice(gateway) - time.time() <= 6 * HOURS
    # A forced renewal does not wait, and the CA may be asked about the renewed certificate at once.
    assert renew(gateway, "app.test", "--force").returncode == 0
    assert renew(gateway, "--all", "--force").returncode == 0
    assert len(ca.issued) == 4
    assert next_advice(gateway) == 0


def test_advice_for_a_future_time_renews_nothing_and_is_requested_again(odd):
    gateway, ca = odd(advice=(DAY, 2 * DAY))
    gateway.apply()
    advise(gateway, DAY)
    assert renew(gateway, "--all").stdout == "Nothing is due.\n"
    # The certificate is renewed for another reason, so the CA may be asked about the new certificate at once.
    assert renew(gateway, "app.test", "--force").returncode == 0
    assert next_advice(gateway) == 0


# MARK: Without a gateway

@pytest.mark.parametrize("names", [["--all"], ["app.test"], []])
def test_renew_requests_advice_but_not_about_the_new_certificate(odd, names):
    gateway, ca = odd(advice=(-2 * DAY, -DAY))
    gateway.apply()
    done = renew(gateway, *names)
    assert done.returncode == 0 and "app.test: renewed" in done.stderr, done.stdout + done.stderr
    assert len(ca.issued) == 2 and ca.calls["renewal"] == 1
    assert renew(gateway, *names).stdout == "Nothing is due.\n"
    assert len(ca.issued) == 2 and ca.calls["renewal"] == 1


@pytest.mark.parametrize("names", [["--all"], ["app.test"], []])
def test_advice_for_later_is_stored_and_replaced_by_the_next(odd, names):
    gateway, ca = odd(advice=(DAY, 2 * DAY))
    gateway.apply()
    assert renew(gateway, *names).stdout == "Nothing is due.\n"
    (at,), = rows(gateway, "SELECT advised_at - unixepoch() FROM renewals")
    assert DAY - 60 < at < 2 * DAY
    # The instant stays as long as it is within the CA's window.
    assert renew(gateway, *names).stdout == "Nothing is due.\n"
    assert rows(gateway, "SELECT advised_at - unixepoch() FROM renewals")[0][0] - at in range(-60, 1)
    assert ca.calls["renewal"] == 2
    # The CA will revoke the certificate, and says so before it should be asked again.
    ca.advice = (-2 * DAY, -DAY)
    assert "app.test: renewed" in renew(gateway, *names).stderr
    assert renew(gateway, *names).stdout == "Nothing is due.\n"
    assert ca.calls["renewal"] == 3 and len(ca.issued) == 2


def stalls(answer):
    answer.stalls = True


def is_busy(answer):
    answer.problem("serverInternal", status=503)


def is_cut_off(answer):
    answer.hangs_up = True


@pytest.mark.parametrize("kind", ["directory", "renewal"])
@pytest.mark.parametrize("change", [stalls, is_busy, is_cut_off])
def test_a_silent_ca_is_reported_once_and_asked_by_the_next_renew(odd, kind, change):
    gateway, ca = odd(advice=(-2 * DAY, -DAY))
    gateway.config["hosts"] = [host(f"app{number}.test") for number in range(20)]
    gateway.apply()
    before = ca.calls[kind]
    ca.twist = lambda asked, answer: change(answer) if asked == kind else None
    done = renew(gateway)
    assert done.returncode == 0 and done.stdout == "Nothing is due.\n", done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if not line.startswith("  still asking")]
    assert len(lines) == 1 and "/directory does not say when it would have certificates renewed: " in lines[0], lines
    # After a failure no further request is made, so only those that ran at the same time were made. libcurl repeats
    # some of them after a connection was closed.
    assert ca.calls[kind] - before <= 16
    ca.twist = lambda asked, answer: None
    done = renew(gateway)
    assert done.returncode == 0 and len(ca.issued) == 40, done.stdout + done.stderr


def test_a_ca_that_does_not_know_a_certificate_is_reported_and_asked_hours_later(odd):
    gateway, ca = odd(advice=(-2 * DAY, -DAY))
    gateway.apply()
    ca.twist = lambda kind, answer: answer.problem("malformed", "no such one", 404) if kind == "renewal" else None
    assert "no such one" in renew(gateway).stderr
    assert renew(gateway).stderr == "" and ca.calls["renewal"] == 1


def test_a_ca_without_advice_is_not_reported(odd):
    gateway, ca = odd()
    gateway.apply()
    done = renew(gateway)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Nothing is due.\n", "")


@pytest.mark.parametrize("status, kind", [(500, "serverInternal"), (409, "alreadyReplaced")])
def test_an_order_that_replaces_nothing_follows_one_that_fails(odd, status, kind):
    gateway, ca = odd(advice=(DAY, 2 * DAY))
    gateway.apply()

    def refuse(asked, answer):
        if asked == "new-order" and "replaces" in answer.body:
            answer.problem(kind, "could not find an order for the given certificate", status)
            # The delay exceeds the time for tries, so the request is not repeated as it is.
            answer.fields["Retry-After"] = "7200"

    ca.twist, before = refuse, ca.new_orders
    done = renew(gateway, "app.test", "--force")
    assert done.returncode == 0, done.stderr
    assert ca.new_orders - before == 2 and len(ca.issued) == 2
    assert nothing_is_left(gateway)


def test_an_order_that_a_proxy_gave_up_is_not_placed_again_at_once(odd):
    gateway, ca = odd(advice=(DAY, 2 * DAY))
    gateway.apply()
    ca.twist, before = always("new-order", gave_up), ca.new_orders
    assert renew(gateway, "app.test", "--force").returncode == 3
    assert ca.new_orders - before == 1

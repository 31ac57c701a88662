"""Changes between a certificate and its renewal: the CA, its settings, and orders that were begun."""

import contextlib
import json
import pathlib
import socket
import sqlite3
import subprocess
import threading

import pytest

from gateway import PROGRAMS, Gateway, eventually, free_port
from hosts import host, nothing_is_left, rows, shown
from pebble import Pebble
from reporting import parts
from stand import Stand
from test_apply import aegis, renew
from test_advice import PROGRAM

needs_ari = pytest.mark.skipif(not PROGRAM.exists(), reason="scripts/unpack-debian could not fetch a newer Pebble")


@pytest.fixture
def two_cas(tmp_path):
    """A gateway, neither applied nor started, and two CAs with renewal information."""
    gateway = Gateway(tmp_path / "gateway", [host("app.test")])
    cas = [Pebble(tmp_path / name, gateway.http, gateway.https, program=PROGRAM) for name in ("one", "two")]
    made = [gateway, *cas]
    parts.extend(made)
    yield gateway, *cas
    for part in made:
        parts.remove(part)
        part.stop()


def change(gateway, statement, *values):
    """Changes the state while aegis-apply and the gateway don't look."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute(statement, values)


def problem(kind, status=403):
    """A fault: the CA refuses with a problem type of RFC 8555."""
    body = json.dumps({"type": f"urn:ietf:params:acme:error:{kind}", "detail": "not now"}).encode()
    return lambda call: call.answer(status, [("Content-Type", "application/problem+json")], body)


@needs_ari
def test_a_certificate_is_reissued_when_its_issuer_gets_another_directory(two_cas):
    gateway, staging, production = two_cas
    gateway.config["issuers"] = {"letsencrypt": staging.issuer}
    gateway.apply()
    assert rows(gateway, "SELECT directory FROM certificates") == [(staging.directory,)]
    gateway.config["issuers"] = {"letsencrypt": production.issuer}
    assert "its issuer's directory is another now" in gateway.run_apply().stdout
    assert (len(staging.issued), len(production.issued)) == (1, 1)
    assert rows(gateway, "SELECT directory FROM certificates") == [(production.directory,)]
    assert nothing_is_left(gateway)
    gateway.start()
    assert shown(gateway, production, "app.test") == "app.test"
    assert "No changes" in gateway.run_apply().stdout


@pytest.fixture
def stand(tmp_path):
    """Makes a CA behind a proxy for one test, which may erase the CA's memory."""
    made = []

    def make(**settings):
        made.append(Stand(tmp_path / f"stand{len(made)}", **settings))
        parts.append(made[-1].ca)
        return made[-1]

    yield make
    for part in made:
        parts.remove(part.ca)
        part.stop()


def begin(stand, gateway, path="/finalize-order", fault=problem("serverMaintenance")):
    """Leaves an order that the CA has refused to continue once."""
    stand.proxy.arm(None, fault, path)
    gateway.apply(expect=3)
    stand.proxy.arm(None, None)
    (order,), = rows(gateway, "SELECT url FROM orders")
    assert order
    return order


def test_an_order_lost_by_the_ca_with_our_account_is_placed_again(stand):
    stand = stand()
    gateway = stand.gateway([host("app.test")])
    begin(stand, gateway)
    stand.ca.restart_empty()
    gateway.apply()
    assert nothing_is_left(gateway)


@pytest.mark.parametrize("path, fault, is_taken_up", [
    # A CA that refuses has not issued; a CA that does not answer may have.
    ("/finalize-order", lambda call: call.hang_up(), True), ("/finalize-order", problem("serverMaintenance"), False),
    ("/chalZ", problem("serverMaintenance"), False),
], ids=["finalization lost", "finalization refused", "challenge refused"])
def test_an_order_with_other_settings_is_resumed_only_if_its_certificate_fits(
        stand, path, fault, is_taken_up):
    stand = stand()
    gateway = stand.gateway([host("app.test")])
    order = begin(stand, gateway, path, fault)
    gateway.config["issuers"]["letsencrypt"]["key_type"] = "rsa-2048"
    gateway.apply()
    assert nothing_is_left(gateway)
    used = f"Issued certificate serial {stand.ca.issued[0]} for order {order.split('/')[-1]}"
    assert (used in stand.ca.log) == is_taken_up


def test_an_order_of_another_external_account_is_placed_again(stand):
    mac = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    stand = stand(externalAccountBindingRequired=True, externalAccountMACKeys={"one": mac, "two": mac})
    gateway = stand.gateway([host("app.test")], issuer={"eab": {"kid": "one", "hmac_key": {"file": "mac"}}})
    (gateway.folder / "mac").write_text(mac)
    begin(stand, gateway)
    gateway.config["issuers"]["letsencrypt"]["eab"]["kid"] = "two"
    gateway.apply()
    assert nothing_is_left(gateway)


def test_a_certificate_that_expired_before_its_download_is_ordered_again(stand):
    stand = stand(certificateValidityPeriod=5)
    gateway = stand.gateway([host("app.test")])
    begin(stand, gateway, "/certZ")
    (at,), = rows(gateway, "SELECT unixepoch()")
    eventually("the certificate's end", lambda: rows(gateway, "SELECT unixepoch() > ?", at + 5) == [(1,)])
    assert "and not now" in gateway.apply(expect=3, everything=True)
    gateway.apply()
    assert nothing_is_left(gateway)
    assert len(stand.ca.issued) == 2


def test_a_bad_chain_is_fetched_once_more_before_another_order(stand):
    stand = stand()
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    issued = len(stand.ca.issued)
    chain = stand.ca.certificate.read_bytes()
    bad = lambda call: call.answer(200, [("Content-Type", "application/pem-certificate-chain")], chain)
    stand.proxy.arm(None, bad, "/certZ")
    for orders in (1, 0):
        assert renew(gateway, "app.test", "--force").returncode == 3
        assert len(rows(gateway, "SELECT 1 FROM orders")) == orders
        assert len(stand.ca.issued) == issued + 1
    stand.proxy.arm(None, None)
    assert renew(gateway, "app.test", "--force").returncode == 0
    assert len(stand.ca.issued) == issued + 2


def test_a_silent_ca_delays_no_other_ca(site):
    names = [f"waits{number}.test" for number in range(8)]
    gateway, ca = site([*(host(name, issuer="silent") for name in names), host("app.test")])
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", free_port()))
        silent.listen(64)
        directory = f"https://127.0.0.1:{silent.getsockname()[1]}/dir"
        gateway.config["issuers"]["silent"] = {**ca.issuer, "directory": directory}
        apply = gateway.launch_apply(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            news = next(line for line in apply.stdout if "certificate" in line and ": issue\n" not in line)
            assert news == "  certificate app.test: issued\n"
            assert apply.poll() is None
        finally:
            apply.kill()
            apply.communicate()


@pytest.fixture
def alias_in_vain(stand):
    """A CA, and a running gateway with a host whose new alias the CA has once refused to certify."""
    stand = stand()
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    gateway.start()
    stand.proxy.arm(None, problem("serverMaintenance"), "/order-plz")
    gateway.host("app.test")["aliases"] = ["www.app.test"]
    gateway.apply(expect=3)
    stand.proxy.arm(None, None)
    yield stand.ca, gateway
    gateway.stop()


def try_again(gateway):
    """Makes the next try due."""
    change(gateway, "UPDATE renewals SET next_try_at = 0")


def test_a_gateway_tries_again_to_obtain_the_certificate_of_a_changed_host(alias_in_vain):
    ca, gateway = alias_in_vain
    assert renew(gateway, "app.test").stdout.startswith("'app.test' is due, and waits until 20")
    try_again(gateway)
    eventually("the certificate for both names",
               lambda: rows(gateway, "SELECT domains FROM certificates") == [("app.test www.app.test",)], patience=60)
    eventually("the end of the order", lambda: nothing_is_left(gateway))
    assert shown(gateway, ca, "www.app.test") == "app.test"
    assert "No changes" in gateway.run_apply().stdout


def test_a_handshake_for_a_new_alias_orders_its_certificate(alias_in_vain):
    ca, gateway = alias_in_vain
    change(gateway, "DELETE FROM renewals")
    gateway.stop()
    gateway.start()
    assert shown(gateway, ca, "www.app.test") == "app.test"


def test_the_missing_certificate_of_a_changed_host_is_obtained_by_renew(alias_in_vain):
    ca, gateway = alias_in_vain
    gateway.stop()
    try_again(gateway)
    done = renew(gateway)
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(gateway, "SELECT domains FROM certificates") == [("app.test www.app.test",)]


def test_a_chain_without_its_intermediate_replaces_no_certificate(stand):
    def cut(call):
        status, fields, body = call.pass_on()
        end = b"-----END CERTIFICATE-----\n"
        call.answer(status, fields, body.split(end)[0] + end if status == 200 else body)

    stand = stand()
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    before = rows(gateway, "SELECT fingerprint FROM certificates")
    stand.proxy.arm(None, cut, "/certZ")
    for _ in range(3):
        done = renew(gateway, "app.test", "--force")
        assert done.returncode == 3
        assert "the CA's chain ends before the issuing CA's certificate" in done.stdout + done.stderr
        assert rows(gateway, "SELECT fingerprint FROM certificates") == before
    stand.proxy.arm(None, None)
    assert renew(gateway, "app.test", "--force").returncode == 0
    assert len(stand.ca.issued) == 2


def test_an_order_of_a_certificate_that_is_no_longer_named_is_deleted(stand):
    stand = stand()
    gateway = stand.gateway([host("app.test")])
    gateway.config["certificates"] = {"other": {"issuer": "letsencrypt", "domains": ["other.test"]}}
    stand.proxy.arm(None, problem("serverMaintenance"), "/finalize-order")
    gateway.apply(expect=3)
    stand.proxy.arm(None, None)
    del gateway.config["certificates"]
    assert "certificate other (no longer in the file; its order never gave a certificate)" in gateway.apply()
    assert nothing_is_left(gateway)
    assert rows(gateway, "SELECT * FROM renewals") == []
    assert "No changes" in gateway.apply()


def test_a_leases_holder_is_shown_to_others_and_a_dead_holders_lease_is_free(stand):
    stand = stand()
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    held, free = threading.Event(), threading.Event()

    def hold(call):
        held.set()
        free.wait(60)
        call.answer(*call.pass_on())

    stand.proxy.arm(1, hold, "/order-plz")
    first = subprocess.Popen([PROGRAMS / "aegis-apply", "renew", "app.test", "--force"], cwd=gateway.folder,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert held.wait(20)
        done = renew(gateway, "app.test", "--force")
        assert done.returncode == 3 and "another process is having it" in done.stdout + done.stderr
        # The killed process's parent has not waited for it yet, so it is a zombie.
        first.kill()
        eventually("its end", lambda: pathlib.Path(f"/proc/{first.pid}/stat").read_text().split(") ")[1][0] == "Z")
        assert renew(gateway, "app.test", "--force").returncode == 0
    finally:
        free.set()
        first.kill()
        first.wait()


def test_a_ca_that_lost_our_account_still_revokes_and_changes_the_key(stand):
    stand = stand()
    gateway = stand.gateway([host("app.test")])
    gateway.apply()
    change(gateway, "DELETE FROM accounts")
    done = aegis(gateway, "certificates", "revoke", "app.test", "--reason", "superseded")
    assert done.returncode == 0, done.stderr
    stand.ca.restart_empty()
    done = aegis(gateway, "accounts", "rollover", "letsencrypt")
    assert done.returncode == 0, done.stderr
    assert renew(gateway, "app.test", "--force").returncode == 0


def test_a_changed_contact_is_sent_to_the_ca(stand):
    stand = stand()
    gateway = stand.gateway([host("app.test")], issuer={"email": "old@example.org"})
    gateway.apply()
    gateway.config["issuers"]["letsencrypt"]["email"] = "new@example.org"
    gateway.apply()
    stand.proxy.arm(None, None)
    assert renew(gateway, "app.test", "--force").returncode == 0
    (url,), = rows(gateway, "SELECT url FROM accounts")
    assert any(url.endswith(path) for method, path in stand.proxy.calls)
    assert rows(gateway, "SELECT contact FROM accounts") == [("new@example.org",)]


def test_advice_is_requested_from_the_ca_that_issued(stand):
    first, second = stand(), stand(program=PROGRAM) if PROGRAM.exists() else pytest.skip("no newer Pebble")
    gateway = second.gateway([host("app.test", issuers=["one", "two"])])
    gateway.config["issuers"] = {"one": first.proxy.issuer, "two": second.proxy.issuer}
    first.proxy.arm(None, problem("serverMaintenance"))
    gateway.apply()
    assert rows(gateway, "SELECT directory FROM certificates") == [(second.proxy.issuer["directory"],)]
    first.proxy.arm(None, None)
    gateway.start()
    try:
        eventually("advice", lambda: rows(gateway, "SELECT 1 FROM renewals WHERE advised_at > 0"))
    finally:
        gateway.stop()
    assert first.proxy.calls == []


@needs_ari
def test_an_order_is_repeated_without_a_replaces_that_the_ca_refuses(two_cas):
    gateway, known, other = two_cas
    gateway.config["issuers"] = {"letsencrypt": known.issuer}
    gateway.apply()
    # The state has no record of which CA issued the certificate, as after an upgrade. The CA has lost its memory.
    change(gateway, "UPDATE certificates SET directory = ''")
    known.restart_empty()
    done = renew(gateway, "app.test", "--force")
    assert done.returncode == 0, done.stdout + done.stderr
    # The CA treated none of the orders as a renewal.
    assert rows(gateway, "SELECT DISTINCT is_exempt FROM ledger") == [(0,)]

"""The gateway gets certificates itself: when a handshake asks for one, and when one is due."""

import threading
import time

from admin_api import ask, make_token
from client import Client, tls_context
from gateway import eventually
from hosts import age, forget, host, nothing_is_left, rows, serial, shown


def without_certificate(site, hosts, **options):
    """Starts a gateway whose first host has no certificate. Returns the gateway, the CA, and how many certificates the
    CA has issued so far."""
    gateway, ca = site(hosts, **options)
    gateway.apply()
    forget(gateway, hosts[0]["domain"])
    gateway.start()
    return gateway, ca, len(ca.issued)


def test_a_first_handshake_orders_the_certificate_once_for_all_clients(site):
    gateway, ca, before = without_certificate(
        site, [host("app.test"), {"domain": "plain.test", "respond": {"body": "plain"}}])
    trust = tls_context(ca.root())
    bodies, faults = [], []

    def ask():
        try:
            with Client(gateway.https, trust, "app.test") as client:
                bodies.append(client.get("app.test").body)
        except (OSError, AssertionError) as fault:
            faults.append(repr(fault))

    clients = [threading.Thread(target=ask) for _ in range(100)]
    for client in clients:
        client.start()
    # Other hosts are served meanwhile.
    with Client(gateway.https, tls_context(), "plain.test") as client:
        assert client.get("plain.test").body == b"plain"
    for client in clients:
        client.join()
    assert not faults
    assert bodies == [b"app.test"] * 100
    assert gateway.log.count("having the certificate 'app.test'") == 1
    assert len(ca.issued) == before + 1


def test_a_handshake_waits_at_most_on_demand_wait(site):
    gateway, ca, _ = without_certificate(site, [host("app.test")], issuer={"on_demand_wait": "1s"})
    super(type(ca), ca).stop()
    begun = time.monotonic()
    with Client(gateway.https, tls_context(gateway.root), "app.test") as client:
        assert client.get("app.test").body == b"app.test"
    # Without the setting the handshake would wait ten seconds: this limit is what the test is about.
    assert time.monotonic() - begun < 8


def test_names_that_are_not_configured_order_nothing(site):
    gateway, ca, before = without_certificate(site, [host("app.test")])
    with Client(gateway.https, tls_context(gateway.root), "other.test") as client:
        assert client.get("other.test").status == 404
    assert len(ca.issued) == before
    assert "having the certificate" not in gateway.log


def test_a_due_certificate_is_renewed_and_served(site):
    gateway, ca = site([host("app.test")])
    gateway.apply()
    gateway.start()
    before = serial(gateway, "app.test")
    age(gateway, "app.test")
    eventually("the new certificate", lambda: serial(gateway, "app.test") != before, patience=60)
    assert len(ca.issued) == 2
    eventually("the end of the order", lambda: nothing_is_left(gateway))


def test_a_handshake_orders_the_certificate_although_another_one_stands_in(site):
    wild = {"issuers": {"lan": {"type": "local_ca"}}, "certificates": {"wild": {"issuer": "lan", "domains": ["*.shop.test"]}}}
    gateway, ca, before = without_certificate(site, [host("app.shop.test")], **wild)
    # The other certificate serves the client, which does not wait.
    standing_in = serial(gateway, "app.shop.test")
    eventually("its own certificate", lambda: serial(gateway, "app.shop.test") != standing_in, patience=60)
    assert shown(gateway, ca, "app.shop.test") == "app.shop.test"
    assert gateway.log.count("having the certificate 'app.shop.test'") == 1
    assert len(ca.issued) == before + 1


def test_a_request_to_renew_obtains_a_certificate_that_nobody_has_visited(site):
    gateway, ca, before = without_certificate(site, [host("app.test")])
    token = make_token(gateway, "ops", "--scope", "write")
    asked = ask(gateway, "/api/v1/hosts/app.test/renew", token, method="POST", send={})
    assert asked.status == 202, asked.body
    eventually("the certificate", lambda: len(ca.issued) == before + 1, patience=60)


def test_a_request_to_renew_ends_the_pause_after_a_failure(site):
    gateway, ca, before = without_certificate(site, [host("app.test")], issuer={"on_demand_wait": "1s"})
    token = make_token(gateway, "ops", "--scope", "write")
    super(type(ca), ca).stop()
    serial(gateway, "app.test")
    eventually("the failure", lambda: rows(gateway, "SELECT failures FROM renewals WHERE failures > 0"), patience=60)
    ca.start()
    assert ask(gateway, "/api/v1/hosts/app.test/renew", token, method="POST", send={}).status == 202
    eventually("the certificate", lambda: rows(gateway, "SELECT 1 FROM certificates WHERE name = 'app.test'"), patience=60)

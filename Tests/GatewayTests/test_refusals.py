"""What the gateway reports of certificates that it refuses: a line of the log, an event, and a metric."""

import contextlib
import json
import sqlite3

import pytest

from authority import CLIENT, SERVER, Holder, pem
from client import Client
from client_auth import LOCAL, ask, certified, context, refusals
from gateway import eventually

HOST = "127.0.0.1"

root, stranger = Holder("clients", is_ca=True), Holder("stranger", is_ca=True)
unknown = Holder("eve", stranger, names=["eve.test"], purposes=[CLIENT])


def events(gateway, **wanted):
    """The events of refused certificates with these details, each with its host."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        rows = state.execute("SELECT kind, name, details FROM events WHERE action = 'refuse' ORDER BY id").fetchall()
    found = [{"kind": kind, "name": name, **json.loads(details)} for kind, name, details in rows]
    return [event for event in found if wanted.items() <= event.items()]


def lines(gateway, *texts):
    return [line for line in gateway.log.splitlines()
            if "certificate was refused" in line and all(text in line for text in texts)]


def facts(holder):
    """What a report says of a certificate."""
    certificate = holder.certificate
    return {
        "subject": certificate.subject.rfc4514_string(), "issuer": certificate.issuer.rfc4514_string(),
        "not_after": certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")}


@pytest.fixture
def gateway(run, tmp_path):
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    return run(
        [certified("any.test", client_auth={"ca_file": str(tmp_path / "ca.pem")}, respond={"status": 200, "body": "ok"})],
        **LOCAL)


def test_a_clients_refused_certificate_is_reported_with_its_facts(gateway, tmp_path):
    assert isinstance(ask(gateway, context(unknown, folder=tmp_path), "any.test")[0], str)
    event, = eventually("the event", lambda: events(gateway, direction="in"))
    assert event["kind"] == "host" and event["name"] == "any.test" and event["peer"] == HOST
    assert event["reason"] == "unknown_authority" and "eve.test" in event["sans"]
    assert facts(unknown).items() <= event.items()
    line, = lines(gateway)
    assert "a client's certificate was refused" in line
    for text in ("host=any.test", f"peer={HOST}", "subject=", "issuer=", "serial=", "sans=", "not_after="):
        assert text in line


@pytest.mark.parametrize("cas", ["ca_file", "the system's"])
@pytest.mark.parametrize("by", ["request", "health check"])
def test_an_upstreams_refused_certificate_is_reported_as_a_clients_is(run, make_origin, tmp_path, cas, by):
    leaf = Holder("shop", stranger, names=[HOST], purposes=[SERVER])
    origin = make_origin(tls=leaf.server(tmp_path / "leaf.pem"))
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    host = {"domain": "app.test", "upstreams": [origin.url]}
    if cas == "ca_file":
        host["upstream_tls"] = {"ca_file": str(tmp_path / "ca.pem")}
    if by == "health check":
        host["health_check"] = {"path": "/healthz", "interval": "60s"}
    gateway = run([host])
    if by == "request":
        with Client(gateway.http) as client:
            answer = client.get()
        assert answer.status == 502
        gateway.await_log("no answer from", answer["X-Request-Id"], "by an authority that is trusted")
    event, = eventually("the event", lambda: events(gateway))
    assert event["direction"] == "out" and event["kind"] == "host" and event["name"] == "app.test"
    assert event["peer"] == HOST and event["reason"] == "unknown_authority" and HOST in event["sans"]
    assert facts(leaf).items() <= event.items()
    line, = lines(gateway)
    assert "an upstream's certificate was refused" in line
    for text in ("host=app.test", f"peer={HOST}", "subject=", "issuer=", "serial=", "sans=", "not_after="):
        assert text in line
    name = 'aegis_upstream_certificates_refused_total{host="app.test",reason="unknown_authority"}'
    eventually("the count", lambda: f"{name} 1" in gateway.ask("/metrics")[1])


def test_clients_without_a_certificate_keep_no_refused_one_out_of_the_log(gateway, tmp_path):
    """Threat: anybody fills the allowance by handshakes without a certificate, and then tries certificates unseen."""
    bare, refused = context(), context(unknown, folder=tmp_path)
    for _ in range(60):
        ask(gateway, bare, "any.test")
    eventually("they are counted", lambda: refusals(gateway, "any.test", "no_certificate") == 60)
    assert 20 <= len(lines(gateway, "no_certificate")) < 60
    for _ in range(15):
        ask(gateway, refused, "any.test")
    eventually("each is logged", lambda: len(lines(gateway, "unknown_authority")) == 15)
    eventually("each is an event", lambda: len(events(gateway, reason="unknown_authority")) == 15)


def test_a_failing_upstream_keeps_no_clients_refused_certificate_out_of_the_log(run, make_origin, tmp_path):
    origin = make_origin(tls=Holder("shop", stranger, names=[HOST]).server(tmp_path / "leaf.pem"))
    (tmp_path / "ca.pem").write_bytes(pem(root.certificate))
    settings = {"ca_file": str(tmp_path / "ca.pem")}
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url], "upstream_tls": settings},
         certified("any.test", client_auth=settings, respond={"status": 200, "body": "ok"})], **LOCAL)
    with Client(gateway.http) as client:
        for _ in range(30):
            assert client.get().status == 502
    eventually("the upstream's are logged", lambda: len(lines(gateway, "an upstream's")) >= 20)
    ask(gateway, context(unknown, folder=tmp_path), "any.test")
    eventually("the client's is logged", lambda: lines(gateway, "a client's", "unknown_authority"))

"""Changes of the state while the gateway serves: every request gets its whole answer, and changes take effect at once."""

import math
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import threading

import pytest

from client import Client, tls_context
from gateway import eventually, free_port
from handshake import served
from load import Load
from shop import load_upstream, shop, shop_gateway

upstream = pytest.fixture(load_upstream)
gateway = pytest.fixture(shop_gateway)

APPLIES = 200 if os.environ.get("AEGIS_LONG") else 40


@pytest.fixture
def probe(gateway):
    """Runs probe.py, which is not delayed by this process's threads."""
    with subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("probe.py"), gateway.folder / "state.db",
             str(gateway.https), "shop.test"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


def test_applies_lose_no_request(gateway, upstream, probe, figures):
    hosts = gateway.config["hosts"]
    extra = None
    milliseconds = []
    revision = gateway.metric("aegis_state_revision")
    with Load(gateway) as load:
        for number in range(1, APPLIES + 1):
            # Each change has another certificate and, by turns, a new host, a changed host, a removed host, or a
            # listener.
            match number % 4:
                case 1:
                    hosts.append({"domain": f"extra{number}.test", "respond": {"status": 200, "body": f"{number}"}})
                case 2:
                    hosts[0]["headers"] = {"response": {"set": {"X-Round": str(number)}}}
                case 3:
                    gone = hosts.pop()
                    assert gone["domain"].startswith("extra")
                case 0:
                    if extra is None:
                        extra = free_port()
                        gateway.config["gateway"]["http"].append(f"127.0.0.1:{extra}")
                    else:
                        gateway.config["gateway"]["http"].pop()
                        extra = None
            expected = shop(gateway, number)
            print(expected, file=probe.stdin, flush=True)
            gateway.reload()
            milliseconds.append(float(probe.stdout.readline()))
            assert served(gateway.https, "shop.test") == expected
            with Client(gateway.http) as client:
                if number % 4 == 1:
                    assert client.get(f"extra{number}.test").body == str(number).encode()
                if number % 4 == 3:
                    assert client.get(gone["domain"]).status == 404
                if number % 4 == 2:
                    assert client.get("app.test", "/?id=1")["X-Round"] == str(number)
            if number % 4 == 0 and extra:
                with Client(extra) as client:
                    assert client.get("shop.test").body == b"shop"
    assert gateway.metric("aegis_state_revision") >= revision + APPLIES
    assert not upstream.faults
    milliseconds.sort()
    percentile = milliseconds[math.ceil(0.99 * len(milliseconds)) - 1]
    figures.append(
        f"{APPLIES} applies under load: {load.requests} requests and {load.messages} messages, none lost; commit to "
        f"handshake: p50 {statistics.median(milliseconds):.0f} ms, p99 {percentile:.0f} ms, at most "
        f"{milliseconds[-1]:.0f} ms")


def test_open_connections_continue_under_the_changed_host(gateway, upstream):
    with Client(gateway.https, tls_context(), "app.test") as client:
        assert client.get("app.test", "/?id=1").status == 200
        gateway.host("app.test")["headers"] = {"response": {"set": {"X-New": "yes"}}}
        gateway.reload()
        assert client.get("app.test", "/?id=2")["X-New"] == "yes"
        gateway.config["hosts"].remove(gateway.host("app.test"))
        gateway.reload()
        assert client.get("app.test", "/?id=3").status in (404, 421)


def test_a_download_finishes_after_its_host_is_removed(gateway, upstream):
    release = threading.Event()

    def slow(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        release.wait(10)
        connection.send(b"world")

    upstream.answers["/slow"] = slow
    with Client(gateway.https, tls_context(), "app.test") as client:
        client.send("GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.until(b"hello")
        gateway.config["hosts"].remove(gateway.host("app.test"))
        shop(gateway, 1)
        gateway.reload()
        release.set()
        assert client.exactly(5) == b"world"


def test_metrics_have_the_expiry_of_certificates(gateway):
    """The end of each certificate and the earliest end, whichever certificate is new, renewed or removed."""
    def ends():
        text = gateway.ask("/metrics")[1]
        name = "aegis_certificate_not_after_timestamp_seconds"
        return {line.split('"')[1]: float(line.split()[-1]) for line in text.splitlines() if line.startswith(name + "{")}

    def first():
        return gateway.metric("aegis_certificate_soonest_not_after_seconds")

    assert set(ends()) == {"shop"} and first() == ends()["shop"]
    # The local CA's certificate ends later than the operator's 90-day certificate, which is removed afterwards.
    gateway.config["issuers"] = {"lan": {"type": "local_ca"}}
    gateway.config["certificates"]["own"] = {"issuer": "lan", "domains": ["own.test"]}
    gateway.reload()
    assert set(ends()) == {"shop", "own"} and first() == ends()["shop"] < ends()["own"]
    gateway.config["hosts"].pop()
    del gateway.config["certificates"]["shop"]
    gateway.reload()
    assert set(ends()) == {"own"} and first() == ends()["own"]


def test_the_nodes_row_has_the_served_revision(gateway):
    gateway.config["hosts"].append({"domain": "more.test", "respond": {"status": 200, "body": ""}})
    gateway.reload()
    with sqlite3.connect(gateway.folder / "state.db") as state:
        eventually("the node's row", lambda: state.execute(
            "SELECT 1 FROM nodes, position WHERE nodes.revision = position.revision AND phase = 'ready' "
            "AND process = ?", (gateway.process.pid,)).fetchone())


def test_challenges_are_answered_before_redirects(gateway):
    gateway.host("shop.test")["force_https"] = True
    gateway.reload()
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            "INSERT INTO challenges (token, key_authorization, domain, created_at, revision) "
            "SELECT 'token-1', 'token-1.thumb', 'shop.test', 0, revision FROM position")

    def answered(host):
        with Client(gateway.http) as client:
            response = client.get(host, "/.well-known/acme-challenge/token-1")
            return response.status == 200 and response.body
    assert eventually("the challenge's answer", lambda: answered("shop.test")) == b"token-1.thumb"
    assert answered("anything.test") == b"token-1.thumb"
    with Client(gateway.http) as client:
        assert client.get("shop.test", "/.well-known/acme-challenge/token-2").status == 301
        assert client.get("shop.test", "/.well-known/acme-challenge/../x").status == 301


def test_a_new_upstream_is_in_force_once_its_name_is_known(names, gateway, upstream):
    gateway.config["hosts"].append({"domain": "new.test", "upstreams": [f"http://up.slow.test:{upstream.port}"]})
    gateway.apply()
    eventually("a question for the name", names.with_name("names.asked").exists)
    statuses = []
    with Client(gateway.http) as client:
        assert client.get("new.test").status == 404
        assert client.get("app.test", "/?id=1").status == 200
        names.touch()
        eventually("the host", lambda: statuses.append(client.get("new.test", "/?id=2").status) or statuses[-1] != 404)
    assert statuses[-1] == 200


def test_a_name_that_does_not_resolve_delays_a_change_by_seconds_only(names, gateway, upstream):
    hosts = gateway.config["hosts"]
    hosts.append({"domain": "new.test", "upstreams": ["http://up.slow.test:1"]})
    gateway.apply()
    eventually("a question for the name", names.with_name("names.asked").exists)
    # A change that is applied meanwhile is put in force afterwards.
    hosts.append({"domain": "later.test", "respond": {"status": 200, "body": ""}})
    gateway.apply()
    with Client(gateway.http) as client:
        assert client.get("later.test").status == 404
        eventually("both", lambda: client.get("later.test").status == 200)
        assert client.get("new.test").status == 502
        assert client.get("app.test", "/?id=1").status == 200

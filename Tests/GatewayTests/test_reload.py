"""Changes of the state while the gateway serves: every request gets its whole answer, and changes take effect at once."""

import contextlib
import hashlib
import math
import os
import pathlib
import signal
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import threading

import pytest

from client import Client, tls_context
from gateway import Gateway, eventually, free_port
from handshake import served
from load import Load, answer

APPLIES = 200 if os.environ.get("AEGIS_LONG") else 40


@pytest.fixture
def upstream(make_origin):
    origin = make_origin()
    origin.answer = answer
    return origin


def make_certificate(folder, name, number):
    """Makes an operator's certificate with its key. Returns the paths of the key and of the certificate."""
    key, chain = folder / f"{name}-{number}.key", folder / f"{name}-{number}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
         "-subj", f"/CN={name} {number}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", chain],
        check=True, capture_output=True)
    return key, chain


def fingerprint(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.read_text())).hexdigest()


def shop(gateway, number):
    """Writes an operator's certificate to the files that the configuration names. Returns its fingerprint."""
    key, chain = make_certificate(gateway.folder, "shop.test", number)
    (gateway.folder / "shop.key").write_bytes(key.read_bytes())
    (gateway.folder / "shop.pem").write_bytes(chain.read_bytes())
    return fingerprint(chain)


@pytest.fixture
def gateway(tmp_path, upstream):
    gateway = Gateway(
        tmp_path / "gateway",
        [
            {"domain": "app.test", "upstreams": [upstream.url]},
            {"domain": "shop.test", "ssl_mode": "custom", "certificate": "shop",
             "respond": {"status": 200, "body": "shop"}},
        ],
        certificates={"shop": {"source": "custom", "cert": {"file": "shop.pem"}, "key": {"file": "shop.key"}}})
    shop(gateway, 0)
    gateway.apply()
    gateway.start()
    yield gateway
    gateway.stop()


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


def test_a_removed_listener_lets_its_connections_finish(gateway, upstream):
    port = free_port()
    gateway.config["gateway"]["http"].append(f"127.0.0.1:{port}")
    gateway.reload()
    with Client(port) as client:
        assert client.get("shop.test").body == b"shop"
        gateway.config["gateway"]["http"].pop()
        gateway.reload()
        with pytest.raises(ConnectionRefusedError):
            Client(port)
        assert client.get("shop.test").body == b"shop"


def test_an_address_that_is_taken_is_a_problem_until_it_is_free(gateway):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway.config["gateway"]["http"].append(f"127.0.0.1:{port}")
        gateway.reload()
        gateway.await_log(f"can't listen at 127.0.0.1:{port}", "in use")
        assert served(gateway.https, "shop.test")
    with eventually("the listener", lambda: connection_to(port)) as client:
        assert client.get("shop.test").body == b"shop"


def connection_to(port):
    try:
        return Client(port)
    except ConnectionRefusedError:
        return None


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


@pytest.mark.parametrize("column, value", [
    ("sealed_key", b"broken"), ("chain", b"broken"), ("fingerprint", "broken"),
])
def test_an_unusable_certificate_leaves_the_old_one_in_force(gateway, column, value):
    before = served(gateway.https, "shop.test")
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            f"UPDATE certificates SET {column} = ?, revision = (SELECT revision FROM position) WHERE name = 'shop'",
            (value,))
    gateway.await_log("certificate 'shop' stays as it was")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    assert served(gateway.https, "shop.test") == before
    with sqlite3.connect(gateway.folder / "state.db") as state:
        assert state.execute(
            "SELECT name FROM events WHERE action = 'load' AND failure IS NOT NULL").fetchall() == [("shop",)]
    expected = shop(gateway, 1)
    gateway.reload()
    assert served(gateway.https, "shop.test") == expected
    assert gateway.metric("aegis_state_problems") == 0


def test_an_unreadable_host_leaves_the_old_one_in_force(gateway):
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            "UPDATE items SET record = ?, revision = (SELECT revision FROM position) WHERE name = 'shop.test'",
            (b'{"domain":"shop.test","respond":17}',))
    gateway.await_log("host 'shop.test' stays as it was")
    with Client(gateway.https, tls_context(), "shop.test") as client:
        assert client.get("shop.test").body == b"shop"


def test_a_state_that_is_no_database_changes_nothing(gateway):
    before = served(gateway.https, "shop.test")
    path = gateway.folder / "state.db"
    broken = gateway.folder / "broken"
    broken.write_bytes(b"this is no database" * 1000)
    broken.rename(path)
    gateway.await_log("the state can't be put in force")
    assert served(gateway.https, "shop.test") == before
    assert gateway.metric('aegis_reloads_total{result="failed"}') >= 1


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


def change_unseen(gateway, sql, *values):
    """Changes the state without a new revision, so that no reader notices."""
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        assert state.execute(sql, values).rowcount > 0


def read_all(gateway):
    """Makes the gateway read the whole state again, and waits until that is in force."""
    done = gateway.log.count("is being put in force")
    gateway.process.send_signal(signal.SIGHUP)
    eventually("the state read anew", lambda: gateway.log.count("is being put in force") > done)


@pytest.mark.parametrize("column, value", [("sealed_key", b"broken"), ("chain", b"broken"), ("fingerprint", "broken")])
def test_a_full_read_keeps_the_former_certificate_if_the_new_one_is_unusable(gateway, column, value):
    before = served(gateway.https, "shop.test")
    change_unseen(gateway, f"UPDATE certificates SET {column} = ? WHERE name = 'shop'", value)
    for _ in range(2):
        read_all(gateway)
        assert served(gateway.https, "shop.test") == before
    gateway.await_log("certificate 'shop' stays as it was")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    expected = shop(gateway, 1)
    gateway.reload()
    assert served(gateway.https, "shop.test") == expected
    assert gateway.metric("aegis_state_problems") == 0


@pytest.mark.parametrize("kind, name", [("host", "shop.test"), ("gateway", "gateway"), ("issuer", "lan")])
def test_a_full_read_keeps_the_former_item_if_the_new_record_is_unreadable(gateway, kind, name):
    gateway.config["issuers"] = {"lan": {"type": "local_ca"}}
    gateway.config["gateway"]["limits"] = {"header_fields": 16}
    gateway.reload()
    change_unseen(gateway, "UPDATE items SET record = ? WHERE kind = ? AND name = ?", b'{"domain":17}', kind, name)
    read_all(gateway)
    gateway.await_log(f"{kind} '{name}' stays as it was")
    eventually("the problem in /metrics", lambda: gateway.metric("aegis_state_problems") == 1)
    with Client(gateway.https, tls_context(), "shop.test") as client:
        assert client.get("shop.test").body == b"shop"
        assert client.get("shop.test", "/", *[f"X-{number}: 1" for number in range(16)]).status == 431


def test_a_full_read_removes_deleted_items(gateway):
    change_unseen(gateway, "DELETE FROM items WHERE name = 'shop.test'")
    change_unseen(gateway, "DELETE FROM certificates WHERE name = 'shop'")
    gone = served(gateway.https, "shop.test")
    read_all(gateway)
    with Client(gateway.http) as client:
        assert client.get("shop.test").status == 404
        assert client.get("app.test", "/?id=1").status == 200
    assert served(gateway.https, "shop.test") != gone


def test_a_full_read_removes_deleted_challenges(gateway):
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state, state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            "INSERT INTO challenges (token, key_authorization, domain, created_at, revision) "
            "SELECT 'token-1', 'token-1.thumb', 'shop.test', 0, revision FROM position")

    def answered():
        with Client(gateway.http) as client:
            return client.get("shop.test", "/.well-known/acme-challenge/token-1").body == b"token-1.thumb"

    eventually("the challenge's answer", answered)
    read_all(gateway)
    assert answered()
    change_unseen(gateway, "DELETE FROM challenges")
    read_all(gateway)
    eventually("no answer", lambda: not answered())


class Callers:
    """Clients that connect one after the other, some of which wait a while before their first byte."""

    def __init__(self, port, expected):
        self.port, self.expected = port, expected
        self.ending = threading.Event()
        self.served, self.faults = 0, []
        self.threads = [threading.Thread(target=self._call, args=(pause,)) for pause in (0, 0, 0.05, 0.3)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _call(self, pause):
        while not self.ending.is_set():
            try:
                with Client(self.port) as client:
                    self.ending.wait(pause)
                    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n")
                    status = client.response().status
                assert status in self.expected, status
                self.served += 1
            except (OSError, ValueError, AssertionError) as fault:
                self.faults.append(repr(fault))

    def await_more(self):
        before = self.served
        eventually("more of them", lambda: self.served >= before + 20)


@pytest.mark.parametrize("key", ["http", "https"])
def test_an_address_that_changes_on_its_port_loses_no_connection(gateway, key):
    port = getattr(gateway, key)
    # A plain request to a port of TLS gets an answer that says so.
    with Callers(port, (200,) if key == "http" else (400,)) as callers:
        callers.await_more()
        former = f"127.0.0.1:{port}"
        for text in [f":{port}", f"127.0.0.1:{port}", f"0.0.0.0:{port}", f":{port}", f"127.0.0.1:{port}"]:
            gone = gateway.log.count(f"no longer listening at {former}")
            gateway.config["gateway"][key] = [text]
            gateway.reload()
            callers.await_more()
            eventually("the end of the former", lambda: gateway.log.count(f"no longer listening at {former}") > gone)
            callers.await_more()
            former = text
    assert not callers.faults, callers.faults[:5]
    assert "can't listen" not in gateway.log
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_an_undone_change_keeps_the_address_open(gateway):
    with Callers(gateway.http, (200,)) as callers:
        for text in [f":{gateway.http}", f"127.0.0.1:{gateway.http}"] * 3:
            gateway.config["gateway"]["http"] = [text]
            gateway.reload()
        eventually("the end of the other", lambda: f"no longer listening at :{gateway.http}" in gateway.log)
        callers.await_more()
    assert not callers.faults, callers.faults[:5]


def test_a_client_that_sends_late_is_served_even_if_the_address_changes(gateway):
    gateway.config["gateway"]["http"] = [f":{gateway.http}"]
    gateway.reload()
    with Client(gateway.http) as client:
        gateway.config["gateway"]["http"] = [f"127.0.0.1:{gateway.http}"]
        gateway.reload()
        gateway.await_log(f"no longer listening at :{gateway.http}")
        assert client.get("shop.test").body == b"shop"


def test_swapped_ports_of_http_and_https_refuse_no_connection(gateway):
    http, https = gateway.http, gateway.https
    with Callers(http, (200, 400)) as first, Callers(https, (200, 400)) as second, Client(http) as kept:
        assert kept.get("shop.test").status == 200
        for _ in range(4):
            settings = gateway.config["gateway"]
            settings["http"], settings["https"] = settings["https"], settings["http"]
            gateway.reload()
            first.await_more()
            second.await_more()
        assert not first.faults and not second.faults, (first.faults + second.faults)[:5]
        settings["http"], settings["https"] = settings["https"], settings["http"]
        gateway.reload()
        assert served(http, "shop.test")
        assert kept.get("shop.test").body == b"shop"
    with Client(https) as client:
        assert client.get("shop.test").body == b"shop"


def test_an_address_stays_open_until_its_replacement_is_available(gateway):
    """192.0.2.1 belongs to no machine (RFC 5737)."""
    gateway.config["gateway"]["http"] = [f"192.0.2.1:{gateway.http}"]
    gateway.reload()
    gateway.await_log("can't listen at 192.0.2.1")
    with Client(gateway.http) as client:
        assert client.get("shop.test").body == b"shop"
    gateway.config["gateway"]["http"] = [f":{gateway.http}"]
    gateway.reload()
    gateway.await_log(f"no longer listening at 127.0.0.1:{gateway.http}")
    with Client(gateway.http) as client:
        assert client.get("shop.test").body == b"shop"

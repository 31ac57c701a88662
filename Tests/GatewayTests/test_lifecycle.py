"""The gateway's process: the first start, upgrades of the binary, and the end."""

import contextlib
import json
import os
import re
import signal
import socket
import threading

import pytest

from client import Client, tls_context
from gateway import Gateway, Successor, eventually
from load import ASK_SOCKET, Load, answer

UPGRADES = 20 if os.environ.get("AEGIS_LONG") else 5


@pytest.fixture
def upstream(make_origin):
    origin = make_origin()
    origin.answer = answer
    return origin


@pytest.fixture
def gateway(run, upstream):
    return run([{"domain": "app.test", "upstreams": [upstream.url]}])


def test_upgrades_of_the_binary_lose_no_request(gateway, upstream, figures):
    former = []
    with Load(gateway) as load:
        for _ in range(UPGRADES):
            before = load.requests
            former.append(gateway.upgrade())
            eventually("requests after the upgrade", lambda: load.requests > before + 20)
    for process in former:
        assert process.wait(20) == 0
    assert not upstream.faults
    figures.append(
        f"{UPGRADES} upgrades under load: {load.requests} requests and {load.messages} messages, none lost")


def test_a_state_that_others_can_read_is_served_with_a_warning(gateway):
    assert "chmod" not in gateway.log
    gateway.stop()
    (gateway.folder / "state.db").chmod(0o644)
    gateway.start()
    gateway.await_log("warning: the state 'state.db': others can read or write it", "chmod 600")
    with Client(gateway.http) as client:
        assert client.get("app.test", "/?id=1").status == 200


def test_an_upgrade_that_fails_leaves_the_old_process(gateway, upstream):
    key = gateway.folder / "key"
    key.rename(gateway.folder / "gone")
    os.kill(gateway.process.pid, signal.SIGUSR2)
    line = gateway.await_log("started a successor")
    # Without its key the successor does not become ready, and the old process continues to serve.
    with Client(gateway.http) as client:
        assert client.get("app.test", "/?id=1").status == 200
    # The successor may have ended by itself already.
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(re.search(r"process=(\d+)", line)[1]), signal.SIGKILL)
    gateway.await_log("the successor has ended before it served")
    with Client(gateway.https, tls_context(), "app.test") as client:
        assert client.get("app.test", "/?id=2").status == 200
    (gateway.folder / "gone").rename(key)
    former = gateway.upgrade()
    assert former.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_during_an_upgrade_ends_both_processes(gateway, number):
    successor = halted_successor(gateway)
    gateway.process.send_signal(number)
    gateway.await_log("the successor does not serve yet and is ended too")
    successor.send_signal(signal.SIGCONT)
    # The successor may not have installed its signal handlers yet.
    assert successor.wait() in (0, -number)
    assert gateway.process.wait(20) == 0


def halted_successor(gateway):
    """A successor that is halted before it serves. If a successor serves too early, it becomes the gateway, and another
    one is started."""
    for count in range(10):
        gateway.process.send_signal(signal.SIGUSR2)
        started = eventually(
            "a successor", lambda: re.findall(r"started a successor process=(\d+)", gateway.log)[count:])
        successor = Successor(int(started[0]))
        successor.send_signal(signal.SIGSTOP)
        if gateway.log.count("the successor serves") == count:
            return successor
        successor.send_signal(signal.SIGCONT)
        assert gateway.process.wait(20) == 0
        gateway.process = successor
    raise AssertionError("each successor served before it could be halted")


def test_a_signal_after_an_upgrade_ends_only_the_old_process(gateway, upstream):
    release = threading.Event()

    def slow(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        release.wait(10)
        connection.send(b"world")

    upstream.answers["/slow"] = slow
    with Client(gateway.http) as client:
        client.send("GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.until(b"hello")
        former = gateway.upgrade()
        former.send_signal(signal.SIGTERM)
        gateway.await_log("ending: requests under way have 30 s")
        assert former.poll() is None
        release.set()
        assert client.exactly(5) == b"world"
    assert former.wait(20) == 0
    with Client(gateway.http) as client:
        assert client.get("app.test", "/?id=1").status == 200


def test_an_ending_gateway_finishes_requests_and_accepts_no_more(gateway, upstream):
    release = threading.Event()

    def slow(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        release.wait(10)
        connection.send(b"world")

    upstream.answers["/slow"] = slow
    with Client(gateway.https, tls_context(), "app.test") as client, Client(gateway.http) as idle:
        client.send("GET /slow HTTP/1.1\r\nHost: app.test\r\n\r\n")
        client.until(b"hello")
        assert idle.get("app.test", "/?id=1").status == 200
        gateway.process.send_signal(signal.SIGTERM)
        gateway.await_log("ending")
        eventually("no listener", lambda: refuses(gateway.http) and refuses(gateway.https))
        assert gateway.ask("/readyz")[0] == 503
        assert gateway.ask("/healthz")[0] == 200
        last = idle.get("app.test", "/?id=2")
        assert (last.status, last["Connection"]) == (200, "close")
        assert gateway.process.poll() is None
        release.set()
        assert client.exactly(5) == b"world"
    gateway.stop()


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return False
    except ConnectionRefusedError:
        return True


def test_an_ending_gateway_closes_websockets(gateway, upstream):
    with Client(gateway.http) as client:
        client.send(ASK_SOCKET)
        assert client.response().status == 101
        gateway.process.send_signal(signal.SIGTERM)
        # A close frame with the code 1001 (RFC 6455 sections 5.5.1 and 7.4.1).
        head = client.exactly(2)
        assert head[0] == 0x88 and int.from_bytes(client.exactly(2)) == 1001
    gateway.stop()


def test_a_second_signal_ends_at_once(gateway, upstream):
    upstream.answers["/never"] = lambda connection, request: not connection.more()
    with Client(gateway.http) as client:
        client.send("GET /never HTTP/1.1\r\nHost: app.test\r\n\r\n")
        upstream.await_requests(1)
        gateway.process.send_signal(signal.SIGTERM)
        gateway.await_log("ending")
        gateway.stop()


def test_without_a_state_the_gateway_is_alive_and_not_ready(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"status": 200, "body": "up"}}])
    gateway.launch()
    try:
        gateway.await_log("listening at 127.0.0.1:9443")
        gateway.apply()
        gateway.await_ready()
        gateway.await_log("no longer listening at 127.0.0.1:9443")
        with Client(gateway.http) as client:
            assert client.get().body == b"up"
    finally:
        gateway.stop()


def test_the_gateway_does_not_open_the_default_address_if_the_state_names_another(gateway):
    assert "9443" not in gateway.log


def test_admin_paths_answer_as_documented(gateway):
    assert gateway.ask("/healthz") == (200, "ok\n")
    assert gateway.ask("/readyz") == (200, "ready\n")
    # A path without an endpoint belongs to the admin page, which needs a session.
    assert gateway.ask("/nothing")[0] == 401
    status, text = gateway.ask("/metrics")
    assert status == 200
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|[a-z0-9_]+(\{([a-z_]+="[^"]*",?)+\})? -?[0-9.e+-]+', line), line


@pytest.mark.parametrize("host, status", [
    ("127.0.0.1", 200), ("127.0.0.1:9443", 200), ("[::1]:1", 200), ("192.0.2.7", 200), ("localhost", 200),
    ("LocalHost.:80", 200), (socket.gethostname(), 200), (socket.gethostname().split(".")[0], 200),
    ("evil.test", 421), ("localhost.evil.test", 421), ("127.0.0.1.evil.test", 421),
    (f"{socket.gethostname()}.evil.test", 421), ("app.test", 421),
])
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_the_admin_listener_answers_only_to_this_machines_names(gateway, host, path, status):
    with Client(gateway.admin, tls_context()) as client:
        assert client.get(host, path).status == status


def test_a_health_check_needs_no_host(gateway):
    with Client(gateway.admin, tls_context()) as client:
        assert client.ask("GET /healthz HTTP/1.0\r\n\r\n").status == 200


def test_the_admin_listener_names_its_allowed_methods(gateway):
    with Client(gateway.admin, tls_context()) as client:
        answer = client.ask("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
        assert (answer.status, answer["Allow"]) == (405, "GET, HEAD")


def test_sighup_reopens_the_access_log(run, upstream):
    gateway = run(
        [{"domain": "app.test", "upstreams": [upstream.url]}],
        gateway={"access_log": {"to": "access.log", "format": "json"}})
    path = gateway.folder / "access.log"
    with Client(gateway.http) as client:
        client.get("app.test", "/?id=1", "Authorization: Bearer secret")
    eventually("the line", lambda: path.exists() and "/?id=1" in path.read_text())
    path.rename(gateway.folder / "access.log.1")
    gateway.process.send_signal(signal.SIGHUP)
    eventually("a new file", path.exists)
    sent = 1

    def is_written_to():
        # A worker that does not know of the new file yet writes to the old one.
        nonlocal sent
        sent += 1
        with Client(gateway.http) as client:
            client.get("app.test", f"/?id={sent}")
        return "/?id=" in path.read_text()

    eventually("a line in it", is_written_to)

    def lines():
        return [json.loads(line) for file in (gateway.folder / "access.log.1", path)
                for line in file.read_text().splitlines()]

    eventually("all lines", lambda: len(lines()) == sent)
    assert sorted(int(line["target"].removeprefix("/?id=")) for line in lines()) == list(range(1, sent + 1))
    assert {line["status"] for line in lines()} == {200}
    assert "secret" not in path.read_text() + (gateway.folder / "access.log.1").read_text() + gateway.log

"""File descriptors: none leaks whatever happens to connections, and the gateway serves on when it has too few."""

import contextlib
import os
import re
import resource
import signal
import socket
import threading
import time

import pytest

from client import Client, tls_context
from gateway import PATIENCE, Gateway, eventually, free_port, settled
from process import cpu_seconds, descriptors, open_file_limits

# Sanitizers slow the gateway down tenfold: loops are a tenth as long.
EACH = 100 if os.environ.get("AEGIS_SANITIZER") else 1000

# Requests go to their upstreams at once: such connections are not closed to make room.
AT_ONCE = {"body_buffer_bytes": "0B"}
FIXED = {"domain": "fixed.test", "respond": {"body": "here"}}
REQUEST = b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n"


def proxied(domain, *upstreams):
    return {"domain": domain, "upstreams": list(upstreams)}


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@pytest.fixture
def gateway(run, origin):
    return run(
        [FIXED, proxied("app.test", origin.url), proxied("gone.test", f"http://127.0.0.1:{free_port()}")],
        gateway={"access_log": {"to": "access.log"}})


def plain(gateway, host, *after):
    """Sends a request and reads its answer."""
    with Client(gateway.http) as client:
        client.ask(REQUEST % host)


def over_tls(gateway, host, tls=tls_context()):
    with Client(gateway.https, tls, host.decode()) as client:
        client.ask(REQUEST % host)


def answers(ask, gateway, host):
    try:
        ask(gateway, host)
        return True
    except OSError:
        return False


def aborted_request(gateway, _):
    """Sends half a head, then a reset."""
    client = socket.create_connection(("127.0.0.1", gateway.http))
    client.sendall(b"GET / HTTP/1.1\r\nHo")
    reset(client)


def aborted_handshake(gateway, _):
    client = socket.create_connection(("127.0.0.1", gateway.https))
    client.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    reset(client)


def no_handshake(gateway, _):
    with socket.create_connection(("127.0.0.1", gateway.https)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")


def aborted_exchange(gateway, host):
    """Breaks off a body while the upstream waits for it."""
    client = socket.create_connection(("127.0.0.1", gateway.http))
    client.sendall(b"POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\nabc" % host)
    reset(client)


def unread_answer(gateway, host):
    client = socket.create_connection(("127.0.0.1", gateway.http))
    client.sendall(REQUEST % host)
    reset(client)


def test_no_descriptor_is_lost(gateway, make_origin, origin):
    origin.answers["/reset"] = lambda connection, _: connection.reset()
    pid = gateway.process.pid
    deeds = [
        (plain, b"fixed.test"), (plain, b"app.test"), (plain, b"gone.test"), (over_tls, b"app.test"),
        (over_tls, b"fixed.test"), (aborted_request, None), (aborted_handshake, None), (no_handshake, None),
        (aborted_exchange, b"app.test"), (unread_answer, b"app.test"),
    ]

    def without_upstreams():
        """The number of open descriptors once no connection to the origin is kept."""
        for connection in list(origin.connections):
            connection.close()
        return descriptors(pid)

    for deed, host in deeds:
        deed(gateway, host)
    before = settled("the open descriptors", without_upstreams)
    for deed, host in deeds:
        for _ in range(EACH):
            deed(gateway, host)
    for number in range(EACH // 100):
        gateway.config["hosts"].append(proxied(f"more{number}.test", origin.url))
        gateway.reload()
        os.kill(pid, signal.SIGHUP)
    port = free_port()
    for _ in range(2):
        gateway.config["gateway"]["http"].append(f"127.0.0.1:{port}")
        gateway.reload()
        gateway.config["gateway"]["http"].pop()
        gateway.reload()
    # The access log that SIGHUP has replaced is closed two seconds later.
    eventually("all descriptors are given back", lambda: without_upstreams() <= before)


def test_the_limit_of_descriptors_is_raised_at_the_start(run):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        gateway = run([FIXED])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_file_limits(gateway.process.pid) == (hard, hard)


def begin_body(gateway, fields=""):
    """A client that has begun a request and not sent its body."""
    client = Client(gateway.http)
    client.send(f"POST / HTTP/1.1\r\nHost: app.test\r\n{fields}Content-Length: 5\r\n\r\nhel")
    return client


def await_upstream(client):
    """Waits until a client's request has reached an upstream, so that its connection is not closed to make room."""
    assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
    return client


def test_without_free_descriptors_the_gateway_waits_without_spinning(run, origin):
    gateway = run([FIXED, proxied("app.test", origin.url)], gateway={"limits": AT_ONCE})
    pid = gateway.process.pid
    limit = descriptors(pid) + 10
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    # Connections with a request, of two descriptors each, are not closed to make room.
    clients = [await_upstream(begin_body(gateway, "Expect: 100-continue\r\n")) for _ in range(5)]
    waiting = [Client(gateway.http) for _ in range(25)]
    gateway.await_log("no connection can be accepted", "Too many open files")
    looks = [(time.monotonic(), cpu_seconds(pid))]

    def rests():
        """Whether the gateway has used little CPU since the last call."""
        looks.append((time.monotonic(), cpu_seconds(pid)))
        (since, used_before), (now, used) = looks[-2:]
        return now - since > 0.5 and used - used_before < 0.2 * (now - since)

    eventually("a gateway that rests while it can do nothing", rests, pause=1)
    assert gateway.log.count("no connection can be accepted") <= 2

    # A higher limit makes room.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
    for client in clients:
        client.send(b"lo")
        assert client.response().body == b"ok"
        client.close()
    for client in waiting:
        client.close()
    with Client(gateway.http) as client:
        assert client.get("app.test").status == 200
    assert gateway.ask("/healthz")[0] == 200


def test_waiting_clients_are_closed_when_descriptors_run_out(run, origin):
    gateway = run([FIXED, proxied("app.test", origin.url)], gateway={"workers": 1, "limits": AT_ONCE})
    pid = gateway.process.pid
    with Client(gateway.http) as client:
        assert client.get("app.test").status == 200
    limit = descriptors(pid) + 8
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    under_way = begin_body(gateway)
    idle = []
    for number in range(40):
        idle.append(Client(gateway.http))
        assert idle[-1].get("app.test" if number % 2 else "fixed.test").status == 200
    gateway.await_log("warning: there are not enough descriptors", str(limit))
    # The limit was lowered after the start, so no descriptor is reserved for the admin listener. The limit is raised
    # again so that the metrics can be read.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit + 10, hard))
    assert gateway.metric("aegis_connections_evicted_total") > 0
    under_way.send(b"lo")
    assert under_way.response().body == b"ok"
    assert "no answer from" not in gateway.log
    for client in [under_way, *idle]:
        client.close()


@pytest.mark.parametrize("limit", [20, 40, 60])
def test_a_gateway_with_too_few_descriptors_does_not_start(tmp_path, origin, limit):
    """The gateway says how many descriptors it needs, and serves if it has that many."""
    gateway = Gateway(
        tmp_path / "gateway", [FIXED, proxied("app.test", origin.url)], gateway={"limits": {"connections_per_client": 0}})
    gateway.apply()
    refusals = 0
    while True:
        gateway.launch(wrapper=("prlimit", f"--nofile={limit}:{limit}"))
        told = rf"may have {limit} descriptors open, and the gateway needs (\d+) \(workers: \d, listening addresses: \d\): raise the limit"
        needed = eventually("its end, or its service", lambda: re.search(told, gateway.log) or answers(plain, gateway, b"fixed.test"))
        if needed is True:
            break
        assert gateway.process.wait(PATIENCE) == 1
        assert limit < int(needed[1]) < 100
        limit, refusals = int(needed[1]), refusals + 1
    try:
        assert 1 <= refusals <= 2
        gateway.await_ready()
        clients = [Client(gateway.http) for _ in range(8)]
        for client in clients * 2:
            assert client.get("app.test").status == 200
        for client in clients:
            client.close()
    finally:
        gateway.stop()


FEW = 700


@pytest.fixture
def few(run_few, origin):
    gateway = run_few([FIXED, proxied("app.test", origin.url)], gateway={"limits": {"connections_per_client": 0, **AT_ONCE}})
    # The first request of each worker to an upstream takes longer. A client that waits meanwhile may be closed to make
    # room.
    for _ in range(16):
        plain(gateway, b"app.test")
    return gateway


@pytest.fixture
def run_few(tmp_path):
    """Runs a gateway with a low limit of descriptors."""
    running = []

    def start(hosts, **options):
        running.append(Gateway(tmp_path / "gateway", hosts, **options))
        running[-1].apply()
        return running[-1].start("prlimit", f"--nofile={FEW}:{FEW}")

    yield start
    for gateway in running:
        gateway.stop()


def limit_in_force(gateway):
    return int(gateway.metric("aegis_connections_limit"))


def test_the_limit_of_connections_follows_from_the_descriptors(few):
    # Each connection may take two descriptors; some descriptors are kept for other things.
    assert 150 < limit_in_force(few) < FEW / 2
    few.await_log(f"warning: at most {limit_in_force(few)} connections", "not 50000", f"{FEW} descriptors", "LimitNOFILE")
    few.config["gateway"]["limits"]["connections"] = 100
    few.reload()
    few.await_log("at most 100 connections of clients at once")
    assert limit_in_force(few) == 100


def test_one_client_has_a_share_of_the_possible_connections(run_few, origin):
    """Without a limit for one client in the file, the share is a quarter. A limit above that of all clients has no
    effect."""
    gateway = run_few([proxied("app.test", origin.url)], gateway={"limits": dict(AT_ONCE)})
    limit = limit_in_force(gateway)
    gateway.await_log(f"warning: at most {limit} connections", f"one client may have {limit // 4} of them")
    with contextlib.ExitStack() as stack:
        for _ in range(limit // 4):
            stack.enter_context(await_upstream(begin_body(gateway, "Expect: 100-continue\r\n")))
        with Client(gateway.http) as client:
            client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                assert client.is_closed()
        gateway.await_log(f"warning: 127.0.0.1 has all {limit // 4} connections")
        with Client(gateway.http, source="127.0.0.9") as other:
            assert other.get("app.test").status == 200
    gateway.config["gateway"]["limits"]["connections_per_client"] = 1000
    gateway.reload()
    gateway.await_log("one client may have all of them", "limits.connections_per_client", "lower it, or leave it out")


def slow_heads(gateway, count):
    """Connections that never finish what they have begun: a TLS handshake and a request by turns."""
    connections = []
    for number in range(count):
        port = gateway.http if number % 2 else gateway.https
        connections.append(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        connections[-1].sendall(b"GET / HT" if number % 2 else hello)
    return connections


def test_slow_heads_lock_no_other_client_out(few, origin):
    limit = limit_in_force(few)
    with Client(few.https, tls_context(), "app.test") as kept, begin_body(few) as under_way:
        assert kept.get("app.test").status == 200
        held = []
        for _ in range(8):
            held += slow_heads(few, limit // 2)
            # Older connections continue, and new connections are accepted.
            assert kept.get("app.test").status == 200
            for host in (b"fixed.test", b"app.test"):
                # A worker with requests on all its connections turns a client away, which is accepted at its next try.
                eventually("an answer", lambda: answers(plain, few, host))
                eventually("an answer over TLS", lambda: answers(over_tls, few, host))
        assert few.metric("aegis_connections_open") <= limit
        assert few.metric("aegis_connections_evicted_total") > 0
        assert descriptors(few.process.pid) < FEW - 50
        under_way.send(b"lo")
        assert under_way.response().body == b"ok"
    assert "Too many open files" not in few.log
    for connection in held:
        connection.close()


@pytest.mark.parametrize("host", ["app.test", "fixed.test"])
@pytest.mark.parametrize("more", [b"G", b"GET / HTTP/1.1\r\nHo", b"\r\n", b"\r"])
def test_bytes_after_a_request_do_not_protect_a_connection_from_being_replaced(few, more, host):
    """The bytes are the beginning of another head, or an empty line, in the same segment as a whole request."""
    limit = limit_in_force(few)
    request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() + more
    held = []
    for _ in range(2 * limit):
        held.append(socket.create_connection(("127.0.0.1", few.http), timeout=PATIENCE))
        held[-1].sendall(request)
    # The time for a head is ten seconds, for an idle connection sixty.
    for other in (b"fixed.test", b"app.test"):
        eventually("an answer", lambda: answers(plain, few, other))
        eventually("an answer over TLS", lambda: answers(over_tls, few, other))
    assert few.metric("aegis_connections_open") <= limit
    for connection in held:
        connection.close()


def test_clients_that_connect_at_once_wait_for_a_place(run):
    """A client that has just connected is not replaced yet, so the next one waits a moment. None is turned away."""
    gateway = run([FIXED], gateway={"workers": 1, "limits": {"connections": 8, "connections_per_client": 0}})
    held = []
    for _ in range(200):
        held.append(socket.create_connection(("127.0.0.1", gateway.http), timeout=PATIENCE))
        held[-1].sendall(b"G")
    plain(gateway, b"fixed.test")
    assert gateway.metric("aegis_connections_refused_total") == 0
    assert gateway.metric("aegis_connections_evicted_total") > 150
    for connection in held:
        connection.close()


def test_idle_clients_are_replaced_by_new_ones(few):
    limit = limit_in_force(few)
    clients = []
    for _ in range(2 * limit):
        clients.append(Client(few.http))
        assert clients[-1].get("fixed.test").body == b"here"
    assert few.metric("aegis_connections_open") <= limit
    # The latest connections are open, and most of the others were closed.
    assert clients[-1].get("fixed.test").body == b"here"
    assert few.metric("aegis_connections_refused_total") == 0
    for client in clients:
        client.close()


def test_the_last_descriptors_are_reserved(run_few, make_origin):
    """Libraries end a process that can't open a file. So some descriptors stay free, even with many idle upstream
    connections."""
    count = 150
    origins = [make_origin() for _ in range(3)]
    # Requests are answered only when all clients have sent one, so that each has its own connection.
    together = threading.Barrier(count)

    def late(connection, request):
        together.wait(PATIENCE)
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    for origin in origins:
        origin.answer = late
    gateway = run_few(
        [proxied(f"app{number}.test", origin.url) for number, origin in enumerate(origins)],
        gateway={"workers": 1, "limits": {"connections_per_client": 0}})
    clients = [Client(gateway.http) for _ in range(count)]
    most = 0
    for number in range(3):
        for client in clients:
            client.send(f"GET / HTTP/1.1\r\nHost: app{number}.test\r\n\r\n")
        for client in clients:
            assert client.response().status == 200
        most = max(most, descriptors(gateway.process.pid))
    assert 500 < most < FEW - 100
    gateway.await_log("there are not enough descriptors")
    gateway.config["hosts"].append(FIXED)
    gateway.reload()
    assert "error" not in gateway.log
    for client in clients:
        client.close()

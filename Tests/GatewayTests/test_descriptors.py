"""Descriptors: none is lost whatever happens to connections, and the gateway lives with having too few of them."""

import os
import resource
import select
import signal
import socket
import time

import pytest

from client import Client, tls_context
from gateway import PATIENCE, eventually, free_port
from process import cpu_seconds, descriptors, open_file_limits

# What sanitizers slow down tenfold is done a tenth as often.
EACH = 100 if os.environ.get("AEGIS_SANITIZER") else 1000

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
    """A request whose answer is read."""
    with Client(gateway.http) as client:
        client.ask(REQUEST % host)


def over_tls(gateway, host, tls=tls_context()):
    with Client(gateway.https, tls, host.decode()) as client:
        client.ask(REQUEST % host)


def aborted_request(gateway, _):
    """Half a head, then a reset."""
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
    """A body that breaks off, while the upstream waits for it."""
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

    def settled():
        """How many are open once nothing is under way and no connection to the origin is left."""
        for connection in list(origin.connections):
            connection.close()
        counts = set()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            counts.add(descriptors(pid))
            time.sleep(0.02)
        return min(counts) if len(counts) == 1 else None

    for deed, host in deeds:
        deed(gateway, host)
    before = eventually("nothing is under way", settled)
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
    eventually("all descriptors are given back", lambda: (count := settled()) is not None and count <= before)


def test_the_limit_of_descriptors_is_raised_at_the_start(run):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(512, hard), hard))
    try:
        gateway = run([FIXED])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert open_file_limits(gateway.process.pid) == (hard, hard)


def test_too_few_descriptors_are_waited_for_without_spinning(run):
    gateway = run([FIXED])
    pid = gateway.process.pid
    limit = descriptors(pid) + 10
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, limit))
    clients = []
    for _ in range(30):
        client = Client(gateway.http)
        client.send(REQUEST % b"fixed.test")
        client.socket.settimeout(0.5)
        clients.append(client)
    gateway.await_log("no connection can be accepted", "Too many open files")
    served, waiting = [], []
    for client in clients:
        try:
            assert client.response().body == b"here"
            served.append(client)
        except TimeoutError:
            waiting.append(client)
    assert served and waiting
    # Some seconds of waiting, in which there is nothing to do.
    start, used = time.monotonic(), cpu_seconds(pid)
    time.sleep(1)
    share = (cpu_seconds(pid) - used) / (time.monotonic() - start)
    assert share < 0.2, f"it uses {share:.0%} of a processor while it can do nothing"
    assert gateway.log.count("no connection can be accepted") <= 2

    for client in served:
        client.close()
    # Who is served next is for the system to say.
    while waiting:
        ready, _, _ = select.select([client.socket for client in waiting], [], [], PATIENCE)
        assert ready, f"{len(waiting)} are not served"
        for client in [client for client in waiting if client.socket in ready]:
            assert client.response().body == b"here"
            client.close()
            waiting.remove(client)
    assert gateway.ask("/healthz")[0] == 200

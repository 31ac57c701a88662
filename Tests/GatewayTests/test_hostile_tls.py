"""TLS handshakes meant to cost more than they should: they end and take little memory, and honest clients are served
meanwhile."""

import contextlib
import os
import select
import signal
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Client, tls_context
from gateway import PATIENCE, eventually
from honest import Honest
from process import descriptors, forget_peak, memory_bytes, peak_memory_bytes
from records import (
    ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEARTBEAT, by_bytes, client_hello, into_records, record)

KIB, MIB = 1 << 10, 1 << 20
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
TIMEOUT = 'aegis_tls_handshakes_total{result="timeout",version=""}'


@pytest.fixture(scope="module")
def gateway(run_once):
    return run_once(
        [{"domain": "honest.test", "respond": {"status": 200, "body": "ok"}}],
        gateway={"workers": 1, "limits": {"handshake_timeout": "3s", "connections_per_client": 0}})


@contextlib.contextmanager
def honest(gateway, least=5):
    """Honest clients at the same time, each of which must get its answers."""
    with Honest(gateway, tls_context()) as over_tls, Honest(gateway) as plain:
        yield
        for client in (over_tls, plain):
            eventually("honest answers", lambda: client.count >= least)
    assert over_tls.faults == plain.faults == []


def connect(gateway):
    connection = socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def ended(connection):
    """Waits for a connection's end or reset."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    connection.close()


# Client hellos that arrive slowly.

@pytest.mark.parametrize("pieces", [
    by_bytes(client_hello("honest.test")), by_bytes(into_records(client_hello("honest.test"), 1)),
], ids=["bytes", "records of a byte"])
def test_a_client_hello_of_one_byte_a_second_is_cut_off(gateway, pieces):
    before = gateway.metric(TIMEOUT)
    with honest(gateway), connect(gateway) as connection:
        gone = threading.Event()
        sent = []

        def dribble():
            with contextlib.suppress(OSError):
                for piece in pieces:
                    connection.sendall(piece)
                    sent.append(piece)
                    if gone.wait(1):  # the pace of the attack
                        return

        thread = threading.Thread(target=dribble)
        thread.start()
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
        gone.set()
        thread.join()
    assert 2 <= len(sent) <= 5
    assert gateway.metric(TIMEOUT) == before + 1


# Many unfinished handshakes at once.

STATES = {
    "half a hello": client_hello("honest.test")[:100],
    "a hello over TLS 1.2": client_hello("honest.test", versions=TLS12),
    "a hello over TLS 1.3": client_hello("honest.test", versions=TLS13),
    "most of a hello as long as may be": b"".join(
        record(HANDSHAKE, piece, b"\x03\x01") for piece in [b"\x01\x01\xf0\x00" + bytes(16_000), *[bytes(16_000)] * 6]),
}
# The memory of each connection, in bytes: that of OpenSSL, of the gateway, and the received part of a hello.
MEMORY = {"most of a hello as long as may be": 260 * KIB}
USUAL_MEMORY = 80 * KIB


@pytest.mark.skipif("AEGIS_SANITIZER" in os.environ, reason="a sanitizer takes memory of its own")
@pytest.mark.parametrize("state", STATES)
def test_thousands_of_unfinished_handshakes_use_little_memory_and_end(run, state):
    """Only the gateway ends these connections."""
    gateway = run(
        [{"domain": "honest.test", "respond": {"status": 200, "body": "ok"}}],
        gateway={"workers": 1, "limits": {"handshake_timeout": "2s", "connections_per_client": 0}})
    pid, count = gateway.process.pid, 500 if state in MEMORY else 2000

    def begin(_):
        connection = connect(gateway)
        connection.sendall(STATES[state])
        return connection

    def wave(count):
        """Holds `count` unfinished handshakes until they end. Returns the most memory that the gateway used
        meanwhile."""
        timeouts = gateway.metric(TIMEOUT)
        forget_peak(pid)
        with ThreadPoolExecutor(4) as threads:
            held = list(threads.map(begin, range(count)))
        for connection in held:
            ended(connection)
        assert gateway.metric(TIMEOUT) == timeouts + count
        return peak_memory_bytes(pid)

    with honest(gateway):
        # The first connections allocate the memory that is allocated only once.
        wave(100)
        idle = memory_bytes(pid)
        first, second = wave(count), wave(count)
    each = (first - idle) / count
    print(f"{each / KIB:.1f} KiB for each of {count} handshakes with {state}, then {(second - first) / MIB:.1f} MiB more")
    assert each <= MEMORY.get(state, USUAL_MEMORY)
    # Memory of the first connections is used again.
    assert second - first < (first - idle) / 2 + 16 * MIB


# Floods of records.

RECORDS = {
    "changes of cipher": record(CHANGE_CIPHER_SPEC, b"\x01"),
    "broken changes of cipher": record(CHANGE_CIPHER_SPEC, b"\x01\x01"),
    "warnings": record(ALERT, b"\x01\x5a"),
    "half alerts": record(ALERT, b"\x01"),
    "ends": record(ALERT, b"\x01\x00"),
    "empty handshake records": record(HANDSHAKE, b""),
    "empty data records": record(APPLICATION_DATA, b""),
    "data": record(APPLICATION_DATA, bytes(100)),
    "heartbeats": record(HEARTBEAT, b"\x01\x40\x00"),
    "unknown records": record(99, b"what"),
    "hello requests": record(HANDSHAKE, bytes(4)),
    "key updates": record(HANDSHAKE, b"\x18\0\0\x01\x01"),
    "endless certificates": record(HANDSHAKE, b"\x0b\xff\xff\xff" + bytes(16_000)),
}
BEGINNINGS = {
    "before a hello": b"",
    "within a hello": record(HANDSHAKE, client_hello("honest.test")[5:50], b"\x03\x01"),
    "after a hello of TLS 1.2": client_hello("honest.test", versions=TLS12),
    "after a hello of TLS 1.3": client_hello("honest.test", versions=TLS13),
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("kind", RECORDS)
def test_a_flood_of_records_ends_with_its_connection(gateway, kind, beginning):
    """No record keeps a handshake waiting longer, and none makes the gateway store its content."""
    flood = RECORDS[kind] * (64 * KIB // len(RECORDS[kind]))
    before = memory_bytes(gateway.process.pid)
    with connect(gateway) as connection:
        connection.sendall(BEGINNINGS[beginning])
        with contextlib.suppress(ConnectionError):
            for _ in range(1024):
                connection.sendall(flood)
            connection.shutdown(socket.SHUT_WR)
            pytest.fail("64 MiB were taken")
        ended(connection)
    if "AEGIS_SANITIZER" not in os.environ:
        assert memory_bytes(gateway.process.pid) - before < 4 * MIB


def test_floods_of_all_kinds_at_once_delay_no_other_client(gateway):
    stopping, faults, ends = threading.Event(), [], []

    def attack(data):
        while not stopping.is_set():
            try:
                with connect(gateway) as connection:
                    with contextlib.suppress(ConnectionError):
                        for _ in range(64):
                            connection.sendall(data)
                    ended(connection)
                ends.append(True)
            except Exception as fault:  # the gateway must still accept connections
                faults.append(repr(fault))
                return

    attackers = [
        threading.Thread(target=attack, args=(beginning + flood * (64 * KIB // len(flood)),))
        for flood in list(RECORDS.values())[::3] for beginning in BEGINNINGS.values()]
    with honest(gateway, least=50):
        for attacker in attackers:
            attacker.start()
        eventually("a thousand attacks", lambda: len(ends) >= 1000 or faults)
        stopping.set()
        for attacker in attackers:
            attacker.join(PATIENCE)
    assert faults == []


def test_a_flood_of_failing_handshakes_keeps_no_descriptors(gateway):
    """Clients that leave their connections open after they got the alert."""
    pid = gateway.process.pid
    before = descriptors(pid)
    bad = client_hello("honest.test", alpn=["spdy/3"])
    held = []
    with honest(gateway):
        for _ in range(1500):
            connection = connect(gateway)
            connection.sendall(bad)
            held.append(connection)
        eventually("they are let go of", lambda: descriptors(pid) <= before + 10)
    for connection in held:
        ended(connection)


# Many whole handshakes at once.

def test_many_handshakes_at_once_do_not_delay_open_connections(gateway):
    """A gateway that was stopped finds the handshakes when it continues, and behind them a request on an open
    connection."""
    count, hello = 200, client_hello("honest.test")
    with contextlib.ExitStack() as held, Client(gateway.http) as honest_client, select.epoll() as arrivals:
        assert honest_client.get("honest.test").status == 200
        connections = [held.enter_context(connect(gateway)) for _ in range(count)]
        eventually("that all are accepted", lambda: gateway.metric("aegis_connections_open") > count)
        gateway.process.send_signal(signal.SIGSTOP)
        for connection in connections:
            connection.sendall(hello)
        honest_client.send("GET / HTTP/1.1\r\nHost: honest.test\r\n\r\n")
        # Yields answers in the order in which they arrived.
        for one in connections + [honest_client.socket]:
            arrivals.register(one, select.EPOLLIN)
        gateway.process.send_signal(signal.SIGCONT)
        for one in connections + [honest_client.socket]:
            assert select.select([one], [], [], PATIENCE)[0]
        order = [descriptor for descriptor, _ in arrivals.poll(0, count + 1)]
        assert len(order) == count + 1 and order.index(honest_client.socket.fileno()) < count / 4
        assert honest_client.response().body == b"ok"

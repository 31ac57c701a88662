"""Memory: little for idle connections, none for closed ones, and the same for a body of any size."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Client, tls_context
from gateway import eventually, settled
from process import forget_peak, memory_bytes, peak_memory_bytes

pytestmark = pytest.mark.skipif("AEGIS_SANITIZER" in os.environ, reason="a sanitizer takes memory of its own")

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# As many clients as a limit of 20,000 descriptors for a process allows.
CONNECTIONS = 8_000
REQUEST = b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n"


def gateway_for(run, origin):
    return run(
        [{"domain": "app.test", "upstreams": [origin.url], "limits": {"body_bytes": "2GiB"}}],
        gateway={"limits": {"idle_timeout": "1h", "connections_per_client": 0}})


def connect(gateway, tls):
    client = Client(gateway.https, tls, "app.test")
    assert client.ask(REQUEST).status == 200
    return client


def test_an_idle_connection_takes_little_memory_and_gives_it_back(run, origin):
    gateway = gateway_for(run, origin)
    pid = gateway.process.pid
    tls = tls_context()
    # The first connections allocate memory that is needed only once: tables, arenas, OpenSSL's own memory.
    for client in [connect(gateway, tls) for _ in range(200)]:
        client.close()
    before = memory_bytes(pid)
    with ThreadPoolExecutor(4) as threads:
        clients = list(threads.map(lambda _: connect(gateway, tls), range(CONNECTIONS)))
    each = (memory_bytes(pid) - before) / CONNECTIONS
    print(f"{each / KIB:.1f} KiB for each of {CONNECTIONS} idle TLS connections")
    assert each <= 16 * KIB
    for client in clients:
        client.close()

    def growth():
        return memory_bytes(pid) - before

    eventually("memory is given back", lambda: growth() < CONNECTIONS * KIB)
    print(f"{growth() / MIB:.1f} MiB remain when they are closed")


@pytest.fixture
def stream(run, origin):
    """A gateway before an origin that sends or receives 1 GiB."""
    piece = bytes(MIB)
    origin.pieces = 0

    def send(connection, _):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
        for _ in range(GIB // MIB):
            connection.send(piece)
            origin.pieces += 1

    def take(connection, request):
        left = int(request["Content-Length"]) - len(connection.buffer)
        connection.buffer = b""
        room = bytearray(MIB)
        while left and (count := connection.socket.recv_into(room)):
            left -= count
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n%4d" % left)
        return True

    origin.answers["/down"] = send
    origin.early["/up"] = take
    return gateway_for(run, origin)


def curl(gateway, path, *arguments):
    done = subprocess.run(
        ["curl", "-sSk", "--resolve", f"app.test:{gateway.https}:127.0.0.1", f"https://app.test:{gateway.https}{path}",
         *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_gibibyte_passes_through_at_flat_memory(stream, tmp_path):
    pid = stream.process.pid
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(GIB)
    # One exchange before the measurement allocates all memory that is needed only once.
    with Client(stream.https, tls_context(), "app.test") as client:
        client.ask(REQUEST)
    before = memory_bytes(pid)
    forget_peak(pid)
    assert curl(stream, "/down", "-o", "/dev/null", "-w", "%{size_download}") == str(GIB)
    down = peak_memory_bytes(pid) - before
    forget_peak(pid)
    assert curl(stream, "/up", "-X", "POST", "-H", "Expect:", "-T", str(large)) == "   0"
    up = peak_memory_bytes(pid) - before
    print(f"1 GiB down took {down / MIB:.1f} MiB, up {up / MIB:.1f} MiB")
    assert down < 10 * MIB and up < 10 * MIB


def test_a_client_that_does_not_read_slows_its_upstream_and_uses_no_memory(stream, origin):
    pid = stream.process.pid
    with Client(stream.https, tls_context(), "app.test") as client:
        client.ask(REQUEST)
        before = memory_bytes(pid)
        forget_peak(pid)
        client.send(b"GET /down HTTP/1.1\r\nHost: app.test\r\n\r\n")
        assert client.head().status == 200
        eventually("the first of it", lambda: origin.pieces)
        assert settled("what the origin has sent", lambda: origin.pieces) < GIB // MIB
        assert peak_memory_bytes(pid) - before < 10 * MIB

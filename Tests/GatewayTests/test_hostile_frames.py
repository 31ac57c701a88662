"""Floods of WebSocket frames of every kind (RFC 6455 section 5) and of the smallest chunks, in both directions: every byte
passes, nobody else waits, and the end of a connection is still noticed."""

import contextlib
import itertools
import signal
import threading

import pytest

from client import BrokenTransfer, Client
from flood import HONEST, is_ended, send_without_reading, watched
from test_upgrades import AGREE, ASK

# By name: frames, most of them with a mask of zeros. The first byte of a frame has the bit for the last fragment and
# the opcode, and the second byte has the length (RFC 6455 section 5.2).
MASK = bytes(4)
FRAMES = {
    "pings": b"\x89\x80" + MASK,
    "pongs with data": b"\x8a\xfd" + MASK + bytes(125),
    "empty messages": b"\x82\x80" + MASK,
    "messages of a byte": b"\x82\x81" + MASK + b"x",
    "empty continuations": b"\x00\x80" + MASK,
    "continuations of a byte": b"\x00\x81" + MASK + b"x",
    "pings between continuations": b"\x00\x81" + MASK + b"x" + b"\x89\x80" + MASK,
    "pings that are too large": b"\x89\xfe\x10\x00" + MASK + bytes(4096),
    "fragmented pings": b"\x09\x80" + MASK,
    "unknown opcodes": b"\x8b\x80" + MASK,
    "reserved bits": b"\xf2\x80" + MASK,
    "lengths longer than need be": b"\x82\xff" + (1).to_bytes(8) + MASK + b"x",
}
BYTES = 1 << 20
PATIENT = {"request_header_timeout": "10m", "body_progress_timeout": "10m", "idle_timeout": "10m"}


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [{"domain": "app.test", "upstreams": [module_origin.url]}, HONEST],
        gateway={"workers": 1, "limits": PATIENT})


def flood_of(frame):
    # The flood begins with a fragment, so that continuation frames have something to continue.
    return b"\x02\x80" + MASK + frame * (BYTES // len(frame))


@pytest.mark.parametrize("frame", FRAMES)
def test_a_flood_of_frames_of_a_client_passes(gateway, origin, frame, figures):
    flood, received = flood_of(FRAMES[frame]), []

    def take(connection, request):
        connection.send(AGREE)
        received.append(connection.exactly(len(flood)))
        connection.send(b"\x8a\0")
        return False

    origin.answers["/socket"] = take
    with Client(gateway.http) as client, watched(gateway, f"{frame} of a client", figures):
        client.send(ASK)
        assert client.response().status == 101
        client.send(flood)
        assert client.to_end() == b"\x8a\0"
    assert received == [flood]


@pytest.mark.parametrize("frame", FRAMES)
def test_a_flood_of_frames_of_an_upstream_passes(gateway, origin, frame, figures):
    flood = flood_of(FRAMES[frame])

    def give(connection, request):
        connection.send(AGREE + flood)
        return False

    origin.answers["/socket"] = give
    with Client(gateway.http) as client, watched(gateway, f"{frame} of an upstream", figures):
        client.send(ASK)
        assert client.response().status == 101
        assert client.to_end() == flood


@pytest.mark.parametrize("frame", [
    "pings", "empty continuations", "continuations of a byte", "pings that are too large", "a frame that never ends"])
def test_a_client_gets_the_close_within_a_flood(run, make_origin, frame):
    """Between two frames the client gets a close frame, and nothing after it; within a frame the gateway can send
    nothing."""
    stopping = threading.Event()

    def give(connection, request):
        connection.send(AGREE)
        if frame == "a frame that never ends":
            connection.send(b"\x82\x7f" + (1 << 62).to_bytes(8))
        with contextlib.suppress(OSError):
            while not stopping.is_set():
                connection.send(FRAMES[frame] * 100 if frame in FRAMES else bytes(1000))
        return False

    origin = make_origin()
    origin.answers["/socket"] = give
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}], gateway={"workers": 1})
    with Client(gateway.http) as client:
        client.send(ASK)
        assert client.response().status == 101
        # From here on the tunnel is within the frame, or the flood.
        while len(client.buffer) < 10:
            client.more()
        gateway.process.send_signal(signal.SIGTERM)
        gateway.await_log("ending")
        last = b""
        if frame in FRAMES:
            # The status is 1001 (RFC 6455 section 7.4.1).
            while not last.endswith(b"\x88\x02\x03\xe9"):
                client.more()
                last = (last + bytes(client.buffer))[-4:]
                client.buffer.clear()
            client.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.more()  # the client must close
        else:
            for _ in range(100):
                client.more()
            assert set(client.buffer[10:]) == {0}
            gateway.process.send_signal(signal.SIGTERM)
    stopping.set()
    gateway.stop()


# Chunks.

COUNT = 100_000
BODY = bytes(itertools.islice(itertools.cycle(range(256)), COUNT))
POST = b"POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n"
OK_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(extension):
    """Chunks of one byte each."""
    line = b"1" + extension + b"\r\n"
    return b"".join(line + BODY[at:at + 1] + b"\r\n" for at in range(COUNT)) + b"0\r\n\r\n"


# The longest extension that all chunks of a body may have, and the longest one that a single chunk may have.
PASSED = {"none": b"", "short": b";" + b"x" * 14}
REFUSED = b";" + b"x" * 254


@pytest.mark.parametrize("extension", PASSED)
def test_one_byte_chunks_of_a_client_delay_nobody(gateway, origin, extension, figures):
    message = POST + chunks(PASSED[extension])
    with Client(gateway.http) as client:
        with watched(gateway, f"chunks of a byte of a client, extension {extension}", figures):
            client.send(message)
            assert client.response("POST").status == 200
        assert origin.last.body == BODY


@pytest.mark.parametrize("extension", PASSED)
def test_one_byte_chunks_of_an_upstream_delay_nobody(gateway, origin, extension, figures):
    origin.answers["/"] = OK_CHUNKED + chunks(PASSED[extension])
    with Client(gateway.http) as client:
        client.send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
        with watched(gateway, f"chunks of a byte of an upstream, extension {extension}", figures):
            # The parser of this test's client is slower than the gateway.
            received = client.until(b"\r\n0\r\n\r\n")
        client.buffer += received + b"\r\n0\r\n\r\n"
        assert client.response().body == BODY


def test_chunks_with_very_long_extensions_are_cut_off(gateway, origin, figures):
    flood = chunks(REFUSED)
    with watched(gateway, "chunks of a byte with the longest extensions", figures):
        with Client(gateway.http) as client:
            assert send_without_reading(client.socket, POST + flood) or is_ended(client.socket)
        origin.answers["/"] = OK_CHUNKED + flood
        with Client(gateway.http) as client, pytest.raises((BrokenTransfer, ConnectionError)):
            response = client.get()
            assert response.status == 502  # nothing of the answer had been passed on
            raise ConnectionError

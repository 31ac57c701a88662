"""Clients of HTTP/2 that cause more work than they do themselves: their connections end with the right code, the log and a
metric say so, memory stays bounded, and honest clients are served meanwhile."""

import contextlib
import itertools
import os
import select
import threading

import pytest

from client import tls_context
from gateway import PATIENCE, eventually, settled
from honest import Honest
from http2_client import (
    CONTINUATION, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, NO_ERROR, PADDED, PING, PREFACE,
    PRIORITY, PRIORITY_UPDATE, PROTOCOL_ERROR, RST_STREAM, FrameClient, Http2Client, block, data, frame, headers, is_served, literal,
    number, request, reset, settings, window_update)
from process import forget_peak, memory_bytes, peak_memory_bytes

MIB = 1 << 20
# How much the gateway's memory may grow in a flood.
GROWTH = 64 * MIB
LIMITS = {"request_header_timeout": "2s", "body_progress_timeout": "2s", "idle_timeout": "2s", "handshake_timeout": "2s"}


def served(run_once, origin, **limits):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [origin.url], "limits": {"body_bytes": "0"}},
            {"domain": "honest.test", "respond": {"body": "ok"}},
        ],
        gateway={"workers": 1, "limits": {"connections_per_client": 0, **limits}})


@pytest.fixture(scope="module")
def usual_gateway(run_once, module_origin):
    return served(run_once, module_origin)


@pytest.fixture(scope="module")
def hasty_gateway(run_once, module_origin):
    return served(run_once, module_origin, **LIMITS)


def running(gateway):
    """Starts a gateway again that an earlier test has brought down, so that each test judges for itself."""
    return gateway if gateway.process.poll() is None else gateway.start()


@pytest.fixture
def gateway(usual_gateway):
    return running(usual_gateway)


@pytest.fixture
def hasty(hasty_gateway):
    """A gateway whose limits of time are short."""
    return running(hasty_gateway)


class HonestHttp2:
    """A client that sends request after request on connections of HTTP/2 while others misbehave."""

    def __init__(self, gateway):
        self.gateway, self.count, self.faults = gateway, 0, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        try:
            while not self.stopping.is_set():
                with Http2Client(self.gateway.https, "honest.test") as client:
                    for _ in range(5):
                        streams = [client.begin(host="honest.test") for _ in range(5)]
                        assert all(client.answer(stream).body == b"ok" for stream in streams)
                        self.count += 1
                        self.stopping.wait(0.01)
        except Exception as fault:
            self.faults.append(repr(fault))


@contextlib.contextmanager
def watched(gateway, what, figures, growth=GROWTH):
    """Honest clients of both versions during a flood, each of which must get its answers; and the gateway's memory."""
    pid = gateway.process.pid
    over_http2 = HonestHttp2(gateway)
    with Honest(gateway, tls_context()) as over_http1:
        over_http2.thread.start()
        eventually("honest answers", lambda: over_http1.count > 3 and over_http2.count > 3)
        before = memory_bytes(pid)
        forget_peak(pid)
        counts = over_http1.count, over_http2.count
        yield
        eventually("honest answers", lambda: over_http2.faults or (
            over_http1.count > counts[0] + 3 and over_http2.count > counts[1] + 3))
        more = peak_memory_bytes(pid) - before
        over_http2.stopping.set()
        over_http2.thread.join(PATIENCE)
    figures.append(
        f"HTTP/2 {what}: memory {more / 1024:+.0f} KiB at most; {over_http1.count} honest requests over HTTP/1.1 and "
        f"{over_http2.count} times 5 over HTTP/2, the slowest {over_http1.slowest * 1000:.0f} ms")
    assert over_http1.faults == over_http2.faults == []
    # A sanitizer takes memory of its own.
    assert more < growth or "AEGIS_SANITIZER" in os.environ


def broken(gateway, reason):
    return gateway.metric(f'aegis_http2_connections_broken_total{{reason="{reason}"}}')


def flood(client, pieces, count, at_once=50, reads=True):
    """Sends pieces, which take a number, until the gateway ends the connection, but at most `count`. The gateway discards
    what comes after its GOAWAY."""
    for sent in range(0, count, at_once):
        while reads and client.goaway is None and (client.buffer or select.select([client.socket], [], [], 0)[0]):
            if client.read() is None:
                return
        if client.goaway is not None or not client.try_to_send(*(pieces(n) for n in range(sent, sent + at_once))):
            return


def ids(number):
    """The identifier of a client's stream."""
    return 2 * number + 1


# By name: the frames before a flood, one unit of the flood, and the metric's reason.
POST = request("POST")
OPEN = headers(1, *POST, end=False)
COUNTED = {
    "rapid reset": (b"", lambda n: headers(ids(n)) + reset(ids(n)), "resets"),
    "rapid reset of bodies": (b"", lambda n: headers(ids(n), *POST, end=False) + data(ids(n), b"x") + reset(ids(n)), "resets"),
    "made you reset: windows": (
        b"", lambda n: headers(ids(n), *POST, end=False) + window_update(ids(n), (1 << 31) - 1), "resets"),
    "made you reset: windows of complete requests": (
        b"", lambda n: headers(ids(n)) + window_update(ids(n), (1 << 31) - 1), "resets"),
    "made you reset: lengths": (
        b"", lambda n: headers(ids(n), *POST, ("content-length", "1"), end=False) + data(ids(n), b"xx"), "resets"),
    "made you reset: short bodies": (
        b"", lambda n: headers(ids(n), *POST, ("content-length", "9"), end=False) + data(ids(n), b"x", end=True), "resets"),
    "made you reset: trailers": (
        b"", lambda n: headers(ids(n), *POST, end=False) + headers(ids(n), (":path", "/")), "resets"),
    "made you reset: trailers without an end": (
        b"", lambda n: headers(ids(n), *POST, end=False) + headers(ids(n), ("a", "b"), end=False), "resets"),
    "made you reset: many trailers": (
        b"", lambda n: headers(ids(n), *POST, end=False) + headers(ids(n), b"\x90" * 1500), "resets"),
    "malformed heads": (b"", lambda n: headers(ids(n), *request(), ("A", "b")), "resets"),
    "heads with line breaks": (b"", lambda n: headers(ids(n), *request(), ("a", "b\r\nc")), "resets"),
    "heads of another scheme": (b"", lambda n: headers(ids(n), *request(scheme="http")), "resets"),
    "SETTINGS": (b"", lambda n: settings((99, n)), "control_frames"),
    "SETTINGS that change windows": (
        b"".join(headers(ids(n), *POST, end=False) for n in range(100)), lambda n: settings((4, 65535 + n % 2)), "control_frames"),
    "SETTINGS that change the table": (b"", lambda n: settings((1, n % 2 * 4096)), "control_frames"),
    "PING": (b"", lambda n: frame(PING, 0, 0, bytes(8)), "control_frames"),
    "PRIORITY": (b"", lambda n: frame(PRIORITY, 0, ids(n), number(0) + b"\x10"), "control_frames"),
    "PRIORITY of one stream": (OPEN, lambda n: frame(PRIORITY, 0, 1, number(ids(n + 1)) + b"\x10"), "control_frames"),
    "PRIORITY_UPDATE of one stream": (OPEN, lambda n: frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=%d" % (n % 8)), "control_frames"),
    "empty DATA": (OPEN, lambda n: data(1), "control_frames"),
    "DATA of padding": (OPEN, lambda n: data(1, b"\x07" + bytes(7), flags=PADDED), "control_frames"),
    "DATA of a byte of padding": (OPEN, lambda n: data(1, b"\0", flags=PADDED), "control_frames"),
    "WINDOW_UPDATE": (b"", lambda n: window_update(0, 1), "control_frames"),
    "WINDOW_UPDATE of a stream": (OPEN, lambda n: window_update(1, 1), "control_frames"),
    "WINDOW_UPDATE of a closed stream": (OPEN + reset(1), lambda n: window_update(1, 1), "control_frames"),
    "unknown frames": (b"", lambda n: frame(99, n % 256, 0), "control_frames"),
    "unknown frames on a stream": (OPEN, lambda n: frame(99, n % 256, 1, bytes(8)), "control_frames"),
    "unknown frames of many types": (b"", lambda n: frame(16 + n % 240, 0, 0, bytes(100)), "control_frames"),
    "ALTSVC and ORIGIN": (b"", lambda n: frame(10 if n % 2 else 12, 0, 0, bytes(8)), "control_frames"),
    "answers to PING": (b"", lambda n: frame(PING, 1, 0, bytes(8)), "control_frames"),
    "resets of closed streams": (OPEN + reset(1), lambda n: reset(1), "resets"),
}


@pytest.mark.parametrize("at_once", [1, 50])
@pytest.mark.parametrize("name", COUNTED)
def test_a_flood_ends_the_connection(gateway, origin, name, at_once, figures):
    before, unit, reason = COUNTED[name]
    told = gateway.log.count("the HTTP/2 connection of 127.0.0.1 was ended")
    count, malformed = broken(gateway, reason), broken(gateway, "malformed")
    with watched(gateway, name, figures), FrameClient(gateway.https) as client:
        client.await_settings()
        client.send(before)
        flood(client, unit, 20_000, at_once)
        code = client.to_end()
    if code == PROTOCOL_ERROR and reason == "resets" and at_once > 1:
        # Streams that the gateway has reset within one read still count as open.
        assert broken(gateway, "malformed") == malformed + 1
        return
    assert code == ENHANCE_YOUR_CALM
    assert broken(gateway, reason) == count + 1
    assert len(origin.requests) <= 1500
    key = {"resets": "resets_per_second", "control_frames": "control_frames_per_second"}[reason]
    if not told:
        gateway.await_log("the HTTP/2 connection of 127.0.0.1 was ended", key)


@pytest.mark.parametrize("at_once", [1, 50])
def test_priorities_of_more_streams_than_there_may_be_end_the_connection(gateway, at_once, figures):
    # RFC 9218 section 7.1.
    with watched(gateway, "priorities", figures), FrameClient(gateway.https) as client:
        client.await_settings()
        flood(client, lambda n: frame(PRIORITY_UPDATE, 0, 0, number(ids(n)) + b"u=1"), 20_000, at_once)
        assert client.to_end() == PROTOCOL_ERROR


@pytest.mark.parametrize("at_once", [1, 50])
@pytest.mark.parametrize("name", [name for name in COUNTED if "reset" in name or "heads" in name])
def test_streams_of_a_connection_that_ends_are_not_forgotten(run, make_origin, name, at_once):
    """After a flood and its clients' limit of time the gateway serves, and it can end."""
    origin = make_origin()
    origin.answer = lambda connection, _: connection.more()
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}, {"domain": "honest.test", "respond": {"body": "ok"}}],
        gateway={"workers": 1, "limits": {"body_progress_timeout": "1s", "idle_timeout": "1s"}})
    before, unit, _ = COUNTED[name]
    with FrameClient(gateway.https) as client:
        client.await_settings()
        client.send(before, *(headers(ids(n)) for n in range(10_000, 10_050)))
        flood(client, lambda n: unit(n + 20_000), 5000, at_once)
        client.to_end()
    # An idle connection ends after the same time as a body that stops, which began before.
    with Http2Client(gateway.https, "honest.test") as honest:
        assert honest.ask(host="honest.test").body == b"ok"
        assert honest.await_end() == [NO_ERROR]
    is_served(gateway)
    eventually("the upstreams' end", lambda: all(not c.more() for c in origin.connections))
    gateway.stop()


@pytest.mark.parametrize("name", ["rapid reset", "made you reset: windows of complete requests"])
def test_a_reset_stream_counts_until_its_upstream_has_ended(gateway, origin, name):
    """The client can't have more requests at the upstream at once than streams."""
    open_now, most, lock = set(), [0], threading.Lock()

    def wait(connection, _):
        with lock:
            open_now.add(connection.number)
            most[0] = max(most[0], len(open_now))
        connection.more()
        with lock:
            open_now.discard(connection.number)
        return False

    origin.answer = wait
    _, unit, _ = COUNTED[name]
    with FrameClient(gateway.https) as client:
        client.await_settings()
        flood(client, unit, 5000)
    eventually("all have ended", lambda: not open_now)
    assert most[0] <= 256


@pytest.mark.parametrize("kind", ["PING", "SETTINGS", "requests", "refused requests"])
def test_answers_that_are_not_read_are_not_collected(hasty, origin, kind, figures):
    """The client sends as long as the gateway reads, and reads nothing."""
    unit = {
        "PING": lambda n: frame(PING, 0, 0, bytes(8)), "SETTINGS": lambda n: settings((99, 1)),
        "requests": lambda n: headers(ids(n), *request(path="/large")),
        "refused requests": lambda n: headers(ids(n), *request(host="honest.test", path="/" + 100 * "x"))}[kind]
    origin.answers["/large"] = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
    with watched(hasty, f"{kind} without reading", figures):
        with FrameClient(hasty.https, "honest.test" if "refused" in kind else "app.test", receive_buffer=4096,
                         settings=[(4, (1 << 31) - 1)]) as client:
            client.send(window_update(0, (1 << 31) - 1 - 65535))
            with contextlib.suppress(TimeoutError):
                client.socket.settimeout(5)
                flood(client, unit, 100_000, reads=False)
            client.socket.settimeout(PATIENCE)
            eventually("the end of it", lambda: hasty.metric("aegis_connections_open") <= 5)


CONTINUATIONS = {
    "empty": lambda n: frame(CONTINUATION, 0, 1),
    "a byte": lambda n: frame(CONTINUATION, 0, 1, b"\x90"),
    "full": lambda n: frame(CONTINUATION, 0, 1, b"\x90" * 16384),
    "fields": lambda n: frame(CONTINUATION, 0, 1, literal("a", "b" * 16000)),
    "a string without end": lambda n: frame(CONTINUATION, 0, 1, (b"\x00\x01a\x7f\xff\xff\xff\x07" if not n else b"") + bytes(16000)),
}


@pytest.mark.parametrize("name", CONTINUATIONS)
def test_a_head_without_end_ends_the_connection(gateway, origin, name, figures):
    with watched(gateway, f"CONTINUATION {name}", figures), FrameClient(gateway.https) as client:
        client.await_settings()
        client.send(frame(HEADERS, END_STREAM, 1, block(*request())))
        flood(client, CONTINUATIONS[name], 2000)
        assert client.to_end() in (ENHANCE_YOUR_CALM, PROTOCOL_ERROR, 9, 2)
    assert not origin.requests


BOMBS = {
    "an indexed field": (b"", b"\x90" * 16000),
    "the largest indexed field": (b"\x40\x01a\x7f\xa1\x1e" + b"x" * 4000, b"\xbe" * 16000),
    "an indexed cookie": (b"\x60\x03a=b", b"\xbe" * 16000),
    "an indexed empty cookie": (b"\x60\x00", b"\xbe" * 16000),
    "an indexed name": (b"", b"\x0f\x01\x00" * 5000),
    "pseudo-fields": (b"", b"\x82" * 16000),
}


@pytest.mark.parametrize("where", ["head", "trailers"])
@pytest.mark.parametrize("name", BOMBS)
def test_a_head_that_grows_in_decoding_takes_no_memory(gateway, origin, where, name, figures):
    """128 streams at once, none of whose answers the client takes."""
    first, many = BOMBS[name]
    with watched(gateway, f"bomb of {name} in {where}", figures):
        with FrameClient(gateway.https, settings=[(4, 0)]) as client:
            client.await_settings()
            client.send(headers(1, *request(), *([first] if first else [])))
            for n in range(1, 128):
                piece = headers(ids(n), *POST, many) if where == "head" else (
                    headers(ids(n), *POST, end=False) + headers(ids(n), many))
                if not client.try_to_send(piece):
                    break
            with contextlib.suppress(Exception):
                client.ping()
            assert client.goaway in (None, ENHANCE_YOUR_CALM)
    assert len(origin.requests) <= 1


def test_heads_as_large_as_allowed_on_all_streams_take_little_memory(gateway, origin, figures):
    """Their bodies never end, so each is kept."""
    fields = [("a" * 10, "b" * 20) for _ in range(90)]
    with watched(gateway, "128 large heads", figures):
        clients = []
        try:
            for _ in range(10):
                client = FrameClient(gateway.https)
                clients.append(client)
                for n in range(128):
                    client.send(headers(ids(n), *POST, *fields, end=False))
                client.ping()
        finally:
            for client in clients:
                client.close()
    eventually("the end of the streams", lambda: gateway.metric("aegis_connections_open") <= 10)


def test_zero_windows_on_all_streams_end(hasty, origin, figures):
    """Each stream ends when its client makes no progress, and the upstreams are not read meanwhile."""
    sent, ended = [0], itertools.count()
    counted = [0]

    def large(connection, _):
        try:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
            while True:
                sent[0] += connection.socket.send(bytes(1 << 16))
        except OSError:
            counted[0] = next(ended) + 1
        return False

    origin.answer = large
    with watched(hasty, "128 windows of 0", figures):
        with FrameClient(hasty.https, settings=[(4, 0)]) as client:
            client.send(*(headers(ids(n)) for n in range(128)))
            resets = {client.until(lambda f: f.type == RST_STREAM).stream_id for _ in range(128)}
            assert resets == {ids(n) for n in range(128)}
            eventually("the upstreams' end", lambda: counted[0] == 128)
            assert client.goaway is None
            client.send(settings((4, 65535)), headers(ids(128), *request(host="app.test", path="/")))
            assert client.until(lambda f: f.type == HEADERS and f.stream_id == ids(128))


def test_slow_readers_on_all_streams_take_little_memory(gateway, origin, figures):
    """Windows open by a byte at a time."""
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + bytes(4_000_000)
    with watched(gateway, "128 streams read byte by byte", figures):
        with FrameClient(gateway.https, settings=[(4, 0)]) as client:
            client.send(*(headers(ids(n)) for n in range(128)))
            for _ in range(128):
                client.until(lambda f: f.type == HEADERS)
            for _ in range(20):
                client.send(*(window_update(ids(n), 1) for n in range(128)))
                for _ in range(128):
                    assert len(client.until(lambda f: f.type == 0).data) == 1
            assert client.goaway is None


def test_small_updates_that_answer_data_are_no_flood(gateway, origin):
    """gRPC's clients open windows by few bytes."""
    origin.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + bytes(60_000)
    with FrameClient(gateway.https, settings=[(4, 10)]) as client:
        client.send(headers(1))
        received = 0
        while received < 60_000:
            count = len(client.until(lambda f: f.type == 0).data)
            received += count
            client.send(window_update(0, count), window_update(1, count))
        client.ping()
        assert client.goaway is None


# Slow clients.

def is_cut_off(gateway, client, pieces):
    """Sends pieces, with a short pause after each, until the gateway ends the connection. Returns false if other connections
    that began later were ended three times, one after another, since they were idle for the same time."""
    client.socket.settimeout(0.02)
    pieces = itertools.chain(pieces, itertools.repeat(b""))
    for _ in range(3):
        with Http2Client(gateway.https, "honest.test") as other:
            while not other.is_over:
                try:
                    client.send(next(pieces))
                    if not client.socket.recv(65536):
                        return True
                except TimeoutError:
                    pass
                except OSError:
                    return True
                other.pump(0)
    return False


def byte_by_byte(frames):
    return [bytes([byte]) for byte in frames]


LARGE = literal("a", "b" * 15_000)
SLOW_HEADS = {
    "a head": byte_by_byte(headers(3, *request(), LARGE)),
    "a frame's header": byte_by_byte(headers(3)[:3]),
    "CONTINUATION": [headers(3, complete=False), frame(CONTINUATION, 0, 3, length=len(LARGE)), *byte_by_byte(LARGE)],
    "empty CONTINUATION": [headers(3, complete=False), frame(CONTINUATION, 0, 3)],
}
# By name: whether the client sends the preface, and the pieces behind it.
SLOW = {
    "nothing": (False, []),
    "the preface": (False, byte_by_byte(PREFACE + settings())),
    "half a preface": (False, [PREFACE[:10]]),
    "frames without a request": (True, 10_000 * [frame(PING, 1, 0, bytes(8))]),
} | {name: (True, pieces) for name, pieces in SLOW_HEADS.items()}


@pytest.mark.parametrize("name", SLOW)
def test_a_client_that_sends_its_head_slowly_is_cut_off(hasty, origin, name):
    has_preface, pieces = SLOW[name]
    with FrameClient(hasty.https, preface=has_preface) as client:
        assert is_cut_off(hasty, client, pieces)
    assert not origin.requests


# The beginning of a frame's header takes no more than the open stream does.
@pytest.mark.parametrize("name", sorted(SLOW_HEADS.keys() - {"a frame's header"}))
def test_a_head_that_comes_slowly_beside_another_stream_is_cut_off(hasty, origin, name):
    """The connection is not idle, since a stream waits for its upstream."""
    origin.answers["/wait"] = lambda connection, _: connection.more()
    with FrameClient(hasty.https) as client:
        client.await_settings()
        client.send(headers(1, *request(path="/wait")))
        origin.await_requests(1)
        assert is_cut_off(hasty, client, SLOW_HEADS[name])


def test_many_connections_that_never_send_the_preface_harm_nobody(hasty, figures):
    with watched(hasty, "300 connections without a preface", figures), contextlib.ExitStack() as stack:
        clients = [stack.enter_context(FrameClient(hasty.https, preface=False)) for _ in range(300)]
        for client in clients:
            assert client.to_end() in (None, NO_ERROR, PROTOCOL_ERROR)


def test_idle_connections_take_little_memory(gateway, figures):
    with contextlib.ExitStack() as stack:
        before = memory_bytes(gateway.process.pid)
        clients = [stack.enter_context(FrameClient(gateway.https)) for _ in range(300)]
        for client in clients:
            client.send(headers(1))
            assert client.status(1) == 200
        more = settled("memory", lambda: memory_bytes(gateway.process.pid)) - before
    figures.append(f"HTTP/2: an idle connection takes {more / 300 / 1024:.1f} KiB")
    assert more < 300 * 64 << 10

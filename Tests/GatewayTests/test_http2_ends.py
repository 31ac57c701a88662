"""How requests and connections of HTTP/2 end: by resets, failures of upstreams, clients that stop, limits of time, changes
of the state, upgrades and the gateway's own end."""

import itertools
import json
import select
import signal
import ssl
import threading
from hashlib import sha256

import pytest

from access_log import lines
from client import BrokenTransfer, Client, tls_context
from gateway import PATIENCE, eventually, settled
from http2_client import (
    CANCEL, INTERNAL_ERROR, NO_ERROR, REFUSED_STREAM, FrameClient, Http2Client, data, headers, is_served, request, window_update)
from load import answer, content
from origin import OK
from process import memory_bytes

MIB = 1 << 20
HONEST = {"domain": "honest.test", "respond": {"body": "ok"}}


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [
            {"domain": "app.test", "upstreams": [module_origin.url], "limits": {"body_bytes": "0"}},
            {"domain": "slow.test", "upstreams": [module_origin.url], "timeouts": {"read": "500ms"}},
            HONEST,
        ],
        gateway={"workers": 1, "access_log": {"to": "access.log"}})


@pytest.fixture
def client(gateway):
    with Http2Client(gateway.https) as client:
        yield client


targets = (f"/{n}" for n in itertools.count())


def logged(gateway, target):
    """Waits for the access log's line about a target."""
    def find():
        return next((entry for line in lines(gateway.folder / "access.log")
                     if (entry := json.loads(line)).get("target") == target), None)

    return eventually(f"the log line of {target}", find)


class Held:
    """An answer that sends its beginning, waits for `released`, and sends the rest. `ended`: the gateway has closed the
    connection to the origin."""

    def __init__(self, first=b"", rest=OK):
        self.first, self.rest = first, rest
        self.begun, self.released, self.ended = (threading.Event() for _ in range(3))

    def __call__(self, connection, request):
        if self.first:
            connection.send(self.first)
        self.begun.set()
        while not self.released.is_set():
            if select.select([connection.socket], [], [], 0.02)[0] and not connection.more():
                self.ended.set()
                return False
        connection.send(self.rest)
        return True

    def await_begun(self, client=None):
        """`client`: one that sends its body meanwhile."""
        eventually("the answer has begun", lambda: (client and client.pump(0), self.begun.is_set())[1])

    def await_end(self):
        assert self.ended.wait(PATIENCE), "the connection to the origin is still open"


# By name: how far a request has come when its client resets it. Each begins a request and returns its stream.
def before_the_answer(client, origin, held, path):
    origin.answers[path] = held
    stream = client.begin(path)
    held.await_begun()
    return stream


def within_the_answer(client, origin, held, path):
    held.first = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"
    stream = before_the_answer(client, origin, held, path)
    client.until(lambda: client.answers[stream].body == b"hello")
    return stream


def within_the_body(client, origin, held, path):
    """The body is longer than what the gateway collects before it chooses an upstream."""
    origin.early[path] = held
    stream = client.begin(path, body=bytes(200_000), ends=False)
    held.await_begun(client)
    return stream


def within_both(client, origin, held, path):
    held.first = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"
    stream = within_the_body(client, origin, held, path)
    client.until(lambda: client.answers[stream].body == b"hello")
    return stream


STEPS = {step.__name__: step for step in (before_the_answer, within_the_answer, within_the_body, within_both)}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", ["reset", "end of the connection", "reset of the connection"])
def test_a_client_that_leaves_ends_its_request_at_once(gateway, client, origin, step, how):
    path, held = next(targets), Held()
    stream = STEPS[step](client, origin, held, path)
    if how == "reset":
        client.reset(stream)
    else:
        client.close() if how == "end of the connection" else client.break_off()
    held.await_end()
    entry = logged(gateway, path)
    expected = (200, 5, "the client left") if held.first else (499, 0, None)
    assert (entry["status"], entry["bytes"], entry.get("error"), entry["protocol"]) == (*expected, "h2")
    if how == "reset":
        assert client.ask(next(targets)).status == 200
    is_served(gateway)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_frames_of_a_connection_that_breaks_reach_no_other(gateway, origin, direction):
    """The connection breaks while the gateway sends to it."""
    size = 64 * MIB
    origin.answers["/down"] = lambda connection, _: connection.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    for _ in range(30):
        with FrameClient(gateway.https) as honest, FrameClient(gateway.https, settings=[(4, (1 << 31) - 1)]) as client:
            honest.ping()
            if direction == "up":
                client.send(headers(1, *request("POST"), end=False), *(data(1, bytes(8000)) for _ in range(7)))
                client.send(data(1, bytes(8000)))
            else:
                client.send(window_update(0, (1 << 31) - 1 - 65535), headers(1, *request(path="/down")))
                for _ in range(50):
                    client.until(lambda f: f.type == 0)
            client.break_off()
            honest.send(headers(1))
            assert honest.end_of(1) == (200, b"ok", None)
            honest.ping()
            with FrameClient(gateway.https) as other:
                other.ping()
            assert {f.stream_id for f in honest.frames} == {0, 1} and {f.stream_id for f in other.frames} == {0}


def test_a_reset_before_the_body_is_collected_reaches_no_upstream(gateway, client, origin):
    path = next(targets)
    stream = client.begin(path, body=b"hello", ends=False)
    client.ping()
    client.reset(stream)
    assert logged(gateway, path)["status"] == 499
    client.ping()
    assert not origin.requests and not origin.faults


def test_a_reset_leaves_the_other_streams_alone(gateway, client, origin):
    helds = [Held(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", b"world") for _ in range(20)]
    paths = [next(targets) for _ in helds]
    origin.answers.update(zip(paths, helds))
    streams = [client.begin(path) for path in paths]
    client.until(lambda: all(client.answers[stream].body == b"hello" for stream in streams))
    for stream in streams[::2]:
        client.reset(stream)
    for held in helds[::2]:
        held.await_end()
    for held in helds[1::2]:
        held.released.set()
    for stream in streams[1::2]:
        assert client.answer(stream).body == b"helloworld"


# Upstreams that fail.

# By name: the framing of an answer that begins with "hello", and what follows before the upstream breaks it off.
BROKEN = {
    "length": (b"Content-Length: 100\r\n\r\n", b""),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n", b"\r\n"),
    "within a chunk": (b"Transfer-Encoding: chunked\r\n\r\n6\r\n", b""),
    "malformed chunk": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n", b"\r\nxyz\r\n"),
    "last chunk": (b"Transfer-Encoding: chunked\r\n\r\n5\r\n", b"\r\n0\r\n"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("how", ["close", "reset"])
def test_an_answer_that_is_broken_off_resets_its_stream(gateway, client, origin, name, how):
    head, rest = BROKEN[name]
    path, seen = next(targets), threading.Event()

    def answer(connection, _):
        connection.send(b"HTTP/1.1 200 OK\r\n" + head + b"hello")
        assert seen.wait(PATIENCE)
        connection.send(rest)
        connection.close() if how == "close" else connection.reset()
        return False

    origin.answers[path] = answer
    stream = client.begin(path)
    client.until(lambda: client.answers[stream].body == b"hello")
    seen.set()
    answer = client.answer(stream)
    assert answer.status == 200 and not answer.is_ended and answer.reset == INTERNAL_ERROR
    assert "error" in logged(gateway, path)
    assert client.ask(next(targets)).status == 200


def test_an_upstream_that_does_not_answer_is_504(gateway, client, origin):
    with Http2Client(gateway.https, "slow.test") as client:
        path = next(targets)
        origin.answers[path] = Held()
        answer = client.ask(path, host="slow.test")
        assert (answer.status, answer.is_ended, answer.reset) == (504, True, None)
        assert client.ask(next(targets), host="slow.test").status == 200


def test_an_upstream_that_stops_within_its_answer_resets_its_stream(gateway, origin):
    with Http2Client(gateway.https, "slow.test") as client:
        path = next(targets)
        origin.answers[path] = Held(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
        answer = client.ask(path, host="slow.test")
        assert (answer.status, answer.body, answer.is_ended, answer.reset) == (200, b"hello", False, INTERNAL_ERROR)
        assert logged(gateway, path)["error"] == "the upstream took too long"
        assert client.ask(next(targets), host="slow.test").status == 200


def test_a_malformed_answer_is_502(client, origin):
    for malformed in (b"HTTP/1.1 200 OK\r\nA\r\n\r\n", b"HELO\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"):
        origin.answer = malformed
        assert client.ask(next(targets)).status == 502


# Clients that are slow.

@pytest.fixture(scope="module")
def hasty(run_once, module_origin):
    """A gateway whose limits of time are short."""
    return run_once(
        [{"domain": "app.test", "upstreams": [module_origin.url], "limits": {"body_bytes": "0"}}, HONEST],
        gateway={"workers": 1, "access_log": {"to": "access.log"}, "limits": {
            "request_header_timeout": "1s", "body_progress_timeout": "1s", "idle_timeout": "1s",
            "handshake_timeout": "1s", "http2": {"control_frames_per_second": 100_000}}})


@pytest.mark.parametrize("body", [b"", b"hello", bytes(60_000)], ids=len)
def test_a_body_that_stops_is_408_and_the_connection_continues(hasty, origin, body):
    with Http2Client(hasty.https) as client:
        path = next(targets)
        stream = client.begin(path, body=body, ends=False)
        answer = client.answer(stream)
        assert answer.status == 408
        client.until(lambda: answer.reset is not None)
        assert answer.reset == NO_ERROR
        assert client.ask(next(targets)).status == 200
    assert len(origin.requests) == 1 and logged(hasty, path)["status"] == 408


def test_a_body_that_stops_after_an_upstream_was_chosen_ends_there_too(hasty, origin):
    with Http2Client(hasty.https) as client:
        path, held = next(targets), Held()
        origin.early[path] = held
        stream = client.begin(path, body=bytes(200_000), ends=False)
        held.await_begun(client)
        answer = client.answer(stream)
        assert answer.status == 408 or answer.reset is not None
        held.await_end()
        assert client.ask(next(targets)).status == 200


class Flood:
    """An answer without end. `sent`: how many bytes the origin could send."""

    def __init__(self):
        self.sent = 0
        self.ended = threading.Event()

    def __call__(self, connection, _):
        try:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
            while True:
                self.sent += connection.socket.send(bytes(1 << 16))
        except OSError:
            self.ended.set()
        return False


@pytest.mark.parametrize("window", [0, 1, 1000, 65535])
def test_an_answer_that_is_not_read_stops_its_upstream(gateway, origin, window, figures):
    with FrameClient(gateway.https, settings=[(4, window)]) as client:
        client.ping()
        before = memory_bytes(gateway.process.pid)
        floods = [Flood() for _ in range(20)]
        for number, flood in enumerate(floods):
            path = next(targets)
            origin.answers[path] = flood
            client.send(headers(2 * number + 1, *request(path=path)))
        for flood in floods:
            eventually("the flood has begun", lambda: flood.sent > 0)
        sent = settled("what the origin could send", lambda: sum(flood.sent for flood in floods))
        more = memory_bytes(gateway.process.pid) - before
        figures.append(f"window {window}: 20 floods pass {sent // 1024} KiB, memory {more / 1024:+.0f} KiB")
        assert more < 16 * MIB
        # Most of it is in the kernel's buffers.
        assert sent < 20 * 12 * MIB
        client.ping()
        is_served(gateway)


def test_a_stream_that_is_not_read_ends_and_the_others_continue(hasty, origin):
    flood, path = Flood(), next(targets)
    origin.answers[path] = flood
    with Http2Client(hasty.https) as client:
        unread = client.begin(path, reads=False)
        client.await_head(unread)
        while client.answers[unread].reset is None:
            assert client.ask(next(targets)).body == b"ok"
        assert client.answers[unread].reset in (CANCEL, INTERNAL_ERROR)
        assert client.ask(next(targets)).body == b"ok"
    assert flood.ended.wait(PATIENCE) and logged(hasty, path)["error"] == "the client took too long"


def test_a_stream_that_is_read_slowly_goes_on(hasty, origin):
    """Each update of the window is small, and comes before the time for progress has passed."""
    body, path = bytes(range(256)) * 512, next(targets)
    origin.answers[path] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with FrameClient(hasty.https, settings=[(4, 0)]) as client:
        client.send(headers(1, *request(path=path)))
        client.until(lambda f: f.type == 1)
        received = b""
        for _ in range(len(body) // 4096):
            client.send(window_update(1, 4096), window_update(0, 4096))
            while len(received) % 4096 or not received or client.frames[-1].type != 0:
                received += client.until(lambda f: f.type == 0).data
            client.frames.clear(), client.frames.append(client.ping())
        assert received == body


def test_a_connection_that_is_not_read_ends(hasty, origin):
    flood, path = Flood(), next(targets)
    origin.answers[path] = flood
    with FrameClient(hasty.https, settings=[(4, (1 << 31) - 1)], receive_buffer=4096) as client:
        client.send(window_update(0, (1 << 31) - 1 - 65535), headers(1, *request(path=path)))
        assert flood.ended.wait(PATIENCE)
        assert logged(hasty, path)["error"] in ("the client took too long", "the client left")
    is_served(hasty)


def test_a_pause_in_reading_does_not_end_a_connection(hasty, origin):
    """A client that has read everything after a pause may go on: its request waits for its upstream."""
    held, path, large = Held(), next(targets), next(targets)
    origin.answers[path] = held
    origin.answers[large] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (32 * MIB) + bytes(32 * MIB)
    with FrameClient(hasty.https, settings=[(4, (1 << 31) - 1)], receive_buffer=4096) as client:
        client.send(window_update(0, (1 << 31) - 1 - 65535), headers(1, *request(path=path)))
        held.await_begun()
        client.send(headers(3, *request(path=large)))
        settled("what the gateway has sent", lambda: hasty.metric("aegis_client_bytes_sent_total"))
        assert client.end_of(3)[0] == 200
        # Another connection's limit of time passes meanwhile.
        with Http2Client(hasty.https) as other:
            other.await_end()
        with Http2Client(hasty.https) as other:
            other.await_end()
        held.released.set()
        assert client.end_of(1) == (200, b"ok", None)
        client.send(headers(5))
        assert client.end_of(5) == (200, b"ok", None)
        assert client.goaway is None


# The end of a connection.

def test_an_idle_connection_ends_with_goaway(hasty, origin):
    with Http2Client(hasty.https) as client:
        assert client.ask(next(targets)).status == 200
        assert client.await_end() == [NO_ERROR]
        assert client.goaways[-1].last_stream_id == 1
    with Http2Client(hasty.https) as client:
        assert client.await_end() == [NO_ERROR]
        assert client.goaways[-1].last_stream_id == 0


def test_pings_do_not_keep_an_idle_connection(hasty):
    with FrameClient(hasty.https) as client:
        with pytest.raises((BrokenTransfer, OSError)):
            while True:
                client.ping()
        assert client.goaway == NO_ERROR


def test_a_goaway_of_the_client_ends_the_connection_after_its_streams(gateway, client, origin):
    held, path = Held(), next(targets)
    origin.answers[path] = held
    stream = client.begin(path)
    held.await_begun()
    client.http2.close_connection()
    client.pump(0)
    with Http2Client(gateway.https) as other:
        other.ping()
    held.released.set()
    assert client.answer(stream).status == 200
    client.await_end()


# Reload, upgrade, and the gateway's own end.

class Streams:
    """Requests under way at different steps of one connection: `check` finishes them."""

    def __init__(self, gateway, origin):
        self.client = Http2Client(gateway.https)
        self.waiting, self.begun = Held(), Held(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", b"world")
        paths = [next(targets) for _ in range(4)]
        origin.answers.update({paths[0]: self.waiting, paths[1]: self.begun})
        origin.answers[paths[2]] = origin.answers[paths[3]] = self.echo
        self.streams = [self.client.begin(path) for path in paths[:2]]
        self.body = bytes(range(256)) * 2000
        self.streams += [self.client.begin(paths[2], body=self.body, ends=False)]
        self.streams += [self.client.begin(paths[3], body=b"hello", ends=False)]
        self.client.until(lambda: self.client.answers[self.streams[1]].body == b"hello")
        self.waiting.await_begun()

    @staticmethod
    def echo(connection, request):
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(request.body) + request.body)

    def check(self):
        self.waiting.released.set(), self.begun.released.set()
        self.client.add(self.streams[2], self.body, ends=True)
        self.client.add(self.streams[3], b"world", ends=True)
        answers = [self.client.answer(stream) for stream in self.streams]
        assert [answer.status for answer in answers] == [200, 200, 200, 200]
        assert [bytes(answer.body) for answer in answers] == [b"ok", b"helloworld", 2 * self.body, b"helloworld"]


@pytest.fixture
def own(run, origin):
    return run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "limits": {"http2": {"control_frames_per_second": 100_000}}})


def await_goaway(client, count=1):
    client.until(lambda: len(client.goaways) >= count)
    return client.goaways[count - 1]


@pytest.mark.parametrize("end", ["SIGTERM", "upgrade"])
def test_streams_under_way_end_whole(own, origin, end):
    """RFC 9113 section 6.8: the first GOAWAY refuses nothing, the second names the last stream."""
    streams = Streams(own, origin)
    client = streams.client
    former = own.upgrade() if end == "upgrade" else own.process
    if end == "SIGTERM":
        own.process.send_signal(signal.SIGTERM)
    first = await_goaway(client)
    assert (first.error_code, first.last_stream_id) == (NO_ERROR, (1 << 31) - 1)
    # A request that was on its way when the client got to know is answered.
    last = client.begin(next(targets))
    assert client.answer(last).status == 200
    second = await_goaway(client, 2)
    assert (second.error_code, second.last_stream_id) == (NO_ERROR, last)
    assert former.poll() is None
    streams.check()
    assert {code for code in client.await_end()} == {NO_ERROR}
    assert former.wait(PATIENCE) == 0
    if end == "upgrade":
        with Http2Client(own.https) as client:
            assert client.ask(next(targets)).status == 200


@pytest.mark.parametrize("end", ["SIGTERM", "upgrade"])
def test_a_stream_that_begins_too_late_is_not_begun(own, origin, end):
    """What a client sends after the second GOAWAY it may send again elsewhere: no upstream gets it."""
    held, path = Held(), next(targets)
    origin.answers[path] = held
    with FrameClient(own.https) as client:
        client.send(headers(1, *request(path=path)))
        held.await_begun()
        former = own.upgrade() if end == "upgrade" else own.process
        if end == "SIGTERM":
            own.process.send_signal(signal.SIGTERM)
        goaways = [client.until(lambda f: f.type == 7) for _ in range(2)]
        assert [(f.error_code, f.last_stream_id) for f in goaways] == [(NO_ERROR, (1 << 31) - 1), (NO_ERROR, 1)]
        client.send(headers(3))
        client.ping()
        assert len(origin.requests) == 1
        held.released.set()
        assert client.end_of(1) == (200, b"ok", None)
        client.to_end()
    assert former.wait(PATIENCE) == 0


@pytest.mark.parametrize("end", ["SIGTERM", "upgrade"])
def test_an_idle_connection_ends_soon(own, origin, end):
    with Http2Client(own.https) as client:
        assert client.ask(next(targets)).status == 200
        former = own.upgrade() if end == "upgrade" else own.process
        if end == "SIGTERM":
            own.process.send_signal(signal.SIGTERM)
        assert set(client.await_end()) == {NO_ERROR}
    assert former.wait(PATIENCE) == 0


def test_pings_do_not_keep_a_connection_that_ends(own, origin):
    with FrameClient(own.https) as client:
        own.process.send_signal(signal.SIGTERM)
        with pytest.raises((BrokenTransfer, OSError)):
            while True:
                client.ping()
        assert client.goaway == NO_ERROR


@pytest.mark.parametrize("change", ["another host", "this host", "read all"])
def test_a_change_of_the_state_leaves_streams_alone(own, origin, change):
    streams = Streams(own, origin)
    if change == "another host":
        own.config["hosts"].append({"domain": "new.test", "respond": {"body": "new"}})
    elif change == "this host":
        own.config["hosts"][0]["timeouts"] = {"read": "59s"}
    own.read_all() if change == "read all" else own.reload()
    assert streams.client.ask(next(targets)).status == 200
    streams.check()
    assert not streams.client.goaways


def test_a_host_that_is_removed_still_answers_its_streams(own, origin):
    streams = Streams(own, origin)
    own.config["hosts"][0]["domain"] = "other.test"
    own.reload()
    streams.check()
    assert streams.client.ask(next(targets)).status in (404, 421)


class Load:
    """Clients that send requests on connections with many streams, and compare each answer. After a GOAWAY they go on with
    another connection, and with those requests that were refused."""

    def __init__(self, gateway, clients=3):
        self.gateway, self.faults, self.requests, self.refused, self.connections = gateway, [], 0, 0, 0
        self.identities, self.stopping = itertools.count(1), threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(PATIENCE * 2)
        assert self.faults == [] and not any(thread.is_alive() for thread in self.threads)

    def run(self):
        try:
            while not self.stopping.is_set():
                with Http2Client(self.gateway.https) as client:
                    self.connections += 1
                    self.use(client)
        except Exception as fault:
            self.faults.append(repr(fault))

    def use(self, client):
        streams = {}
        while streams or not (self.stopping.is_set() or client.goaways):
            while len(streams) < 20 and not (self.stopping.is_set() or client.goaways):
                identity = next(self.identities)
                body = content(str(identity)) if identity % 4 == 0 else b""
                streams[client.begin(f"/?id={identity}", body=body)] = identity, body
            stream = next(iter(streams))
            self.check(client.answer(stream), *streams.pop(stream))

    def check(self, answer, identity, body):
        if answer.reset == REFUSED_STREAM:
            self.refused += 1
            return
        expected = sha256(body).hexdigest().encode() if body else content(str(identity))
        assert (answer.status, answer["x-identity"]) == (200, str(identity)), f"{identity}: {answer}"
        assert bytes(answer.body) == expected
        self.requests += 1


@pytest.mark.parametrize("change", ["upgrade", "reload"])
def test_changes_under_load_lose_no_request(run, make_origin, change, figures):
    origin = make_origin()
    origin.answer = answer
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}])
    former = []
    with Load(gateway) as load:
        for turn in range(5):
            before = load.requests
            if change == "upgrade":
                former.append(gateway.upgrade())
            else:
                gateway.config["hosts"][0]["timeouts"] = {"read": f"{30 + turn}s"}
                gateway.reload()
            eventually("requests after the change", lambda: load.faults or load.requests > before + 50)
    for process in former:
        assert process.wait(PATIENCE) == 0
    assert not origin.faults
    if change == "reload":
        assert load.connections == 3
    figures.append(
        f"5 times {change} under HTTP/2: {load.requests} requests on {load.connections} connections, none lost, "
        f"{load.refused} refused before they began")


def test_a_load_that_ends_with_the_gateway_loses_no_request(run, make_origin):
    """Connections that can no longer be made are no loss."""
    origin = make_origin()
    origin.answer = answer
    gateway = run([{"domain": "app.test", "upstreams": [origin.url]}])
    load = Load(gateway)
    with Http2Client(gateway.https) as client:
        thread = threading.Thread(target=load.use, args=(client,), daemon=True)
        thread.start()
        eventually("requests", lambda: load.requests > 50)
        gateway.process.send_signal(signal.SIGTERM)
        thread.join(PATIENCE)
        assert not thread.is_alive() and client.goaways
    gateway.stop()


# A handshake whose host is no longer the one that serves the name.

MOVES = {"an alias": "www.one.test", "a name under a wildcard": "b.wild.test", "a name without a host": "new.test"}


@pytest.fixture
def moving(run, origin):
    """A gateway, and what gives a name a host of its own, with a certificate of its own."""
    names = list(MOVES.values())
    shared = {"ssl_mode": "custom", "certificate": "all", "upstreams": [origin.url]}
    gateway = run(
        [{"domain": "one.test", "aliases": ["www.one.test"], **shared}, {"domain": "*.wild.test", **shared}],
        issuers={"lan": {"type": "local_ca"}}, certificates={
            "all": {"issuer": "lan", "domains": ["one.test", "*.wild.test", *names]},
            "own": {"issuer": "lan", "domains": names}})

    def move(name):
        if "aliases" in gateway.config["hosts"][0] and name == "www.one.test":
            del gateway.config["hosts"][0]["aliases"]
        gateway.config["hosts"].append({**shared, "domain": name, "certificate": "own"})
        gateway.reload()
    return gateway, move


@pytest.mark.parametrize("what", MOVES)
def test_a_connection_ends_when_its_name_has_moved_to_another_host(moving, what):
    """No request on it could succeed again; the client needs a new handshake."""
    (gateway, move), name = moving, MOVES[what]
    before = 404 if what == "a name without a host" else 200
    with Client(gateway.https, tls_context(), name) as plain, Http2Client(gateway.https, name) as client:
        assert (plain.get(name).status, client.ask(host=name).status) == (before, before)
        move(name)
        response = plain.get(name)
        assert (response.status, response["Connection"]) == (421, "close") and plain.is_closed()
        assert client.ask(host=name).status == 421 and set(client.await_end()) == {NO_ERROR}
    with Client(gateway.https, tls_context(), name) as plain, Http2Client(gateway.https, name) as client:
        assert (plain.get(name).status, client.ask(host=name).status) == (200, 200)


@pytest.mark.parametrize("change", ["removed", "a newer TLS"])
def test_a_connection_ends_when_its_host_is_out_of_its_reach(moving, change):
    gateway, _ = moving
    old = tls_context(versions=ssl.TLSVersion.TLSv1_2)
    both = tls_context(versions=ssl.TLSVersion.TLSv1_2, alpn=["h2"])
    with Client(gateway.https, old, "one.test") as plain, Http2Client(gateway.https, "one.test", both) as client:
        assert (plain.get("one.test").status, client.ask(host="one.test").status) == (200, 200)
        if change == "removed":
            del gateway.config["hosts"][0]
        else:
            gateway.config["hosts"][0]["tls_min_version"] = "1.3"
        gateway.reload()
        assert plain.get("one.test").status == 421 and plain.is_closed()
        assert client.ask(host="one.test").status == 421 and set(client.await_end()) == {NO_ERROR}


def test_a_connection_stays_when_another_name_is_misdirected(moving):
    gateway, move = moving
    with Client(gateway.https, tls_context(), "a.wild.test") as plain, \
            Http2Client(gateway.https, "a.wild.test") as client:
        move("b.wild.test")
        for name, status in (("b.wild.test", 421), ("a.wild.test", 200)):
            assert (plain.get(name).status, client.ask(host=name).status) == (status, status)
        assert not client.goaways

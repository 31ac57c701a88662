"""Frames and heads that break the rules of HTTP/2 (RFC 9113) or HPACK (RFC 7541), and what the origin receives of those that
keep them."""

import re

import pytest

from http2_client import (
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR,
    GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PRIORITY_UPDATE, PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS,
    STREAM_CLOSED, WINDOW_UPDATE, FrameClient, Http2Client, block, data, frame, headers, is_served, literal,
    number, request, reset, settings, window_update)

HONEST = {"domain": "honest.test", "respond": {"body": "ok"}}


@pytest.fixture(scope="module")
def gateway(run_once, module_origin):
    return run_once(
        [{"domain": "app.test", "upstreams": [module_origin.url]}, HONEST],
        gateway={"workers": 1, "limits": {"http2": {"control_frames_per_second": 100_000, "resets_per_second": 100_000}}})


def stream(*codes):
    return {f"reset with {code}" for code in codes}


def connection(*codes):
    return {f"the connection ends with {code}" for code in codes}


IGNORED = {"ignored"}
# A stream error that the gateway may take for one of the connection (RFC 9113 section 5.4.2).
MALFORMED = stream(PROTOCOL_ERROR) | {"400"}
SIZE, PROTOCOL, CLOSED = connection(FRAME_SIZE_ERROR), connection(PROTOCOL_ERROR), connection(STREAM_CLOSED)
FLOW, COMPRESSION = connection(FLOW_CONTROL_ERROR), connection(COMPRESSION_ERROR)

BAD = request(path="/bad")
POST = request("POST", "/bad")
GET = headers(1)
OPEN = headers(1, *POST, end=False)


def head(*fields, end=True):
    """A head with these fields beside the usual pseudo-fields."""
    return headers(1, *BAD, *fields, end=end)


def changed(name, *values, method="GET"):
    """A head whose pseudo-field has these values instead."""
    fields = []
    for field in request(method, "/bad"):
        fields += [(name, value) for value in values] if field[0] == name else [field]
    return headers(1, *fields)


def body(length, sent, end=True):
    """A request with a content-length, and a body."""
    return headers(1, *POST, ("content-length", length), end=False) + data(1, sent, end=end)


def split(*fragments, between=b"", last=1):
    """A head in several frames. `between`: what comes before the last."""
    first, *more = fragments
    frames = [frame(HEADERS, END_STREAM, 1, first)]
    frames += [frame(CONTINUATION, 0, 1, fragment) for fragment in more[:-1]]
    return b"".join(frames) + between + frame(CONTINUATION, END_HEADERS, last, more[-1])


HEAD = block(*BAD)
CUT = HEAD[:10], HEAD[10:20], HEAD[20:]

# By name: frames, and the outcomes that are right.
FRAMES = {
    # Frames on the wrong stream (RFC 9113 sections 5.1 and 6).
    "DATA on stream 0": (data(0, b"x"), PROTOCOL),
    "HEADERS on stream 0": (headers(0, *BAD), PROTOCOL),
    "PRIORITY on stream 0": (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL),
    "RST_STREAM on stream 0": (reset(0), PROTOCOL),
    "SETTINGS on stream 1": (frame(SETTINGS, 0, 1), PROTOCOL),
    "PUSH_PROMISE": (GET + frame(PUSH_PROMISE, END_HEADERS, 1, number(2) + HEAD), PROTOCOL),
    "PUSH_PROMISE on stream 0": (frame(PUSH_PROMISE, END_HEADERS, 0, number(2) + HEAD), PROTOCOL),
    "PING on stream 1": (frame(PING, 0, 1, bytes(8)), PROTOCOL),
    "GOAWAY on stream 1": (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL),
    "CONTINUATION on stream 0": (frame(CONTINUATION, END_HEADERS, 0, HEAD), PROTOCOL),
    "CONTINUATION without HEADERS": (frame(CONTINUATION, END_HEADERS, 1, HEAD), PROTOCOL),
    "CONTINUATION after a complete head": (GET + frame(CONTINUATION, END_HEADERS, 1, HEAD), PROTOCOL),
    "HEADERS on a stream of the server": (headers(2, *BAD), PROTOCOL),
    "DATA on an idle stream": (data(5, b"x"), PROTOCOL),
    "RST_STREAM on an idle stream": (reset(5), PROTOCOL),
    "WINDOW_UPDATE on an idle stream": (window_update(5, 1), PROTOCOL),
    "DATA on an idle stream of the server": (data(2, b"x"), PROTOCOL),
    "RST_STREAM on an idle stream of the server": (reset(2), PROTOCOL),
    "a stream that was left out": (headers(5, *request()) + headers(1, *BAD), PROTOCOL | CLOSED),
    "DATA after the end": (headers(1) + data(1, b"x"), CLOSED | stream(STREAM_CLOSED)),
    "HEADERS after the end": (headers(1) + headers(1, ("a", "b")), CLOSED | stream(STREAM_CLOSED)),
    "DATA after a reset": (OPEN + reset(1) + data(1, b"x", end=True), CLOSED | stream(STREAM_CLOSED) | IGNORED),
    "HEADERS after a reset": (OPEN + reset(1) + headers(1, ("a", "b")), CLOSED | stream(STREAM_CLOSED) | IGNORED),
    "a request again on a stream that was reset": (OPEN + reset(1) + GET, CLOSED | stream(STREAM_CLOSED) | IGNORED),
    "the reserved bit of a stream": (headers(1 << 31 | 1), {"200"}),
    # Frames of the wrong size (section 4.2).
    "DATA that is too large": (OPEN + data(1, bytes(16385)), SIZE | stream(FRAME_SIZE_ERROR)),
    "HEADERS that are too large": (headers(1, *BAD, ("a", "b" * 16384)), SIZE),
    "an unknown frame that is too large": (frame(99, 0, 0, bytes(16385)), SIZE),
    "a frame of the largest length": (frame(DATA, 0, 1, b"", (1 << 24) - 1), SIZE),
    "PRIORITY of 4 bytes": (GET + frame(PRIORITY, 0, 1, bytes(4)), SIZE | stream(FRAME_SIZE_ERROR)),
    "PRIORITY of 6 bytes": (GET + frame(PRIORITY, 0, 1, bytes(6)), SIZE | stream(FRAME_SIZE_ERROR)),
    "RST_STREAM of 3 bytes": (GET + frame(RST_STREAM, 0, 1, bytes(3)), SIZE),
    "RST_STREAM of 5 bytes": (GET + frame(RST_STREAM, 0, 1, bytes(5)), SIZE),
    "SETTINGS of 5 bytes": (frame(SETTINGS, 0, 0, bytes(5)), SIZE),
    "SETTINGS of 7 bytes": (frame(SETTINGS, 0, 0, bytes(7)), SIZE),
    "an acknowledgement of SETTINGS with one": (frame(SETTINGS, 1, 0, bytes(6)), SIZE),
    "PING of 7 bytes": (frame(PING, 0, 0, bytes(7)), SIZE),
    "PING of 9 bytes": (frame(PING, 0, 0, bytes(9)), SIZE),
    "PING of no bytes": (frame(PING), SIZE),
    "GOAWAY of 7 bytes": (frame(GOAWAY, 0, 0, bytes(7)), SIZE),
    "WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    "WINDOW_UPDATE of 5 bytes": (frame(WINDOW_UPDATE, 0, 0, bytes(5)), SIZE),
    "HEADERS without room for their priority": (frame(HEADERS, 0x25, 1, bytes(4)), SIZE | PROTOCOL),
    "HEADERS without room for their padding's length": (frame(HEADERS, 0x0D, 1), SIZE | PROTOCOL),
    "DATA without room for their padding's length": (OPEN + frame(DATA, PADDED, 1), SIZE | PROTOCOL),
    "padding that is longer than its DATA": (OPEN + data(1, b"\x06hello", flags=PADDED), PROTOCOL),
    "padding that is longer than its HEADERS": (frame(HEADERS, 0x0D, 1, b"\xff" + HEAD), PROTOCOL),
    # Frames that are allowed.
    "an unknown frame": (frame(99, 0xFF, 0, b"hello"), IGNORED),
    "an unknown frame on a stream": (headers(1, *POST, end=False) + frame(99, 0xFF, 1, b"hello"), IGNORED),
    "an unknown frame on an idle stream": (frame(99, 0xFF, 7, b"hello"), IGNORED),
    "unknown flags": (headers(1, *request(), flags=0xD2), {"200"}),
    "ALTSVC": (frame(10, 0, 0, b"\0\x04test"), IGNORED),
    "ORIGIN": (frame(12, 0, 0, b"\0\x04test"), IGNORED),
    "PRIORITY_UPDATE": (frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=1"), IGNORED),
    "PRIORITY_UPDATE without a stream": (frame(PRIORITY_UPDATE, 0, 0, b"u"), IGNORED | SIZE | PROTOCOL),
    "a PING's answer that was not asked for": (frame(PING, 1, 0, bytes(8)), IGNORED),
    "an acknowledgement that was not asked for": (settings(ack=True), IGNORED | PROTOCOL),
    "GOAWAY of the client": (headers(1) + frame(GOAWAY, 0, 0, bytes(8)), {"200"} | connection(0)),
    "GOAWAY with an error": (headers(1) + frame(GOAWAY, 0, 0, number(0) + number(2) + b"why"), {"200"} | connection(0)),
    "PRIORITY": (frame(PRIORITY, 0, 9, number(3) + b"\x10"), IGNORED),
    "PRIORITY on a closed stream": (OPEN + reset(1) + frame(PRIORITY, 0, 1, bytes(5)), IGNORED),
    "a stream that depends on itself": (frame(PRIORITY, 0, 1, number(1) + b"\x10"), IGNORED | PROTOCOL | stream(PROTOCOL_ERROR)),
    "HEADERS with priority": (frame(HEADERS, 0x25, 1, bytes(5) + block(*request())), {"200"}),
    "WINDOW_UPDATE on a closed stream": (OPEN + reset(1) + window_update(1, 5), IGNORED),
    "RST_STREAM twice": (OPEN + reset(1) + reset(1), IGNORED | CLOSED),
    "an unknown code of a reset": (OPEN + reset(1, 0xFFFFFFFF), IGNORED),
    # SETTINGS (section 6.5.2).
    "ENABLE_PUSH 2": (settings((2, 2)), PROTOCOL),
    "INITIAL_WINDOW_SIZE 2^31": (settings((4, 1 << 31)), FLOW),
    "MAX_FRAME_SIZE 16383": (settings((5, 16383)), PROTOCOL),
    "MAX_FRAME_SIZE 2^24": (settings((5, 1 << 24)), PROTOCOL),
    "MAX_FRAME_SIZE 0": (settings((5, 0)), PROTOCOL),
    "ENABLE_CONNECT_PROTOCOL 2": (settings((8, 2)), PROTOCOL | IGNORED),
    "NO_RFC7540_PRIORITIES 2": (settings((9, 2)), PROTOCOL),
    "NO_RFC7540_PRIORITIES that changes": (settings((9, 1)), PROTOCOL | IGNORED),
    "unknown SETTINGS": (settings((0, 1), (99, 1), (0xFFFF, 0xFFFFFFFF)), IGNORED),
    "SETTINGS at their bounds": (
        settings((1, 0), (2, 1), (3, 0), (4, (1 << 31) - 1), (5, 16384), (5, (1 << 24) - 1), (6, 0)), IGNORED),
    "a large HEADER_TABLE_SIZE": (settings((1, 0xFFFFFFFF)), IGNORED),
    "a setting that comes twice": (settings((4, 0), (4, 65535)), IGNORED),
    "too many SETTINGS": (settings(*[(99, 1)] * 1000), connection(ENHANCE_YOUR_CALM, PROTOCOL_ERROR) | IGNORED),
    # Windows (sections 5.2 and 6.9).
    "WINDOW_UPDATE of 0": (window_update(0, 0), PROTOCOL),
    "WINDOW_UPDATE of 0 on a stream": (OPEN + window_update(1, 0), PROTOCOL | stream(PROTOCOL_ERROR)),
    "WINDOW_UPDATE of 0 with the reserved bit": (window_update(0, 1 << 31), PROTOCOL),
    "a window beyond 2^31-1": (window_update(0, (1 << 31) - 1), FLOW),
    "a stream's window beyond 2^31-1": (OPEN + window_update(1, (1 << 31) - 1), FLOW | stream(FLOW_CONTROL_ERROR)),
    "a stream's window beyond 2^31-1 by SETTINGS": (
        OPEN + window_update(1, 1 << 30) + settings((4, (1 << 31) - 1)), FLOW | stream(FLOW_CONTROL_ERROR)),
    # CONTINUATION (section 6.10).
    "a head in three frames": (split(*(block(*request())[a:b] for a, b in ((0, 1), (1, 20), (20, 999)))), {"200"}),
    "an empty HEADERS frame, then CONTINUATION": (split(b"", block(*request())), {"200"}),
    "another frame within a head": (split(*CUT, between=frame(PING, 0, 0, bytes(8))), PROTOCOL),
    "DATA within a head": (split(*CUT, between=data(1, b"x")), PROTOCOL),
    "PRIORITY within a head": (split(*CUT, between=frame(PRIORITY, 0, 1, bytes(5))), PROTOCOL),
    "SETTINGS within a head": (split(*CUT, between=settings()), PROTOCOL),
    "RST_STREAM within a head": (split(*CUT, between=reset(1)), PROTOCOL),
    "an unknown frame within a head": (split(*CUT, between=frame(99)), PROTOCOL),
    "another head within a head": (split(*CUT, between=headers(3, *BAD)), PROTOCOL),
    "CONTINUATION of another stream": (split(*CUT, last=3), PROTOCOL),
    "too many CONTINUATION frames": (
        split(HEAD, *1000 * [b""]), connection(ENHANCE_YOUR_CALM, PROTOCOL_ERROR)),
    # Trailers (section 8.1).
    "trailers without the end": (OPEN + headers(1, ("a", "b"), end=False), stream(PROTOCOL_ERROR) | PROTOCOL),
    "trailers with a pseudo-field": (OPEN + headers(1, (":path", "/bad")), MALFORMED),
    "trailers with :status": (OPEN + headers(1, (":status", "200")), MALFORMED),
    "trailers with a capital": (OPEN + headers(1, ("A", "b")), MALFORMED),
    "trailers with a line break": (OPEN + headers(1, ("a", "b\r\nc")), MALFORMED),
    "trailers with transfer-encoding": (OPEN + headers(1, ("transfer-encoding", "chunked")), MALFORMED),
    "trailers with connection": (OPEN + headers(1, ("connection", "close")), MALFORMED),
    "trailers after trailers": (
        headers(1, *request("POST"), end=False) + headers(1, ("a", "b")) + headers(1, ("a", "b")), CLOSED | stream(STREAM_CLOSED)),
    "trailers that break HPACK": (OPEN + frame(HEADERS, 5, 1, b"\x80"), COMPRESSION),
}

# HPACK: each is the block of a head (RFC 7541).
COMPRESSED = {
    "index 0": b"\x80",
    "an index beyond the tables": b"\xff\x00",
    "an index that is not there yet": b"\xbe",
    "an index of a name beyond the tables": b"\x7f\x80\x01\x01x",
    "an integer without end": b"\xff" + b"\xff" * 20,
    "an integer beyond 2^32": b"\xff\x80\x80\x80\x80\x80\x01",
    "a length beyond the block": b"\x00\x7f\x10abc",
    "a value that is missing": b"\x00\x01a",
    "half a field": b"\x00",
    "Huffman code with EOS": b"\x00\x01a\x84\xff\xff\xff\xff",
    "Huffman padding of 8 bits": b"\x00\x01a\x82\x1f\xff",
    "Huffman padding of zeros": b"\x00\x01a\x81\x18",
    "a table that is too large": b"\x3f\xe2\x1f" + block(*BAD),
    "a table of 4 GiB": b"\x3f\xe1\xff\xff\xff\x0f" + block(*BAD),
    "a change of the table behind a field": block(*BAD) + b"\x20",
}
FRAMES |= {name: (frame(HEADERS, 5, 1, HEAD + code if name[0] != "a" or "table" not in name else code), COMPRESSION)
           for name, code in COMPRESSED.items()}
FRAMES |= {
    "an empty table": (frame(HEADERS, 5, 1, b"\x20" + block(*request())), {"200"}),
    "two changes of the table": (frame(HEADERS, 5, 1, b"\x20\x3f\xe1\x1f" + block(*request())), {"200"}),
    "an empty head": (frame(HEADERS, 5, 1), MALFORMED),
}

# Heads that are malformed (section 8.1.1): each must be reset, or get 400.
HEADS = {
    **{f"no {name}": changed(name) for name in (":method", ":scheme", ":path")},
    **{f"{name} twice": headers(1, *BAD, (name, dict(BAD)[name])) for name in dict(BAD)},
    "neither :authority nor host": changed(":authority"),
    "an unknown pseudo-field": head((":foo", "x")),
    ":status": head((":status", "200")),
    "an empty pseudo-field": head((":", "x")),
    "a pseudo-field behind a field": headers(1, *BAD[:3], ("a", "b"), BAD[3]),
    "a pseudo-field in capitals": headers(1, *BAD[:3], (":Path", "/bad")),
    "an empty :path": changed(":path", ""),
    ":path without a slash": changed(":path", "bad"),
    ":path *": changed(":path", "*"),
    "an absolute :path": changed(":path", "https://app.test/bad"),
    **{f":path with {name}": changed(":path", f"/bad{code}x") for name, code in {
        "a blank": " ", "CR": "\r", "LF": "\n", "NUL": "\0", "a tab": "\t", "DEL": "\x7f", "a fragment": "#",
        "a request line": " HTTP/1.1\r\nHost: app.test\r\n\r\nGET /bad"}.items()},
    "an empty :method": changed(":method", ""),
    **{f":method with {name}": changed(":method", f"GET{code}") for name, code in {
        "a blank": " ", "LF": "\n", "NUL": "\0", "a colon": ":", "a target": " /bad HTTP/1.1\r\nA: b\r\n\r\n"}.items()},
    ":scheme http": changed(":scheme", "http"),
    ":scheme foo": changed(":scheme", "foo"),
    "an empty :scheme": changed(":scheme", ""),
    ":scheme with a blank": changed(":scheme", "https "),
    **{f":authority {value!r}": changed(":authority", value) for value in (
        "", "me@app.test", "app.test/", "app.test x", " ", "app.test:0", "app.test:99999",
        "app.test:x", "app.test\r\nA: b", "app.test\0", "app.test#", "app.test?", "[::1", "app.test:443:443")},
    ":authority that is not host": head(("host", "other.test")),
    "host with a port that :authority has not": head(("host", "app.test:444")),
    "host twice": head(("host", "app.test"), ("host", "app.test")),
    "an empty host": head(("host", "")),
    **{f"a name with {name}": head((f"a{code}b", "c")) for name, code in {
        "a capital": "B", "a blank": " ", "a colon": ":", "CR": "\r", "LF": "\n", "NUL": "\0", "DEL": "\x7f", "0x80": "\x80",
        "a tab": "\t", "a comma": ",", "a line": ": c\r\nd"}.items()},
    "an empty name": head(("", "x")),
    "a blank before a name": head((" a", "x")),
    **{f"a value with {name}": head(("a", f"b{code}c")) for name, code in {
        "CR": "\r", "LF": "\n", "NUL": "\0", "a line": "\r\nTransfer-Encoding: chunked", "CTL": "\x01", "DEL": "\x7f",
        "a request": "\r\n\r\nGET /bad HTTP/1.1\r\nHost: app.test"}.items()},
    "a value that ends in LF": head(("a", "b\n")),
    "a cookie with LF": head(("cookie", "a=b\nc")),
    **{f"{name}: {value}": head((name, value)) for name, value in [
        ("connection", "close"), ("connection", "x-a"), ("keep-alive", "timeout=5"), ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("upgrade", "websocket"), ("te", "gzip"),
        ("te", "trailers, deflate"), ("te", "")]},
    "transfer-encoding with a body": headers(1, *POST, ("transfer-encoding", "chunked"), end=False) + data(1, b"0\r\n\r\n", True),
    **{f"content-length {value!r}": head(("content-length", value), end=False) + data(1, b"hello", True) for value in (
        "", "-5", "+5", "5,5", "5, 5", "0x5", "5x", "05x", "18446744073709551621", "99999999999999999999999")},
    "content-length twice": head(("content-length", "5"), ("content-length", "5"), end=False) + data(1, b"hello", True),
    "two lengths": head(("content-length", "5"), ("content-length", "6"), end=False) + data(1, b"hello", True),
    "a length without a body": head(("content-length", "5")),
    "a body that is too short": body("6", b"hello"),
    "a body that is too long": body("4", b"hello"),
    "a body that is too long in its second frame": body("4", b"he", end=False) + data(1, b"llo", end=True),
    "a body of none": body("0", b"hello"),
    "a body that trailers cut short": body("6", b"hello", end=False) + headers(1, ("a", "b")),
    "CONNECT with :path": headers(1, *request("CONNECT", "/bad")),
    "CONNECT with :scheme": headers(1, (":method", "CONNECT"), (":scheme", "https"), (":authority", "app.test")),
    "CONNECT without :authority": headers(1, (":method", "CONNECT")),
    ":protocol without CONNECT": headers(1, *BAD, (":protocol", "websocket")),
    ":protocol without :path": headers(
        1, (":method", "CONNECT"), (":scheme", "https"), (":authority", "app.test"), (":protocol", "websocket")),
}
LONG = literal(":path", "/bad" + 40_000 * "x")
# Requests that are well formed and get another answer than the origin's.
REFUSED = {
    "CONNECT": (headers(1, (":method", "CONNECT"), (":authority", "app.test:443")), stream(PROTOCOL_ERROR) | {"400", "405", "501"}),
    "TRACE": (changed(":method", "TRACE"), {"405"}),
    "an unknown :protocol": (
        headers(1, *request("CONNECT"), (":protocol", "foo")), stream(PROTOCOL_ERROR) | {"400", "405", "501", "502"}),
    "an unknown host": (changed(":authority", "other.test"), {"421"}),
    "two hosts": (changed(":authority", "app.test,app.test"), MALFORMED | {"421"}),
    "a head that is too large": (split(HEAD, *5 * [literal("a", "b" * 16000)]), {"431"}),
    "a target that is too long": (split(block(*BAD[:3]), *(LONG[at:at + 16000] for at in (0, 16000, 32000))), {"414", "431"}),
    ":path with 0x80": (changed(":path", "/\x80"), MALFORMED | {"200"}),
}


def outcome(client, frames, waits):
    """What a client gets for frames. With `waits`, an answer may come later on stream 1."""
    client.await_settings()
    seen = len(client.frames)
    if client.try_to_send(frames):
        try:
            # The answer to a PING may overtake a reset, but the next one does not.
            client.ping(b"first..."), client.ping(b"second..")
            if waits and not any(f.stream_id == 1 for f in client.frames[seen:]):
                client.until(lambda f: f.stream_id == 1)
        except OSError:
            pass  # the gateway no longer reads
        except Exception as ended:
            if not hasattr(ended, "code"):
                raise
            return f"the connection ends with {ended.code}"
    if client.goaway:  # a GOAWAY without an error comes after the answer
        client.to_end()
        return f"the connection ends with {client.goaway}"
    for found in client.frames[seen:]:
        if found.stream_id == 1 and found.type == HEADERS:
            return dict(found.fields)[":status"]
        if found.stream_id == 1 and found.type == RST_STREAM:
            return f"reset with {found.error_code}"
    return "ignored"


CASES = FRAMES | {name: (frames, MALFORMED) for name, frames in HEADS.items()} | REFUSED


@pytest.mark.parametrize("name", CASES)
def test_what_breaks_the_rules_reaches_no_origin(gateway, origin, name):
    frames, expected = CASES[name]
    with FrameClient(gateway.https) as client:
        got = outcome(client, frames, any(word.isdigit() for word in expected) or expected == MALFORMED)
        assert got in expected
        if not got.startswith("the connection") and "GOAWAY" not in name:
            client.send(headers(2001, *request(path="/good")))
            assert client.status(2001) == 200, "the connection does not continue"
    is_served(gateway)
    assert [request.target for request in origin.requests if "bad" in request.target] == []
    assert not origin.faults, [bytes(connection.received[-300:]) for connection in origin.connections]


def test_the_table_is_long():
    assert len(CASES) >= 120


# What comes before the first request (section 3.4).
PREFACES = {
    "HTTP/1.1": b"GET /bad HTTP/1.1\r\nHost: app.test\r\n\r\n",
    "another preface": PREFACE[:-1] + b"x" + settings(),
    "a preface in small letters": PREFACE.lower() + settings(),
    "no SETTINGS": PREFACE + GET,
    "PING before SETTINGS": PREFACE + frame(PING, 0, 0, bytes(8)) + settings(),
    "WINDOW_UPDATE before SETTINGS": PREFACE + window_update(0, 1) + settings(),
    "an acknowledgement before SETTINGS": PREFACE + settings(ack=True) + GET,
    "two prefaces": PREFACE + PREFACE + settings() + GET,
    "SETTINGS without a preface": settings() + GET,
    "zeros": bytes(100),
}


@pytest.mark.parametrize("name", PREFACES)
def test_what_is_not_the_preface_ends_the_connection(gateway, origin, name):
    with FrameClient(gateway.https, preface=False) as client:
        client.send(PREFACES[name])
        assert client.to_end() in (None, PROTOCOL_ERROR, FRAME_SIZE_ERROR)
    assert not origin.requests
    is_served(gateway)


@pytest.mark.parametrize("cut", range(0, len(PREFACE + settings()), 3))
def test_a_client_that_leaves_within_the_preface_harms_nobody(gateway, cut):
    with FrameClient(gateway.https, preface=False) as client:
        client.send((PREFACE + settings())[:cut])
    is_served(gateway)


def test_frames_arrive_byte_by_byte(gateway, origin):
    frames = PREFACE + settings() + headers(1, *request("POST"), end=False) + data(1, b"\x02hello\0\0", end=True, flags=PADDED)
    with FrameClient(gateway.https, preface=False) as client:
        for byte in frames:
            client.send(bytes([byte]))
        assert client.end_of(1) == (200, b"ok", None)
    assert origin.last.body == b"hello"


def test_the_last_stream_of_a_connection_is_served(gateway):
    """Stream identifiers end with 2^31-1 (section 5.1.1)."""
    with FrameClient(gateway.https) as client:
        client.send(headers((1 << 31) - 1))
        assert client.status((1 << 31) - 1) == 200
        client.ping()


# Requests that are valid: what the origin receives.

def lines_of(*lines):
    return [line.encode("latin-1") for line in lines]


OURS = re.compile(rb"(?i)^(x-forwarded-|x-real-ip|forwarded|x-request-id)")
# By name: pseudo-fields and fields of a request without a body, and the lines that the origin receives, but for those in which
# the gateway tells about the client.
TRANSLATED = {
    "plain": (request(), ["GET / HTTP/1.1", "Host: app.test"]),
    "query": (request(path="/a?b=c&d=%20"), ["GET /a?b=c&d=%20 HTTP/1.1", "Host: app.test"]),
    "two slashes": (request(path="//other.test/a"), ["GET //other.test/a HTTP/1.1", "Host: app.test"]),
    "dots": (request(path="/a/../b/./c"), ["GET /a/../b/./c HTTP/1.1", "Host: app.test"]),
    "options": (request("OPTIONS", "*"), ["OPTIONS * HTTP/1.1", "Host: app.test"]),
    "another method": (request("PROPFIND"), ["PROPFIND / HTTP/1.1", "Host: app.test"]),
    "authority with a port": (request(host="app.test:8443"), ["GET / HTTP/1.1", "Host: app.test:8443"]),
    "authority with an empty port": (request(host="app.test:"), ["GET / HTTP/1.1", "Host: app.test"]),
    "authority in capitals": (request(host="APP.Test"), ["GET / HTTP/1.1", "Host: APP.Test"]),
    "host only": ([*request()[:2], request()[3], ("host", "app.test")], ["GET / HTTP/1.1", "Host: app.test"]),
    "host and authority": ([*request(), ("host", "app.test")], ["GET / HTTP/1.1", "Host: app.test"]),
    "host in other letters": ([*request(), ("host", "APP.test")], ["GET / HTTP/1.1", "Host: app.test"]),
    "the order of pseudo-fields": (request()[::-1], ["GET / HTTP/1.1", "Host: app.test"]),
    "fields": ([*request(), ("b", "1"), ("a", "2"), ("b", "3")], ["GET / HTTP/1.1", "Host: app.test", "b: 1", "a: 2", "b: 3"]),
    "blanks": ([*request(), ("a", " b "), ("c", "\td e\t"), ("f", "")],
               ["GET / HTTP/1.1", "Host: app.test", "a: b", "c: d e", "f: "]),
    "bytes above 0x7f": ([*request(), ("a", "\xe4\xff")], ["GET / HTTP/1.1", "Host: app.test", "a: \xe4\xff"]),
    "colons and quotes": ([*request(), ("a", "b: c\"d\\")], ["GET / HTTP/1.1", "Host: app.test", "a: b: c\"d\\"]),
    "all letters of a name": ([*request(), ("!#$%&'*+-.^`|~09az", "x")],
                              ["GET / HTTP/1.1", "Host: app.test", "!#$%&'*+-.^`|~09az: x"]),
    "cookies": ([*request(), ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")],
                ["GET / HTTP/1.1", "Host: app.test", "x: y", "Cookie: a=1; b=2"]),
    "te": ([*request(), ("te", "trailers")], ["GET / HTTP/1.1", "Host: app.test"]),
    "http2-settings": ([*request(), ("http2-settings", "AAMAAABkAAQAAP__")], ["GET / HTTP/1.1", "Host: app.test"]),
    "length 0": ([*request("POST"), ("content-length", "0")], ["POST / HTTP/1.1", "Host: app.test", "Content-Length: 0"]),
    "a credential": ([*request(), ("authorization", "Basic eA==")],
                     ["GET / HTTP/1.1", "Host: app.test", "authorization: Basic eA=="]),
    "claims": ([*request(), ("x-forwarded-for", "1.1.1.1"), ("x_forwarded_for", "1.1.1.1"), ("x-real-ip", "1.1.1.1")],
               ["GET / HTTP/1.1", "Host: app.test"]),
    "priority": ([*request(), ("priority", "u=1, i")], ["GET / HTTP/1.1", "Host: app.test", "priority: u=1, i"]),
    "underscores": ([*request(), ("transfer_encoding", "chunked"), ("a_b", "c"), ("content_length", "5")],
                    ["GET / HTTP/1.1", "Host: app.test"]),
}


def sent_to(origin):
    """The lines of the last request's head, but for those in which the gateway tells about the client."""
    head = origin.last.raw.split(b"\r\n\r\n")[0]
    return [line for line in head.split(b"\r\n") if not OURS.match(line)]


@pytest.mark.parametrize("huffman", [False, True], ids=["plain", "huffman"])
@pytest.mark.parametrize("name", TRANSLATED)
def test_the_origin_receives_exactly_the_request(gateway, origin, name, huffman):
    fields, expected = TRANSLATED[name]
    with FrameClient(gateway.https) as client:
        client.send(headers(1, *(literal(*field, huffman) for field in fields)))
        assert client.end_of(1) == (200, b"ok", None)
    assert sent_to(origin) == lines_of(*expected)
    assert len(origin.requests) == 1 and not origin.faults


SMUGGLED = b"0\r\n\r\nGET /bad HTTP/1.1\r\nHost: app.test\r\n\r\n"


@pytest.mark.parametrize("length", [None, str(len(SMUGGLED))])
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "OPTIONS"])
def test_a_body_that_looks_like_a_request_stays_a_body(gateway, origin, method, length):
    fields = [("content-length", length)] if length else []
    with FrameClient(gateway.https) as client:
        client.send(headers(1, *request(method), *fields, end=False), data(1, SMUGGLED, end=True))
        assert client.status(1) == 200
        client.send(headers(3))
        assert client.status(3) == 200
    assert [(request.method, request.target, request.body) for request in origin.requests] == [
        (method, "/", SMUGGLED), ("GET", "/", b"")]
    framing = [line for line in origin.requests[0].raw.split(b"\r\n\r\n")[0].split(b"\r\n")
               if line.lower().startswith((b"content-length", b"transfer-encoding"))]
    assert framing == [b"Content-Length: %d" % len(SMUGGLED) if length else b"Transfer-Encoding: chunked"]


def test_fields_in_the_table_of_the_compressor_stay_with_their_connection(gateway, origin):
    """A second connection can't refer to what the first has put into its table."""
    entry = b"\x40\x01a\x06secret"  # with indexing (RFC 7541 section 6.2.1)
    with FrameClient(gateway.https) as client, FrameClient(gateway.https) as other:
        for stream, field in (1, entry), (3, b"\xbe"):
            client.send(headers(stream, *request(), field))
            assert client.status(stream) == 200
        assert origin.last["a"] == "secret"
        other.send(headers(1, *request(), b"\xbe"))
        assert other.to_end() == COMPRESSION_ERROR


def test_a_refused_request_still_counts_for_the_table_of_the_compressor(gateway, origin):
    """Each head block must be decoded, also one whose request is malformed or too large (RFC 9113 section 4.3)."""
    with FrameClient(gateway.https) as client:
        client.send(headers(1, *request(), ("A", "b"), b"\x40\x01a\x03one"))
        assert client.end_of(1) == (None, b"", PROTOCOL_ERROR)
        client.send(headers(3, *request(), *(("x", "y") for _ in range(1100)), b"\x40\x01b\x03two"))
        assert client.status(3) == 431
        client.send(headers(5, *request(), b"\xbe\xbf"))
        assert client.status(5) == 200
    assert (origin.last["a"], origin.last["b"]) == ("one", "two")


def test_secrets_of_answers_stay_out_of_the_table(gateway, origin):
    """RFC 7541 section 7.1.3."""
    origin.answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=secret\r\nX: y\r\nContent-Length: 2\r\n\r\nok"
    with Http2Client(gateway.https) as client:
        assert client.ask().all("set-cookie") == ["a=secret"]
        assert all(value != b"a=secret" for _, value in client.http2.decoder.header_table.dynamic_entries)
        assert any(value == b"y" for _, value in client.http2.decoder.header_table.dynamic_entries)

"""Clients that speak HTTP/2: one that sends exactly the frames it is given, and one that follows the rules."""

import contextlib
import select
import socket
import ssl
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame

from client import BrokenTransfer, Response, tls_context
from gateway import PATIENCE

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Error codes (RFC 9113 section 7).
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR = range(7)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY = range(7, 13)

# Types of frames (RFC 9113 section 6).
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16

# Flags. The same bit says END_STREAM and ACK.
END_STREAM = ACK = 1
END_HEADERS, PADDED, WITH_PRIORITY = 4, 8, 32


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """The bytes of a frame. `length`: what its header says, if that is not the truth."""
    size = len(payload) if length is None else length
    return size.to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def number(value):
    return value.to_bytes(4)


def settings(*pairs, ack=False):
    return frame(SETTINGS, ACK if ack else 0, 0, b"".join(key.to_bytes(2) + value.to_bytes(4) for key, value in pairs))


def window_update(stream, more):
    return frame(WINDOW_UPDATE, 0, stream, number(more))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, number(code))


def literal(name, value, huffman=False):
    """A field for HPACK that leaves its table as it is (RFC 7541 section 6.2.2), whatever bytes it has."""
    return b"\0" + text(name, huffman) + text(value, huffman)


def text(value, huffman=False):
    value = value.encode("latin-1") if isinstance(value, str) else value
    if huffman:
        coder = hpack.huffman.HuffmanEncoder(
            hpack.huffman_constants.REQUEST_CODES, hpack.huffman_constants.REQUEST_CODES_LENGTH)
        value = coder.encode(value)
    size = bytearray(hpack.hpack.encode_integer(len(value), 7))
    size[0] |= 0x80 if huffman else 0
    return bytes(size) + value


def block(*fields):
    """A head without compression: each field is a pair, or bytes of HPACK."""
    return b"".join(field if isinstance(field, bytes) else literal(*field) for field in fields)


def request(method="GET", path="/", host="app.test", scheme="https"):
    """The pseudo-fields of a request."""
    return [(":method", method), (":scheme", scheme), (":authority", host), (":path", path)]


def headers(stream, *fields, end=True, flags=0, complete=True):
    """A HEADERS frame; without fields, one of a plain GET."""
    flags |= (END_STREAM if end else 0) | (END_HEADERS if complete else 0)
    return frame(HEADERS, flags, stream, block(*fields or request()))


def data(stream, payload=b"", end=False, flags=0):
    return frame(DATA, flags | (END_STREAM if end else 0), stream, payload)


class Ended(BrokenTransfer):
    """The gateway has ended the connection. `code`: that of its GOAWAY; None if there was none."""

    def __init__(self, code, frames):
        super().__init__(f"ended with GOAWAY {code}, after {frames[-3:]}")
        self.code = code


class FrameClient:
    """A connection on which a test sends frames, or any bytes, and reads frames. It answers none by itself.

    `preface`: whether it begins with the preface and SETTINGS. `settings`: pairs for them."""

    def __init__(self, port, name="app.test", tls=None, preface=True, settings=(), receive_buffer=None):
        connection = socket.socket()
        if receive_buffer:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = (tls or tls_context(alpn=["h2"])).wrap_socket(connection, server_hostname=name)
        assert self.socket.selected_alpn_protocol() == "h2"
        self.decoder, self.encoder = hpack.Decoder(max_header_list_size=1 << 24), hpack.Encoder()
        self.buffer, self.frames, self.head = bytearray(), [], b""
        if preface:
            self.send(PREFACE, _settings(*settings))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def break_off(self):
        """Ends the connection by a reset."""
        _break_off(self.socket)

    def send(self, *frames):
        self.socket.sendall(b"".join(frames))

    def try_to_send(self, *frames):
        """Sends frames; false if the gateway has ended the connection."""
        try:
            self.send(*frames)
            return True
        except OSError:
            return False

    def ask(self, stream, *fields):
        self.send(headers(stream, *fields or request()))

    # Reading.

    def read(self):
        """The next frame; None at the end of the connection. A HEADERS frame has all its fields in `fields`."""
        while (found := self._next()) is None:
            try:
                piece = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError):
                piece = b""
            if not piece:
                return None
            self.buffer += piece
        self.frames.append(found)
        return found

    def _next(self):
        if len(self.buffer) < 9:
            return None
        found, length = Frame.parse_frame_header(memoryview(bytes(self.buffer[:9])))
        if len(self.buffer) < 9 + length:
            return None
        found.parse_body(memoryview(bytes(self.buffer[9:9 + length])))
        del self.buffer[:9 + length]
        if isinstance(found, HeadersFrame):
            assert "END_HEADERS" in found.flags
            found.fields = self.decoder.decode(found.data)
        return found

    def until(self, condition):
        """Reads frames up to the first that fits, and returns it."""
        while (found := self.read()) is not None:
            if condition(found):
                return found
        raise Ended(self.goaway, self.frames)

    @property
    def goaway(self):
        """The code of the last GOAWAY; None if none was read."""
        return next((f.error_code for f in reversed(self.frames) if isinstance(f, GoAwayFrame)), None)

    def to_end(self):
        """Reads up to the end of the connection, and returns the code of its GOAWAY."""
        while self.read() is not None:
            pass
        return self.goaway

    def end_of(self, stream):
        """Reads up to the end of a stream. Returns its status, its body and the code of its reset; None for what there is
        not. The stream of a request whose body is not complete ends with its answer too."""
        status, body = None, b""
        while True:
            found = self.until(lambda f: f.stream_id == stream)
            if isinstance(found, RstStreamFrame):
                return status, body, found.error_code
            if isinstance(found, HeadersFrame):
                status = int(dict(found.fields).get(":status", status))
            elif found.type == DATA:
                body += found.data
            if "END_STREAM" in found.flags:
                return status, body, None

    def status(self, stream):
        return self.end_of(stream)[0]

    def ping(self, mark=b"12345678"):
        """Sends a PING and waits for its answer: the gateway has then handled all earlier frames."""
        self.send(frame(PING, 0, 0, mark))
        return self.until(lambda f: isinstance(f, PingFrame) and "ACK" in f.flags and f.opaque_data == mark)

    def await_settings(self):
        """Reads the gateway's SETTINGS and acknowledges them. Returns them."""
        found = self.until(lambda f: isinstance(f, SettingsFrame) and "ACK" not in f.flags)
        self.send(settings(ack=True))
        return found.settings


_settings = settings


def _break_off(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    connection.close()


@dataclass
class Answer(Response):
    """An answer on a stream. `reset`: the code with which the stream was reset, else None. REFUSED_STREAM also stands for a
    request that a GOAWAY excludes."""

    trailers: list = field(default_factory=list)
    is_ended: bool = False
    reset: int = None


class Http2Client:
    """A connection on which many requests are under way at once, with flow control. Any breach of the rules by the gateway
    is an error.

    `window`: of each stream. Unless `reads` is false for a stream, its window opens again as its body is read."""

    def __init__(
            self, port, name="app.test", tls=None, window=1 << 20, address="127.0.0.1", connection_window=1 << 24,
            session=None):
        connection = socket.create_connection((address, port), timeout=PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = (tls or tls_context(alpn=["h2", "http/1.1"])).wrap_socket(
            connection, server_hostname=name, session=session)
        assert self.socket.selected_alpn_protocol() == "h2"
        self.socket.setblocking(False)
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="latin-1"))
        # By default the library takes a GOAWAY for the end of all streams.
        states = h2.connection.ConnectionState
        self.http2.state_machine._transitions = self.http2.state_machine._transitions | {
            (states.CLIENT_OPEN, side): (None, states.CLIENT_OPEN)
            for side in (h2.connection.ConnectionInputs.RECV_GOAWAY, h2.connection.ConnectionInputs.SEND_GOAWAY)}
        self.http2.local_settings = h2.settings.Settings(
            client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window,
                                         h2.settings.SettingCodes.ENABLE_PUSH: 0,
                                         h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 20})
        self.http2.initiate_connection()
        self.http2.increment_flow_control_window(connection_window - 65535)
        self.answers, self.bodies, self.unread, self.events = {}, {}, {}, []
        self.outgoing, self.goaways, self.is_over = bytearray(), [], False
        self.await_event(h2.events.RemoteSettingsChanged)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def break_off(self):
        """Ends the connection by a reset."""
        _break_off(self.socket)

    def forget(self):
        """Forgets all answers and events so far."""
        self.answers.clear()
        self.events.clear()

    # Requests.

    def begin(self, path="/", *fields, host="app.test", method=None, body=b"", ends=True, reads=True):
        """Sends a request, without waiting. Returns the number of its stream. With `ends` false, more of the body follows
        (`add`)."""
        stream = self.http2.get_next_available_stream_id()
        self.answers[stream] = Answer(None, [])
        if not reads:
            self.unread[stream] = 0
        method = method or ("POST" if body or not ends else "GET")
        pseudo = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        self.http2.send_headers(stream, [*pseudo, *fields], end_stream=ends and not body)
        if body or not ends:
            self.bodies[stream] = [memoryview(body), ends]
        self.pump(0)
        return stream

    def add(self, stream, body=b"", ends=False):
        """Sends more of a request's body, or its end."""
        rest, _ = self.bodies.get(stream, (b"", False))
        self.bodies[stream] = [memoryview(bytes(rest) + body), ends]
        self.pump(0)

    def reset(self, stream, code=CANCEL):
        self.bodies.pop(stream, None)
        self.http2.reset_stream(stream, code)
        self.pump(0)

    def take(self, stream):
        """Opens the window of a stream that is not read: all its bytes so far count as read."""
        if count := self.unread.get(stream):
            self.unread[stream] = 0
            self.http2.acknowledge_received_data(count, stream)
            self.pump(0)

    def ask(self, path="/", *fields, **options):
        """Sends a request and waits for its answer."""
        return self.answer(self.begin(path, *fields, **options))

    def answer(self, stream):
        """Waits for the end of a stream, and for all of its request to be sent."""
        self.until(lambda: self.answers[stream].is_ended or self.answers[stream].reset is not None)
        self.pump(0)
        return self.answers[stream]

    def await_head(self, stream):
        self.until(lambda: self.answers[stream].status is not None or self.answers[stream].reset is not None)
        return self.answers[stream]

    def await_event(self, kind):
        self.until(lambda: any(isinstance(event, kind) for event in self.events))

    def await_end(self):
        """Waits for the end of the connection, and returns the codes of the GOAWAYs before it."""
        with contextlib.suppress(BrokenTransfer):
            self.until(lambda: self.is_over)
        return [event.error_code for event in self.goaways]

    def ping(self):
        """Waits for the answer to a PING."""
        answered = sum(isinstance(event, h2.events.PingAckReceived) for event in self.events)
        self.http2.ping(b"12345678")
        self.until(lambda: sum(isinstance(event, h2.events.PingAckReceived) for event in self.events) > answered)

    def until(self, condition):
        while not condition():
            if self.is_over or not self.pump(PATIENCE):
                raise BrokenTransfer(f"the connection ended, or nothing came: {self.events[-5:]}")

    # Bytes.

    def pump(self, patience):
        """Sends what can be sent, and reads once. Returns whether anything has come within `patience` seconds."""
        self._fill()
        while True:
            self._send()
            has_come = self._receive()
            self._fill()
            if has_come or self.is_over or not patience:
                self._send()
                return has_come or self.is_over
            wants = [self.socket] if self.outgoing else []
            if not any(select.select([self.socket], wants, [], patience)):
                return False

    def _fill(self):
        """Makes DATA frames of the bodies, as far as windows allow."""
        for stream, (body, ends) in list(self.bodies.items()):
            while stream in self.bodies:
                if self.answers[stream].reset is not None or self.is_over:
                    del self.bodies[stream]
                    break
                count = min(len(body), self.http2.local_flow_control_window(stream), self.http2.max_outbound_frame_size)
                if len(self.outgoing) > 1 << 18 or (not count and (len(body) or not ends)):
                    break
                is_last = ends and count == len(body)
                self.http2.send_data(stream, bytes(body[:count]), end_stream=is_last)
                body = body[count:]
                self.bodies[stream][0] = body
                if is_last:
                    del self.bodies[stream]
                self.outgoing += self.http2.data_to_send()

    def _send(self):
        self.outgoing += self.http2.data_to_send()
        while self.outgoing and not self.is_over:
            try:
                del self.outgoing[:self.socket.send(self.outgoing)]
            except (ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            except (ConnectionError, ssl.SSLError):
                self.outgoing.clear()  # what the gateway has sent before can still be read

    def _receive(self):
        try:
            piece = self.socket.recv(1 << 16)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except (ConnectionError, ssl.SSLError):
            piece = b""
        if not piece:
            self.is_over = True
            return False
        for event in self.http2.receive_data(piece):
            self._handle(event)
        return True

    def _handle(self, event):
        if not isinstance(event, h2.events.DataReceived):
            self.events.append(event)
        answer = self.answers.get(getattr(event, "stream_id", None))
        match event:
            case h2.events.InformationalResponseReceived():
                status, *fields = event.headers
                answer.interim.append(Response(int(status[1]), fields))
            case h2.events.ResponseReceived():
                status, *answer.fields = event.headers
                answer.status, answer.body = int(status[1]), bytearray()
            case h2.events.DataReceived():
                answer.body += event.data
                if event.stream_id in self.unread:
                    self.unread[event.stream_id] += event.flow_controlled_length
                elif event.flow_controlled_length:
                    self.http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived():
                answer.trailers = event.headers
            case h2.events.StreamEnded():
                answer.is_ended = True
            case h2.events.StreamReset():
                answer.reset = event.error_code
            case h2.events.ConnectionTerminated():
                self.goaways.append(event)
                for stream, answer in self.answers.items():
                    if stream > event.last_stream_id and answer.reset is None:
                        answer.reset = REFUSED_STREAM


def is_served(gateway, host="honest.test"):
    """Asserts that the gateway serves an honest client over HTTP/2."""
    with Http2Client(gateway.https, host) as client:
        answer = client.ask(host=host)
        assert (answer.status, answer.body) == (200, b"ok")

"""An upstream that speaks HTTP/2, without TLS or with it, and does what a test says."""

import contextlib
import socket
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.frame_buffer
import h2.settings

from gateway import PATIENCE, eventually, stop_listening


class Call:
    """A request on a stream, and its response."""

    def __init__(self, link, stream, fields):
        self.link, self.stream = link, stream
        self.fields = [(name.decode(), value.decode()) for name, value in fields]
        self.body, self.trailers = b"", None
        self.is_complete, self.reset_code = False, None
        self.unsent, self.ends = b"", False

    def __getitem__(self, name):
        values = [value for field, value in self.fields if field == name]
        return values[0] if values else None

    def respond(self, status=200, *fields, body=b"", end=True):
        """Sends a response, or its beginning."""
        with self.link.sending() as h2:
            h2.send_headers(self.stream, [(":status", str(status)), *fields], end_stream=end and not body)
        if body:
            self.send(body, end)

    def send(self, data, end=False):
        """Sends a part of the body, as far as the windows allow; the rest follows."""
        self.unsent, self.ends = self.unsent + data, end
        with self.link.sending():
            self.link.pump(self)

    def finish(self, *trailers):
        with self.link.sending() as h2:
            h2.send_headers(self.stream, trailers, end_stream=True) if trailers else h2.end_stream(self.stream)

    def interim(self, status, *fields):
        with self.link.sending() as h2:
            h2.send_headers(self.stream, [(":status", str(status)), *fields])

    def reset(self, code):
        with self.link.sending() as h2:
            h2.reset_stream(self.stream, code)


class Link:
    """A connection of the gateway."""

    def __init__(self, origin, connection):
        self.origin, self.connection = origin, connection
        self.calls, self.pings = {}, 0
        self.lock = threading.RLock()
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, validate_inbound_headers=False, validate_outbound_headers=False,
            normalize_outbound_headers=False))
        # The library's own limit is 64 KiB in fewer than 64 frames.
        h2.frame_buffer.CONTINUATION_BACKLOG = 256
        self.h2.decoder.max_header_list_size = 4 << 20
        self.error, self.is_over = None, False

    @contextlib.contextmanager
    def sending(self):
        with self.lock:
            yield self.h2
            with contextlib.suppress(OSError):
                self.connection.sendall(self.h2.data_to_send())

    def pump(self, call):
        while call.unsent:
            room = min(self.h2.local_flow_control_window(call.stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                return
            self.h2.send_data(call.stream, call.unsent[:room])
            call.unsent = call.unsent[room:]
        if call.ends:
            call.ends = False
            self.h2.end_stream(call.stream)

    def go_away(self, last):
        """Refuses the streams above `last`."""
        with self.sending() as connection:
            connection.close_connection(0, last_stream_id=last)

    def serve(self):
        try:
            with self.sending() as connection:
                connection.local_settings = h2.settings.Settings(client=False, initial_values=self.origin.settings)
                connection.initiate_connection()
            while data := self.connection.recv(65_536):
                self._receive(data)
        except (OSError, h2.exceptions.ProtocolError) as error:
            self.error = error
        finally:
            self.is_over = True
            self.connection.close()

    def _receive(self, data):
        ended = []
        with self.sending() as connection:
            for event in connection.receive_data(data):
                self._note(event, ended)
        for call in ended:
            self.origin.answer(call)

    def _note(self, event, ended):
        call = self.calls.get(getattr(event, "stream_id", None))
        match event:
            case h2.events.RequestReceived():
                call = self.calls[event.stream_id] = Call(self, event.stream_id, event.headers)
                self.origin.calls.append(call)
                if self.origin.answers_at_once:
                    ended.append(call)
            case h2.events.DataReceived():
                call.body += event.data
                if self.origin.takes:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.TrailersReceived(): call.trailers = event.headers
            case h2.events.StreamEnded():
                call.is_complete = True
                if not self.origin.answers_at_once:
                    ended.append(call)
            case h2.events.StreamReset():
                if call:
                    call.reset_code = event.error_code
            case h2.events.WindowUpdated():
                for waiting in [call] if call else list(self.calls.values()):
                    if waiting.reset_code is None:
                        self.pump(waiting)
            case h2.events.PingReceived(): self.pings += 1


class HTTP2Origin:
    """`answer` is called with each `Call`: when its request is complete, or, with `answers_at_once`, when its head has come.
    `streams`: the most streams at once that it allows. `at`: the address to listen on. `path`: a Unix socket to listen on in its
    place. `takes`: whether it reads bodies."""

    def __init__(self, tls=None, streams=None, at=("127.0.0.1", 0), path=None):
        self.tls = tls
        self.settings = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: streams} if streams else {}
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen()
            self.url = f"unix:{path}"
        else:
            self.listener = socket.create_server(at)
            self.port = self.listener.getsockname()[1]
            self.url = f"{'https' if tls else 'h2c'}://127.0.0.1:{self.port}"
        self.forget()
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self):
        self.calls, self.links = [], []
        self.answers_at_once, self.takes = False, True
        self.answer = lambda call: call.respond(body=b"hello")

    @property
    def last(self):
        return self.calls[-1]

    def await_calls(self, count):
        eventually(f"{count} calls", lambda: len(self.calls) >= count)
        return self.calls

    def stop(self):
        stop_listening(self.listener)
        self.hang_up()

    def hang_up(self):
        """Ends all connections."""
        for link in self.links:
            with contextlib.suppress(OSError):
                link.connection.shutdown(socket.SHUT_RDWR)
        eventually("the end of the connections", lambda: all(link.is_over for link in self.links))

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        connection.settimeout(PATIENCE * 3)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            try:
                connection = self.tls.wrap_socket(connection, server_side=True)
            except OSError:
                return connection.close()
        link = Link(self, connection)
        self.links.append(link)
        link.serve()

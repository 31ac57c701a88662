"""A proxy in front of a CA that passes calls on, records them, and injects a fault into one on demand."""

import contextlib
import http.client
import http.server
import ssl
import threading

from gateway import PATIENCE, free_port


class Call:
    """One request on its way to the CA. A fault is a function of a call."""

    def __init__(self, handler, ca, body):
        self._handler = handler
        self.ca = ca
        self._body = body
        self.method, self.path = handler.command, handler.path

    def pass_on(self):
        """Passes the request on. Returns the status, the header fields and the body of the CA's answer."""
        connection = http.client.HTTPSConnection("localhost", self.ca.port, timeout=PATIENCE, context=self.ca.trust)
        with contextlib.closing(connection):
            # The Host field is the client's, since the CA makes all URLs from it.
            connection.request(self.method, self.path, self._body, dict(self._handler.headers))
            answer = connection.getresponse()
            body = answer.read()
            fields = [(name, value) for name, value in answer.getheaders()
                      if name.lower() not in ("content-length", "transfer-encoding", "connection", "date")]
            return answer.status, fields, body

    def answer(self, status, fields=(), body=b"", length=None):
        """Answers the client; `length`: a false Content-Length."""
        handler = self._handler
        handler.send_response(status)
        for name, value in fields:
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        if self.method != "HEAD":
            handler.wfile.write(body)

    def answer_without_end(self, piece):
        """Sends an answer for as long as the client reads it."""
        handler = self._handler
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Connection", "close")
        handler.end_headers()
        while self.method != "HEAD":
            handler.wfile.write(piece)

    def hang_up(self):
        self._handler.close_connection = True


class Proxy:
    """A proxy in front of a CA, with the CA's own certificate."""

    def __init__(self, ca):
        self.port = free_port()
        self.calls = []
        self.broken = None
        self._ca = ca
        self._lock = threading.Lock()
        self._place, self._fault, self._path, self._count = None, None, "/", 0
        self._server = TLSServer(
            self.port, lambda handler, body: self.take(Call(handler, ca, body)), ca.certificate, ca.key)

    @property
    def issuer(self):
        """The issuer's configuration for aegis.yaml."""
        return {**self._ca.issuer, "directory": f"https://localhost:{self.port}/dir"}

    def arm(self, place, fault, path="/"):
        """Injects a fault into the `place`-th of the following calls whose path begins with `path`. If `place` is None,
        into all."""
        with self._lock:
            self.calls.clear()
            self.broken = None
            self._place, self._fault, self._path, self._count = place, fault, path, 0

    def take(self, call):
        with self._lock:
            self.calls.append((call.method, call.path))
            fault = None
            if call.path.startswith(self._path):
                self._count += 1
                fault = self._fault if self._place in (None, self._count) else None
            if fault:
                self.broken = self.calls[-1]
        if fault:
            fault(call)
        else:
            call.answer(*call.pass_on())

    def stop(self):
        self._server.stop()


class TLSServer(http.server.ThreadingHTTPServer):
    """Answers requests over TLS, with a thread for each connection: `take` gets each request's handler and body."""

    daemon_threads = True

    def __init__(self, port, take, chain, key=None):
        super().__init__(("127.0.0.1", port), Handler)
        self.take = take
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(chain, key)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def finish_request(self, request, address):
        # Clients may close at any moment, and some are killed.
        with contextlib.suppress(OSError):
            with self._context.wrap_socket(request, server_side=True) as connection:
                self.RequestHandlerClass(connection, address, self)

    def stop(self):
        self.shutdown()
        self.server_close()
        self._thread.join()


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads requests whose body has a Content-Length."""

    protocol_version = "HTTP/1.1"
    timeout = PATIENCE
    disable_nagle_algorithm = True

    def take(self):
        self.server.take(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

    do_GET = do_HEAD = do_POST = do_PATCH = do_DELETE = take

    def log_message(self, *arguments):
        pass


def ends_with(process, *, after):
    """A fault that kills a process at a call: before the CA gets the call, or after."""
    def fault(call):
        if after:
            call.pass_on()
        process().kill()
        process().wait()
        call.hang_up()

    return fault

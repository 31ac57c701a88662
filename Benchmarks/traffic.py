"""Traffic through proxies: what is sent, and what one run of it cost the proxy."""

import concurrent.futures
import dataclasses
import math
import re
import socket
import statistics
import subprocess
import tempfile

from proxies import HOST, client_context

# Header fields as a browser sends them.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.7,de;q=0.3",
    "Accept-Encoding": "gzip, deflate, br",
    "Referer": "https://bench.example.com/shop/articles?page=2",
    "Cookie": "session=6f1f2c0a9be14e0c8d5b7a3e; theme=dark; seen=1732263000",
    "DNT": "1",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Priority": "u=0, i",
}
CIPHER = "TLS_AES_128_GCM_SHA256"


def h2load(proxy, path, requests, connections, *options, streams=None):
    """Sends a number of requests over TLS 1.3. Returns how many were answered each second. `streams`: how many requests are
    under way at once on each connection of HTTP/2; None for HTTP/1.1."""
    command = [
        "h2load", f"-m{streams}" if streams else "--h1", "-t1", f"-n{requests}", f"-c{connections}", f"--tls13-ciphers={CIPHER}",
        f"--connect-to=127.0.0.1:{proxy.port}", *options, f"https://{HOST}{path}",
    ]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if f" {requests} succeeded" not in text:
        raise SystemExit(f"{proxy.name} did not answer all of {path}:\n{text}")
    return float(re.search(r"([\d.]+) req/s", text)[1])


def browser_headers():
    return [f"-H{name}: {value}" for name, value in BROWSER.items()]


class Connection:
    """A client's connection, kept until `close`."""

    def __init__(self, proxy, context, session=None):
        plain = socket.create_connection(("127.0.0.1", proxy.port), timeout=30)
        # TCP_NODELAY, as browsers set it: else a request after the handshake waits for an acknowledgement.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tls = context.wrap_socket(plain, server_hostname=HOST, session=session)

    def get(self, path="/1k", size=1024):
        self.tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        answer = b""
        while True:
            answer += self.tls.recv(65536)
            head, end, body = answer.partition(b"\r\n\r\n")
            if end and len(body) >= size:
                assert head.startswith(b"HTTP/1.1 200"), head
                return

    def close(self):
        self.tls.close()


def frame(kind, flags=0, stream=0, payload=b""):
    """A frame of HTTP/2 (RFC 9113 section 4.1)."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


class HTTP2Connection(Connection):
    """A client's connection of HTTP/2."""

    def __init__(self, proxy, context):
        context.set_alpn_protocols(["h2"])
        super().__init__(proxy, context)
        assert self.tls.selected_alpn_protocol() == "h2", f"{proxy.name} does not speak HTTP/2"

    def get(self, path="/1k", size=1024):
        # The fields are literals that no table keeps (RFC 7541 section 6.2.2).
        fields = b"".join(
            b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in (
                (b":method", b"GET"), (b":scheme", b"https"), (b":authority", HOST.encode()), (b":path", path.encode())))
        self.tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4) + frame(1, 5, 1, fields) + frame(4, 1))
        received = b""
        while True:
            while len(received) >= 9 and len(received) >= 9 + int.from_bytes(received[:3]):
                kind, flags, stream = received[3], received[4], int.from_bytes(received[5:9])
                received = received[9 + int.from_bytes(received[:3]):]
                if stream == 1 and kind in (0, 1) and flags & 1:
                    return
            more = self.tls.recv(65536)
            assert more, "the connection has ended"
            received += more


def connect_often(proxy, connections, resuming=False, pair=None, clients=8):
    """Makes connections with one request each, and closes them. `pair` has the client's certificate and key files."""
    def client(number):
        context, session = client_context(pair), None
        if resuming:
            # The session ticket arrives with the answer.
            first = Connection(proxy, context)
            first.get()
            session = first.tls.session
            first.close()
        for _ in range(connections // clients):
            connection = Connection(proxy, context, session)
            connection.get()
            if resuming:
                assert connection.tls.session_reused, f"{proxy.name} did not resume"
                session = connection.tls.session
            connection.close()

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return connections // clients * clients


def hold_idle(proxy, connections, kind=Connection, clients=8):
    """Opens connections that have had one request each, and keeps them."""
    context = client_context()

    def open_one(_):
        connection = kind(proxy, context)
        connection.get()
        return connection

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return list(pool.map(open_one, range(connections)))


@dataclasses.dataclass
class Cost:
    """The result of a run: its figure in the scenario's unit, and the answered requests a second, if measured."""

    value: float
    rate: float | None = None


class KeepAlive:
    """Requests over connections that stay open: CPU microseconds a request."""

    def __init__(self, requests, connections=64, headers=(), streams=None):
        self.requests, self.connections, self.headers, self.streams = requests, connections, headers, streams

    def run(self, proxy):
        before = proxy.cpu()
        rate = h2load(proxy, "/1k", self.requests, self.connections, *self.headers, streams=self.streams)
        return Cost((proxy.cpu() - before) / self.requests * 1e6, rate)


class Handshakes:
    """Connections with one request each: CPU microseconds a connection."""

    def __init__(self, connections, resuming, pair=None):
        self.connections, self.resuming, self.pair = connections, resuming, pair

    def run(self, proxy):
        before = proxy.cpu()
        made = connect_often(proxy, self.connections, self.resuming, self.pair)
        return Cost((proxy.cpu() - before) / made * 1e6)


class Bodies:
    """Answers of one size: CPU milliseconds a GiB."""

    def __init__(self, path, size, requests, connections, streams=None):
        self.path, self.size, self.requests, self.connections = path, size, requests, connections
        self.streams = streams

    def run(self, proxy):
        before = proxy.cpu()
        h2load(proxy, self.path, self.requests, self.connections, streams=self.streams)
        return Cost((proxy.cpu() - before) / (self.requests * self.size / (1 << 30)) * 1e3)


class Uploads:
    """Requests with a body of 1 MiB: CPU milliseconds a GiB."""

    def __init__(self, requests, connections=16):
        self.requests, self.connections = requests, connections

    def run(self, proxy):
        with tempfile.NamedTemporaryFile() as body:
            body.write(b"x" * (1 << 20))
            body.flush()
            before = proxy.cpu()
            h2load(proxy, "/upload", self.requests, self.connections, f"-d{body.name}")
            return Cost((proxy.cpu() - before) / (self.requests / 1024) * 1e3)


class IdleMemory:
    """Idle connections: memory of each, in KiB."""

    def __init__(self, connections, kind=Connection):
        self.connections, self.kind = connections, kind

    def run(self, proxy):
        # What a proxy allocates at the first connections is no part of an idle connection.
        connect_often(proxy, 64)
        before = proxy.memory()
        held = hold_idle(proxy, self.connections, self.kind)
        value = (proxy.memory() - before) / self.connections / 1024
        for connection in held:
            connection.close()
        return Cost(value)


class Latency:
    """Requests at a rate that all proxies can serve: the 99th percentile of times in microseconds; `medians` has the 50th
    of each run."""

    def __init__(self, most, seconds, connections=64):
        # A client sends at an even pace as soon as it has connected. If all clients connected at once, they would
        # always send at once, and the measured times would include a queue. So they connect `step` milliseconds apart.
        # They are then spread evenly over a pace of `connections * step / turns` if the two numbers have no common
        # divisor. The quickest such pace within the rate is used.
        pace, self.step = min(
            (connections * step / turns, step) for step in range(1, 11)
            for turns in range(1, int(step * most / 1e3) + 1) if math.gcd(turns, connections) == 1)
        self.rate = 1e3 / pace
        self.load, self.connections = self.rate * connections, connections
        self.requests = int(self.load * seconds)
        # The part of a run that counts, in microseconds: it begins some time after the last client has connected, when
        # the requests that were delayed by connecting are answered, and ends when the first client has sent all.
        self.counts = range((connections * self.step + 200) * 1000, int(seconds * 1e6))
        self.medians = {}

    def run(self, proxy):
        with tempfile.NamedTemporaryFile() as log:
            h2load(
                proxy, "/1k", self.requests, self.connections, f"--rps={self.rate:.5f}", f"--log-file={log.name}",
                "--rate=1", f"--rate-period={self.step}ms")
            requests = [line.split(b"\t") for line in open(log.name, "rb")]
        began = min(int(start) for start, *_ in requests)
        times = [int(time) for start, _, time, *_ in requests if int(start) - began in self.counts]
        percentiles = statistics.quantiles(times, n=100)
        self.medians.setdefault(proxy.name, []).append(percentiles[49])
        return Cost(percentiles[98])

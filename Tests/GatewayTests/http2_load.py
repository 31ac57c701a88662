"""Steady traffic by HTTP/2 and gRPC of which nothing may be lost."""

import hashlib
import itertools
import threading
import urllib.parse

from client import BrokenTransfer
from gateway import eventually
from grpc_server import channel
from http2_client import NO_ERROR, Http2Client
from load import Load, content

# How many requests a connection has under way at once.
TOGETHER = 8


def respond(call):
    """The answer of an `HTTP2Origin`: the content of an identity, or the hash of the received body."""
    identity = urllib.parse.parse_qs(urllib.parse.urlsplit(call[":path"]).query)["id"][0]
    body = content(identity) if call[":method"] == "GET" else hashlib.sha256(call.body).hexdigest().encode()
    call.respond(200, ("x-identity", identity), body=body)


class Http2Load(Load):
    """Clients of `hosts`, whose upstreams answer with `load.answer` or `respond`, and of the gRPC server behind `calls`."""

    def __init__(self, gateway, hosts, calls):
        self.gateway, self.calls = gateway, calls
        self.faults, self.requests, self.messages, self.ended = [], 0, 0, 0
        self._identities, self._stopping = itertools.count(1), threading.Event()
        jobs = [(self._share, host) for host in hosts for _ in range(2)]
        self._begin(jobs + [(self._call, calls), (self._stream, calls)])

    def await_more(self):
        """Waits until requests and calls that begin from now on have ended."""
        requests, messages = self.requests, self.messages
        eventually("traffic", lambda: self.faults or (
            self.requests > requests + 2 * TOGETHER * len(self._threads) and self.messages > messages + 100))

    def _share(self, host):
        """Has several requests under way on each connection, until the gateway announces its end."""
        while not self._stopping.is_set():
            with Http2Client(self.gateway.https, host) as client:
                while not client.goaways and not self._stopping.is_set():
                    self._ask_together(client, host)
                    client.forget()
                if client.goaways:
                    assert set(client.await_end()) == {NO_ERROR}
                    self.ended += 1

    def _ask_together(self, client, host):
        expected = {}
        for identity in itertools.islice(self._identities, TOGETHER):
            body = b"" if identity % 4 else content(str(identity))
            stream = client.begin(f"/?id={identity}", host=host, body=body)
            expected[stream] = str(identity), hashlib.sha256(body).hexdigest().encode() if body else content(str(identity))
        for stream, (identity, body) in expected.items():
            try:
                answer = client.answer(stream)
            except BrokenTransfer:
                # What the gateway has refused before it took it may be asked again (RFC 9113 section 6.8).
                assert client.goaways and stream > client.goaways[-1].last_stream_id, f"{identity}: no answer"
                continue
            assert answer.status == 200, f"{identity}: {answer.status} {bytes(answer.body[:200])}, reset {answer.reset}"
            assert ("x-identity", identity) in answer.fields, f"{identity}: another answer"
            assert bytes(answer.body) == body and answer.is_ended, f"{identity}: another body"
            self.requests += 1

    def _call(self, host):
        with channel(self.gateway, host) as calls:
            echo = calls.unary_unary("/shop.Shop/Echo")
            while not self._stopping.is_set():
                message = content(str(next(self._identities)))
                assert echo(message, timeout=30) == message
                self.messages += 1

    def _stream(self, host):
        """Has calls under way that last a while, with messages both ways by turns."""
        with channel(self.gateway, host) as calls:
            talk = calls.stream_stream("/shop.Shop/Talk")
            while not self._stopping.is_set():
                answered, sent = threading.Semaphore(0), [b"message %d" % number for number in range(50)]

                def send():
                    for message in sent:
                        answered.acquire(timeout=30)
                        yield message

                replies = []
                for reply in talk(send(), timeout=60):
                    replies.append(reply)
                    self._stopping.wait(0.01)
                    answered.release()
                assert replies == [b"hello", *(message.upper() for message in sent)]
                self.messages += len(sent)

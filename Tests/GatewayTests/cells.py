"""A table of exchanges: each way to frame a body with each way to end the connection after or within the body.

Each exchange is a cell with a number that its request, its answer and its body contain. The table has the expected outcome
of each cell.
"""

import itertools
import threading
from dataclasses import dataclass

from gateway import PATIENCE

WHOLE, BROKEN, EITHER = "whole", "broken", "either"


@dataclass(frozen=True)
class Framing:
    """How a body is framed. `kind`: length, chunks, close (the end of the connection ends the body) or none. `chunks`: the
    sizes of the chunks, used again and again. `extras`: whether chunks have extensions and trailers."""

    kind: str
    size: int = 0
    chunks: tuple = ()
    method: str = "GET"
    status: int = 200
    field: str = ""
    extras: bool = False

    def fields(self, size):
        if self.kind in ("none", "close"):
            return self.field
        return "Transfer-Encoding: chunked\r\n" if self.kind == "chunks" else f"Content-Length: {size}\r\n"

    def encode(self, body):
        if self.kind != "chunks":
            return body
        coded, at, sizes = bytearray(), 0, itertools.cycle(self.chunks)
        while at < len(body):
            piece = body[at:at + next(sizes)]
            size = f"00{len(piece):X};x=\"y\";z" if self.extras else f"{len(piece):x}"
            coded += size.encode() + b"\r\n" + piece + b"\r\n"
            at += len(piece)
        return bytes(coded + (b"000;last\r\nA: b\r\nB:\r\n\r\n" if self.extras else b"0\r\n\r\n"))


# Framings of both requests and answers.
FRAMINGS = {
    "length 0": Framing("length"),
    "length 1": Framing("length", 1),
    "length": Framing("length", 500),
    "large length": Framing("length", 70_000),
    "no chunk": Framing("chunks"),
    "no chunk, trailers": Framing("chunks", extras=True),
    "chunks of a byte": Framing("chunks", 60, (1,)),
    "odd chunks": Framing("chunks", 20_000, (1, 7, 4095, 16, 5000, 15)),
    "large chunks": Framing("chunks", 150_000, (65_536, 3, 70_000)),
    "chunks with extensions": Framing("chunks", 500, (100, 1, 17), extras=True),
}

ANSWERS = FRAMINGS | {
    "until close, empty": Framing("close"),
    "until close": Framing("close", 500),
    "until close, large": Framing("close", 70_000),
    "204": Framing("none", status=204),
    "304": Framing("none", status=304, field="Content-Length: 500\r\nETag: \"x\"\r\n"),
    "HEAD, length": Framing("none", method="HEAD", field="Content-Length: 500\r\n"),
    "HEAD, chunks": Framing("none", method="HEAD", field="Transfer-Encoding: chunked\r\n"),
    "HEAD, until close": Framing("none", method="HEAD"),
}

REQUESTS = FRAMINGS | {
    "none": Framing("none", method="POST"),
    "length of a buffer": Framing("length", 65_536),
    "length of a buffer and one": Framing("length", 65_537),
    "length of two buffers": Framing("length", 131_072),
    "a chunk of a buffer": Framing("chunks", 65_536, (65_536,)),
}

# How the upstream ends its connection. It closes in an orderly way, over TLS with close_notify, unless the name says
# otherwise. "silent": without close_notify. "apart": later than the answer's last bytes. "within" and "no byte": before
# the answer is complete.
ENDS = [
    "kept", "announced", "unannounced", "unannounced, apart", "reset behind", "more behind", "more behind, apart",
    "silent", "bad record", "no byte", "within the head", "within the body", "within the body, silent",
    "no byte, reset", "within the head, reset", "within the body, reset",
]
ONLY_TLS = {"silent", "bad record", "within the body, silent"}
MORE = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nothers"
CUTS = {end for end in ENDS if end.startswith(("no byte", "within"))}


@dataclass(frozen=True)
class Answer:
    """An upstream's answer, and how the upstream ends the connection."""

    framing: str
    end: str
    version: str
    tls: bool

    @property
    def is_http10(self):
        return self.version == "1.0"

    @property
    def is_awaited(self):
        """Whether the upstream ends the connection only when the client has the whole answer."""
        return "apart" in self.end and ANSWERS[self.framing].kind != "close"

    def outcome(self):
        """The outcome that the client must see; None for a combination that does not exist."""
        kind, size = ANSWERS[self.framing].kind, ANSWERS[self.framing].size
        if self.end in ONLY_TLS and not self.tls:
            return None
        if self.is_http10 and "chunked" in ANSWERS[self.framing].fields(size):
            return BROKEN  # RFC 9112 section 6.1: the framing of such an answer is in doubt
        if self.end in CUTS:
            if "within the body" not in self.end:
                return BROKEN
            if kind == "none" or size == 0 and kind != "chunks":
                return None
            # A body that ends with the connection can't be distinguished from a body that an orderly end has cut.
            return None if kind == "close" and self.end == "within the body" else BROKEN
        if kind == "close":
            if self.end in ("kept", "more behind", "more behind, apart"):
                return None
            return BROKEN if self.end in ("reset behind", "silent", "bad record") else WHOLE
        # A reset may overtake data that was sent before it.
        return EITHER if self.end == "reset behind" else WHOLE

    def head(self, number, size):
        framing = ANSWERS[self.framing]
        connection = ""
        if self.end == "announced":
            connection = "Connection: close\r\n"
        elif self.is_http10 and framing.kind != "close":
            connection = "Connection: keep-alive\r\n"
        fields = f"X-Cell: {number}\r\n{framing.fields(size)}{connection}"
        return f"HTTP/{self.version} {framing.status} Fine\r\n{fields}\r\n".encode()


def body_of(number, size):
    """A body that differs from those of other cells, as far as its size allows."""
    label = b"%d in cell;" % number
    return (label * (size // len(label) + 1))[:size]


def answers(tls, versions=("1.1", "1.0"), ends=ENDS):
    """All answers that an upstream can give, each with its expected outcome."""
    for version, end, framing in itertools.product(versions, ends, ANSWERS):
        answer = Answer(framing, end, version, tls)
        if answer.outcome():
            yield answer


class Actor:
    """The upstream of the cells; `act` serves a connection of a `Server`. A request names its cell; a request's body is
    sent back."""

    def __init__(self):
        self.cells, self.received, self.ended = {}, {}, {}
        self.faults = []

    def add(self, answers):
        """Adds answers by their cells' numbers. Earlier answers stay: proxies in between may repeat their requests."""
        self.cells |= answers
        for number, answer in answers.items():
            self.ended[number] = threading.Event()
            # A client that learns of the body's end by the connection's end can't report it earlier.
            self.received[number] = threading.Event() if answer.is_awaited else None

    def act(self, peer):
        buffer = bytearray()
        try:
            while (request := read_request(peer, buffer)) and self._answer(peer, *request):
                pass
        except OSError:
            pass  # the gateway may close a connection that it does not need any more
        except Exception as fault:
            self.faults.append(repr(fault))
            raise

    def _answer(self, peer, head, body):
        number = int(head.split(b" ")[1].strip(b"/"))
        answer = self.cells[number]
        framing = ANSWERS[answer.framing]
        sent = body if head.startswith(b"POST") else body_of(number, framing.size)
        head, coded = answer.head(number, len(sent)), framing.encode(sent)
        try:
            return play(peer, answer.end, head, coded, number, self.received[number])
        finally:
            self.ended[number].set()


def play(peer, end, head, body, number, received):
    """Sends an answer and ends the connection as `end` says. Returns whether the connection stays open. `received`: the
    event to wait for before an end that is sent apart."""
    if end in CUTS:
        if end.startswith("no byte"):
            said = b""
        elif end.startswith("within the head"):
            said = head[:-1 - number % (len(head) - 1)]
        else:
            # Cut in the middle, before the last byte, or before the last chunk.
            said = head + body[:[len(body) // 2, -1, -2, -5][number % 4] or -1]
        peer.say(said)
    elif number % 3 == 0:
        peer.say(head + body)
    else:
        # Sent in two pieces: the second is the body or its last bytes, and leaves together with what follows.
        first = head + body[:-10 if number % 3 == 1 else 0] if body else b""
        peer.say(first).push().say((head + body)[len(first):])
    if end.endswith("reset") or end == "reset behind":
        peer.push().reset()
    elif end.endswith("silent"):
        peer.push().finish()
    elif end == "bad record":
        peer.push(b"\x17\x03\x03\x00\x20" + bytes(32)).finish()
    elif end == "kept":
        peer.push()
        return True
    else:
        if "apart" in end:
            peer.push()
            if received:
                received.wait(PATIENCE)
        peer.say(MORE if end.startswith("more") else b"").say_goodbye().push().finish()
    return False


def read_request(peer, buffer):
    """Reads the next request: its head, and its body without chunk framing. None at the end of the connection."""
    def until(condition):
        while (result := condition()) is None:
            piece = peer.read()
            if not piece:
                return None
            buffer.extend(piece)
        return result

    def take(count):
        taken = bytes(buffer[:count])
        del buffer[:count]
        return taken

    def line(mark):
        end = until(lambda: buffer.index(mark) if mark in buffer else None)
        return None if end is None else take(end + len(mark))[:-len(mark)]

    def exactly(count):
        return None if until(lambda: True if len(buffer) >= count else None) is None else take(count)

    head = line(b"\r\n\r\n")
    if head is None:
        return None
    fields = dict(field.lower().split(b": ", 1) for field in head.split(b"\r\n")[1:])
    body = bytearray()
    if b"transfer-encoding" in fields:
        assert fields[b"transfer-encoding"] == b"chunked" and b"content-length" not in fields
        while True:
            size = line(b"\r\n")
            if size is None or int(size, 16) == 0:
                break
            data = exactly(int(size, 16) + 2)
            if data is None:
                return None
            assert data.endswith(b"\r\n")
            body += data[:-2]
        # Trailers may follow. An empty line ends the body.
        while size:
            size = line(b"\r\n")
        if size is None:
            return None
    else:
        body = exactly(int(fields.get(b"content-length", 0)))
        if body is None:
            return None
    return head, bytes(body)

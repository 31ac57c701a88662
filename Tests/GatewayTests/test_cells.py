"""Bodies in each framing, on connections that end in each way: the client gets the body unchanged, or an error.

The table is in cells.py. A client must never get a cut answer that seems complete, nor another client's.
"""

import itertools
import random
import socket
import ssl
import threading
import time
from dataclasses import dataclass

import pytest

from cells import ANSWERS, BROKEN, CUTS, EITHER, REQUESTS, WHOLE, Actor, Answer, answers, body_of
from client import BrokenTransfer, Client, tls_context
from gateway import PATIENCE
from real_servers import LISTENERS, SERVERS
from reporting import parts
from tls_server import Server, TLSServer

PEERS = {"plain": None, "TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
# Whether a client uses TLS, and its version of HTTP.
CLIENTS = list(itertools.product((False, True), ("1.0", "1.1")))
FEW_CLIENTS = [(False, "1.0"), (True, "1.1")]
TLS = tls_context()
# How many clients run at once: enough that connections are shared, few enough for Python, which runs one thread at a
# time.
AT_ONCE = 6
LEAST_CELLS = 2000


@dataclass(frozen=True)
class Cell:
    number: int
    host: str
    tls: bool
    version: str
    answer: Answer
    outcome: str
    request: str = ""

    @property
    def method(self):
        return "POST" if self.request else ANSWERS[self.answer.framing].method

    @property
    def is_last(self):
        """Whether the client asks for the connection to be closed after this cell."""
        return self.version == "1.1" and self.number % 5 == 0


@pytest.fixture(scope="module")
def actor():
    return Actor()


@pytest.fixture(scope="module")
def gateway(run_once, actor, certificate_files, tmp_path_factory):
    """A gateway before all upstreams: test servers, and real servers that have a test server behind them."""
    raw = {
        name: TLSServer(*certificate_files, actor.act, version) if version else Server(actor.act)
        for name, version in PEERS.items()}
    real = {
        name: kind(tmp_path_factory.mktemp(name), raw["plain"].port, certificate_files) for name, kind in SERVERS.items()}
    parts.extend(real.values())
    urls = {name: server.url for name, server in raw.items()}
    for (name, server), listener in itertools.product(real.items(), LISTENERS):
        urls[f"{name}, {listener}"] = server.url(listener)
    trust = {"upstream_tls": {"ca_file": str(certificate_files[0])}}
    yield run_once(
        [{"domain": domain(name), "upstreams": [url], **(trust if "https" in url else {})}
         for name, url in urls.items()],
        gateway={"workers": 1})
    for server in [*real.values(), *raw.values()]:
        server.stop()
        if server in parts:
            parts.remove(server)


def domain(upstream):
    return "".join(letter if letter.isalnum() else "-" for letter in upstream.lower()) + ".test"


# The table.

def raw_answers(peer):
    """All answers that a test server can give."""
    for answer in answers(tls=peer != "plain"):
        yield answer, answer.outcome()


def real_answers(server, listener):
    """The answers that an origin can give behind a real server, which decides itself how long its own connections stay
    open."""
    for answer in answers(False, ("1.1",), ["kept", "announced", "within the body", "within the body, reset"]):
        # nginx without chunks can't report a cut body. HAProxy mistakes a reset for the end of a body that ends with
        # the connection.
        is_silent = server == "nginx" and not LISTENERS[listener][1] or ANSWERS[answer.framing].kind == "close"
        if answer.end not in CUTS or not is_silent:
            yield answer, answer.outcome()


def cells_of(upstream, table):
    """Cells for each kind of client; for few kinds where each cell costs a handshake and resembles others."""
    for answer, outcome in table:
        has_few = upstream == "TLS 1.2" or upstream == "TLS 1.3" and answer.is_http10
        for tls, version in FEW_CLIENTS if has_few else CLIENTS:
            yield upstream, tls, version, answer, outcome


def request_cells(upstream, tls_upstream):
    for request, (tls, version), end in itertools.product(REQUESTS, CLIENTS, ("kept", "announced")):
        if version == "1.0" and REQUESTS[request].kind == "chunks":
            continue
        framing = "odd chunks" if end == "kept" else "length"
        yield upstream, tls, version, Answer(framing, end, "1.1", tls_upstream), WHOLE, request


def numbered(cells, numbers=itertools.count(1_000_000)):
    """Numbers the cells and shuffles them, in the same way each time."""
    cells = list(cells)
    random.Random(7).shuffle(cells)
    return [Cell(next(numbers), *cell) for cell in cells]


RAW = {peer: list(cells_of(peer, raw_answers(peer))) for peer in PEERS}
REAL = {
    server: [cell for name in LISTENERS for cell in cells_of(f"{server}, {name}", real_answers(server, name))]
    for server in SERVERS}
BODIES = {peer: list(request_cells(peer, peer != "plain")) for peer in PEERS} | {
    server: [cell for listener in LISTENERS for cell in request_cells(f"{server}, {listener}", False)]
    for server in SERVERS}


# Running the cells.

def go_through(gateway, actor, cells):
    """Runs cells, with several clients at once. Returns unexpected outcomes as text."""
    faults = []
    actor.faults.clear()
    actor.add({cell.number: cell.answer for cell in cells})
    # While a connection is about to be ended, no other client may get it: these cells run alone.
    alone = [cell for cell in cells if cell.answer.is_awaited]
    queue, lock = iter([cell for cell in cells if not cell.answer.is_awaited]), threading.Lock()

    def work():
        with lock:
            cell = next(queue, None)
        while cell is not None:
            yield cell
            with lock:
                cell = next(queue, None)

    threads = [threading.Thread(target=go_on, args=(gateway, actor, work(), faults)) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    go_on(gateway, actor, alone, faults)
    return faults + actor.faults


def go_on(gateway, actor, cells, faults):
    """Runs cells as one client."""
    clients = {}
    for cell in cells:
        try:
            outcome = go_through_one(gateway, clients, cell)
            if cell.outcome not in (outcome, EITHER):
                faults.append(f"{outcome}: {cell}")
            if cell.answer.is_awaited:
                actor.received[cell.number].set()
                assert actor.ended[cell.number].wait(PATIENCE), "its connection is kept"
        except Exception as fault:
            faults.append(f"{str(fault)[:200] or repr(fault)}: {cell}")
            for key in list(clients):
                drop(clients, key)
    for key in list(clients):
        drop(clients, key)


def drop(clients, key):
    if client := clients.pop(key, None):
        client.close()


def go_through_one(gateway, clients, cell):
    """Runs a cell on a connection that is open from earlier cells, or a new one. Returns its outcome."""
    key = cell.tls and cell.host  # over TLS a connection is for one host
    if key not in clients:
        for other in [other for other in clients if other and key]:
            drop(clients, other)
        clients[key] = Client(
            gateway.https if cell.tls else gateway.http, TLS if cell.tls else None, domain(cell.host),
            strict=True)
    client = clients[key]
    try:
        body = send(client, cell)
        response = client.response(cell.method)
    except (BrokenTransfer, ConnectionError, ssl.SSLError):
        drop(clients, key)
        return BROKEN
    if response.status in (502, 504) and response["X-Cell"] is None:
        outcome = BROKEN
    else:
        outcome = WHOLE
        framing = ANSWERS[cell.answer.framing]
        assert (response.status, response["X-Cell"]) == (framing.status, str(cell.number)), response
        assert response.body == (body if cell.request else body_of(cell.number, framing.size))
    assert response["Connection"] == "close" or not cell.is_last
    if response["Connection"] == "close":
        assert client.is_closed()
        drop(clients, key)
    return outcome


def send(client, cell):
    """Sends the cell's request. Returns its body."""
    head = f"{cell.method} /{cell.number} HTTP/{cell.version}\r\nHost: {domain(cell.host)}\r\n"
    if cell.version == "1.0" and cell.number % 2:
        head += "Connection: keep-alive\r\n"
    if cell.is_last:
        head += "Connection: close\r\n"
    if not cell.request:
        client.send(head + "\r\n")
        if cell.is_last and cell.number % 2 and not cell.tls:
            client.socket.shutdown(socket.SHUT_WR)
        return b""
    framing = REQUESTS[cell.request]
    body = body_of(cell.number, framing.size)
    expects = cell.version == "1.1" and framing.size and cell.number % 4 == 0
    head += framing.fields(framing.size) + ("Expect: 100-continue\r\n" if expects else "")
    coded = framing.encode(body)
    if expects:
        client.send(head + "\r\n")
        assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue"
        client.send(coded)
    elif cell.number % 4 == 1:
        client.send(head + "\r\n", coded[:len(coded) // 3], coded[len(coded) // 3:])
    else:
        client.send(head.encode() + b"\r\n" + coded)
    return body


def check(gateway, actor, table, what, figures):
    cells = numbered(table)
    started = time.monotonic()
    faults = go_through(gateway, actor, cells)
    figures.append(f"{what}: {len(cells)} cells in {time.monotonic() - started:.1f} s")
    assert not faults, f"{len(faults)} of {len(cells)}:\n" + "\n".join(faults[:20])


@pytest.mark.parametrize("peer", PEERS)
def test_each_answer_of_a_raw_upstream_is_passed_on_correctly(gateway, actor, peer, figures):
    check(gateway, actor, RAW[peer], f"answers of {peer}", figures)


@pytest.mark.parametrize("server", SERVERS)
def test_each_answer_of_a_real_server_is_passed_on_correctly(gateway, actor, server, figures):
    check(gateway, actor, REAL[server], f"answers of {server}", figures)


@pytest.mark.parametrize("upstream", BODIES)
def test_each_body_of_a_request_is_passed_on_correctly(gateway, actor, upstream, figures):
    check(gateway, actor, BODIES[upstream], f"bodies of requests to {upstream}", figures)


def test_the_table_is_large_enough(figures):
    cells = sum(len(cells) for table in (RAW, REAL, BODIES) for cells in table.values())
    figures.append(f"cells of the table: {cells}")
    assert cells >= LEAST_CELLS

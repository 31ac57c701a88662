"""Measures gateways with very many hosts, each with its own certificate: start, memory, a first handshake, one change."""

import concurrent.futures
import contextlib
import datetime
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from proxies import HOST, Aegis, client_context, free_port, served_certificate
from traffic import h2load

# How long a process is left idle before its memory is measured, in seconds.
SETTLING = 2


def name(number):
    return f"host-{number}.example.com"


class OwnAuthority:
    """A CA that writes its certificates to files, for proxies that read files."""

    def __init__(self, folder):
        folder.mkdir()
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
        self.now = datetime.datetime.now(datetime.timezone.utc)

    def issue(self, host):
        """Writes a certificate and its key. Returns their paths."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = x509.CertificateBuilder(
            self.name, x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)]), key.public_key(),
            x509.random_serial_number(), self.now - datetime.timedelta(hours=1), self.now + datetime.timedelta(days=90),
        ).add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False).sign(self.key, hashes.SHA256())
        paths = self.folder / f"{host}.pem", self.folder / f"{host}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return paths


class Crowd(Aegis):
    """A gateway with very many hosts. Its state is kept from one run to the next, since making it takes minutes."""

    NOWHERE = 9

    def __init__(self, folder, size, origin):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.size, self.port = folder, size, free_port()
        self.asked = name(size // 2)
        certificates = "".join(
            f"  c{number}: {{ issuer: lan, domains: [{name(number)}] }}\n" for number in range(size))
        # These hosts get handshakes only; requests go to the bench's own host.
        hosts = "".join(self.host(name(number), f"c{number}", self.NOWHERE) for number in range(size))
        text = (f"issuers:\n  lan: {{ type: local_ca }}\n"
                f"certificates:\n  own: {{ issuer: lan, domains: [{HOST}] }}\n{certificates}"
                f"hosts:\n{self.host(HOST, 'own', origin.port)}{hosts}")
        if not (folder / "state.db").exists():
            print(f"making a state of {size:,} hosts, which takes about {size // 300:,} s", flush=True)
        self.command, self.environment = self.declare(folder, text)

    def state(self):
        state = sqlite3.connect(self.folder / "state.db", isolation_level=None, check_same_thread=False)
        state.execute("PRAGMA synchronous = FULL")
        return state


class Likes(Aegis):
    """A gateway with very many hosts that share a certificate. All ask clients for certificates of the same CAs, or none
    does."""

    def __init__(self, folder, size, origin, pair, clients_ca=None):
        folder.mkdir()
        self.folder, self.size, self.port, self.asked = folder, size, free_port(), HOST
        hosts = "".join(
            self.host(host, "own", origin.port, clients_ca) for host in [HOST, *map(name, range(size))])
        self.command, self.environment = self.declare(
            folder, f"certificates:\n  own: {{ source: custom, cert: {{ file: {pair[0]} }}, key: {{ file: {pair[1]} }} }}\n"
            f"hosts:\n{hosts}")


def memory_of_asking(folder, size, origin, pair, authorities):
    """How many more bytes of memory a host takes when it asks clients for certificates of these CAs."""
    taken = []
    for kind, clients_ca in ("silent", None), ("asking", authorities):
        gateway = Likes(folder / kind, size, origin, pair, clients_ca)
        gateway.start()
        taken.append(settled_memory(gateway))
        gateway.stop()
    return (taken[1] - taken[0]) / size


class Renewals:
    """Renews one certificate of a state, as often as wanted: two certificates that aegis-apply has issued alternate.

    For the gateway it is the change that aegis-apply makes: another certificate in one row, and another revision.
    """

    COLUMNS = ("chain", "sealed_key", "fingerprint")

    def __init__(self, crowd, number):
        self.name, self.certificate = name(number), f"c{number}"
        self.state = crowd.state()
        self.turns = []
        for _ in range(2):
            crowd.apply(crowd.folder, "renew", self.certificate, "--force")
            self.turns.append(self.state.execute(
                f"SELECT {', '.join(self.COLUMNS)} FROM certificates WHERE name = ?", (self.certificate,)).fetchone())

    def commit(self):
        """Commits the other certificate. Returns its fingerprint and the time of the commit."""
        turn = self.turns.pop(0)
        self.turns.append(turn)
        self.state.execute("BEGIN IMMEDIATE")
        self.state.execute("UPDATE position SET revision = revision + 1")
        self.state.execute(
            f"UPDATE certificates SET {', '.join(column + ' = ?' for column in self.COLUMNS)},"
            " revision = (SELECT revision FROM position) WHERE name = ?", (*turn, self.certificate))
        self.state.execute("COMMIT")
        return turn[-1], time.monotonic()


def started(proxy, rounds):
    """The median time from start to first handshake, in seconds. The proxy still runs afterwards."""
    seconds = []
    for number in range(rounds):
        seconds.append(proxy.start())
        if number < rounds - 1:
            proxy.stop()
    return statistics.median(seconds)


def settled_memory(proxy):
    time.sleep(SETTLING)
    return proxy.memory()


def used_memory(proxy, names):
    """The memory after clients have asked for so many names, each often enough that most workers have seen most of them."""
    context = client_context()

    def ask(number):
        served_certificate(proxy.port, name(number), context)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            list(pool.map(ask, range(names)))
    return settled_memory(proxy)


def first_handshakes(crowd, count):
    """How many milliseconds longer a name's first handshake takes than a handshake of a name that was used before."""
    context = client_context()

    def timed(host):
        begun = time.perf_counter()
        served_certificate(crowd.port, host, context)
        return (time.perf_counter() - begun) * 1e3

    cold, warm = [], []
    step = crowd.size // (count + 1)
    for number in range(count):
        cold.append(timed(name(number * step)))
        warm.append(timed(name(0)))
    return statistics.median(cold) - statistics.median(warm)


PROBE = """
import hashlib, sys, time
sys.path.insert(0, sys.argv[1])
from proxies import client_context, served_certificate
context, last = client_context(), None
while True:
    begun = time.monotonic()
    seen = hashlib.sha256(served_certificate(int(sys.argv[2]), sys.argv[3], context)).hexdigest()
    if seen != last:
        print(seen, time.monotonic(), flush=True)
        last = seen
"""


def changes(crowd, renewals, count):
    """Milliseconds from a commit to the first handshake with the new certificate: the median and the longest."""
    here = pathlib.Path(__file__).parent
    probe = subprocess.Popen(
        [sys.executable, "-c", PROBE, here, str(crowd.port), renewals.name], stdout=subprocess.PIPE, text=True)
    probe.stdout.readline()
    times = []
    for _ in range(count):
        time.sleep(0.3)
        expected, committed = renewals.commit()
        seen, when = probe.stdout.readline().split()
        assert seen == expected, "another certificate is served than the one committed"
        times.append((float(when) - committed) * 1e3)
    probe.kill()
    probe.wait()
    return statistics.median(times), max(times)


def cost_of_changes(crowd, renewals, count, pause=0.2):
    """The gateway's CPU milliseconds for one change without clients, less those that it takes without a change."""
    def during(action):
        before = crowd.cpu()
        for _ in range(count):
            action()
            time.sleep(pause)
        return crowd.cpu() - before

    idle = during(lambda: None)
    # At least some nanoseconds, since others divide by the result.
    return max(during(renewals.commit) - idle, 1e-9) / count * 1e3


@contextlib.contextmanager
def changing_each_second(renewals):
    """Renews a certificate at once and then each second, until the end of the block."""
    ended = threading.Event()

    def renew():
        while True:
            renewals.commit()
            if ended.wait(1):
                return

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def throughput_while_changing(crowd, renewals, rounds, requests):
    """Requests a second while a certificate changes each second, divided by those without changes: the ratio of each
    round."""
    ratios = []
    for number in range(rounds):
        rates = {}
        # The order alternates: the second run has the warmer caches.
        for changing in ((False, True) if number % 2 else (True, False)):
            with changing_each_second(renewals) if changing else contextlib.nullcontext():
                rates[changing] = h2load(crowd, "/1k", requests, 64)
        ratios.append(rates[True] / rates[False])
    return ratios


def reload_of_peer(proxy, authority, number):
    """Gives a peer another certificate for a name. Returns milliseconds until it is served, and CPU milliseconds."""
    context, host = client_context(), name(number)
    former = served_certificate(proxy.port, host, context)
    before, begun = proxy.cpu_with_ended(), time.monotonic()
    proxy.renew(number, *authority.issue(host))
    while served_certificate(proxy.port, host, context) == former:
        # These handshakes count too, but take little time compared with a reload, which takes seconds.
        time.sleep(0.05)
    seconds = time.monotonic() - begun
    return seconds * 1e3, (proxy.cpu_with_ended() - before) * 1e3

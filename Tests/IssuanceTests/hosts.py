"""Hosts as these tests have them."""

import os
import sqlite3
import subprocess

from client import Client, tls_context
from cloudflare import TOKEN, ZONE
from gateway import PATIENCE, PROGRAMS, Gateway


def host(domain, **settings):
    """A host with a certificate of its own from the CA, answering with its name."""
    return {"domain": domain, "ssl_mode": "letsencrypt", "respond": {"body": domain}, **settings}


def shown(gateway, ca, name):
    """The body that a client gets that trusts the CA alone."""
    with Client(gateway.https, tls_context(ca.root()), name) as client:
        return client.get(name).body.decode()


def serial(gateway, name):
    """Which certificate is shown, as its DER."""
    with Client(gateway.https, tls_context(), name) as client:
        return client.socket.getpeercert(True)


def rows(gateway, query, *values):
    """What the state says."""
    with sqlite3.connect(gateway.folder / "state.db") as state:
        return state.execute(query, values).fetchall()


def nothing_is_left(gateway):
    """Whether no order, challenge or lease of a certificate remains."""
    return rows(gateway, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM challenges), "
                         "(SELECT count(*) FROM leases WHERE name LIKE 'certificate%')") == [(0, 0, 0)]


def forget(gateway, name):
    """Takes a certificate out of the state, as if it could never be issued."""
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute("DELETE FROM certificates WHERE name = ?", (name,))
        state.execute("INSERT INTO deletions SELECT 'certificate', ?, revision FROM position", (name,))


def age(gateway, name):
    """Has a certificate be due, as if it had been issued long ago."""
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            "UPDATE certificates SET not_before = not_before - 10000000, created_at = created_at - 10000000, "
            "expires_at = unixepoch() + 86400, revision = (SELECT revision FROM position) WHERE name = ?", (name,))


NAMES = ["app.example.test", "*.example.test"]


def behind_cloudflare(folder, cloudflare, hosts=None, **settings):
    """A gateway's folder whose one certificate, `site`, is the Origin CA's.

    `settings` are the issuer's; None leaves one out.
    """
    gateway = Gateway(folder, hosts or [
        {"domain": "app.example.test", "ssl_mode": "custom", "certificate": "site", "respond": {"body": "app"}}])
    (gateway.folder / "token").write_text(TOKEN + "\n")
    issuer = {"type": "cloudflare_origin", "api_token": {"file": "token"}, "zone_id": ZONE, **cloudflare.place,
              **settings}
    gateway.config["issuers"] = {"origin": {key: value for key, value in issuer.items() if value is not None}}
    gateway.config["certificates"] = {"site": {"issuer": "origin", "domains": NAMES}}
    return gateway


def aegis_apply(gateway, *arguments, expect=0, **environment):
    """What a command says, errors too."""
    done = subprocess.run(
        [PROGRAMS / "aegis-apply", *arguments], cwd=gateway.folder, capture_output=True, text=True,
        timeout=PATIENCE * 6, env={**os.environ, **environment})
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def killing_at(call, place):
    """What a program is run by to be killed at the so many-th time of a system call; each thread counts for itself."""
    # Leaks can't be looked for under a tracer.
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", f"trace={call}",
            "-e", f"inject={call}:signal=KILL:when={place}")

"""Hosts of the issuance tests, and helpers for their certificates."""

import os
import sqlite3
import subprocess

from client import Client, tls_context
from cloudflare import TOKEN, ZONE
from gateway import PATIENCE, PROGRAMS, Gateway


def host(domain, **settings):
    """A host that answers with its name and has its own certificate from the CA."""
    return {"domain": domain, "ssl_mode": "letsencrypt", "respond": {"body": domain}, **settings}


def shown(gateway, ca, name):
    """The body that a client gets if it trusts only the CA."""
    with Client(gateway.https, tls_context(ca.root()), name) as client:
        return client.get(name).body.decode()


def serial(gateway, name):
    """The certificate that is shown for a name, as DER."""
    with Client(gateway.https, tls_context(), name) as client:
        return client.socket.getpeercert(True)


def rows(gateway, query, *values):
    """The rows of a query of the state."""
    with sqlite3.connect(gateway.folder / "state.db") as state:
        return state.execute(query, values).fetchall()


def nothing_is_left(gateway):
    """Whether the state has no order, no challenge and no lease of a certificate."""
    return rows(gateway, "SELECT (SELECT count(*) FROM orders), (SELECT count(*) FROM challenges), "
                         "(SELECT count(*) FROM leases WHERE name LIKE 'certificate%')") == [(0, 0, 0)]


def forget(gateway, name):
    """Deletes a certificate from the state, as if it could not be issued."""
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute("DELETE FROM certificates WHERE name = ?", (name,))
        state.execute("INSERT INTO deletions SELECT 'certificate', ?, revision FROM position", (name,))


def age(gateway, name):
    """Makes a certificate due, as if it had been issued long ago."""
    with sqlite3.connect(gateway.folder / "state.db") as state:
        state.execute("UPDATE position SET revision = revision + 1")
        state.execute(
            "UPDATE certificates SET not_before = not_before - 10000000, created_at = created_at - 10000000, "
            "expires_at = unixepoch() + 86400, revision = (SELECT revision FROM position) WHERE name = ?", (name,))


NAMES = ["app.example.test", "*.example.test"]


def behind_cloudflare(folder, cloudflare, hosts=None, **settings):
    """A gateway's folder whose one certificate, `site`, is the Origin CA's.

    `settings`: the issuer's settings. A setting that is None is left out.
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
    """Runs a command of aegis-apply; its output, with errors."""
    done = subprocess.run(
        [PROGRAMS / "aegis-apply", *arguments], cwd=gateway.folder, capture_output=True, text=True,
        timeout=PATIENCE * 6, env={**os.environ, **environment})
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


def tried(gateway):
    """An apply that may fail: its exit code and output."""
    done = gateway.run_apply()
    return done.returncode, done.stdout + done.stderr


def killing_at(call, place):
    """The command prefix that kills a program at its `place`-th execution of a system call, counted for each thread."""
    # Leak detection does not work under strace.
    return ("strace", "-f", "-qq", "-o", "/dev/null", "-E", "ASAN_OPTIONS=detect_leaks=0", "-e", f"trace={call}",
            "-e", f"inject={call}:signal=KILL:when={place}")

"""Hosts as these tests have them."""

import sqlite3

from client import Client, tls_context


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
    """Takes a certificate out of the state, as if it could never be had."""
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

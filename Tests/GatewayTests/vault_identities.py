"""Gateways with an identity from Vault, `mesh`, which they show to an upstream; and how a Vault in trouble answers."""

import contextlib
import sqlite3
import ssl
import threading

from authority import CLIENT, SERVER, Holder, pem
from client import Client
from gateway import eventually

HOST = "127.0.0.1"

root, other = Holder("mesh", is_ca=True), Holder("other mesh", is_ca=True)

SEALED = b'{"errors":["Vault is sealed"]}'
# By name: what `Front.behave` may be.
AILMENTS = {
    "sealed": lambda method, path, forward: (503, SEALED),
    "standby": lambda method, path, forward: (429 if "health" in path else 503, b'{"errors":["Vault is in standby mode"]}'),
    "gone": lambda method, path, forward: None,
    "denied": lambda method, path, forward: (403, b'{"errors":["permission denied"]}'),
    "html": lambda method, path, forward: (200, b"<html>Sign in</html>"),
    "empty": lambda method, path, forward: (200, b""),
    "other json": lambda method, path, forward: (200, b'{"data": {"certificate": "none", "keys": [], "type": "kv"}}'),
    "slow": lambda method, path, forward: threading.Event().wait(3600),
    "an endless answer": lambda method, path, forward: (200, b" " * (2 << 20)),
}


def token(text):
    return {"method": "token", "token": text}


def vaults(server, auth=None):
    """The configuration of a Vault named `main`; `server` is a Vault, or a proxy in front of one."""
    vault = getattr(server, "vault", server)
    return {"main": {"address": server.address, "auth": auth or token(vault.token())}}


def issued(name="mesh", **settings):
    return {name: {"source": "vault", "vault": "main", "pki": {
        "role": "node", "common_name": "node.test", "sans": [HOST], "ttl": "24h", **settings}}}


def stored(path, name="mesh", **settings):
    return {name: {"source": "vault", "vault": "main", "kv": {"path": path, "ca": "ca", **settings}}}


def node(issuer=root, **options):
    return Holder("node", issuer, **{"names": ["node.test", HOST], "purposes": [CLIENT, SERVER], **options})


def put(vault, path, holder=None, authorities=(root,)):
    """Writes a new version of a secret."""
    holder = holder or node()
    return vault.put(
        path, pem(holder.certificate).decode(), holder.key_pem.decode(),
        pem(*(authority.certificate for authority in authorities)).decode())


def make_upstream(make_origin, tmp_path, vault):
    """An upstream over TLS that accepts certificates of the mount `pki`, of `root` and of `other`; its own is of `root`."""
    settings = Holder("upstream", root, names=[HOST], purposes=[SERVER]).server(tmp_path / "upstream.pem")
    (tmp_path / "root.pem").write_bytes(pem(root.certificate))
    settings.load_verify_locations(cadata=vault.authorities() + pem(root.certificate, other.certificate).decode())
    settings.verify_mode = ssl.CERT_REQUIRED
    return make_origin(tls=settings)


def host(upstream, tmp_path, **settings):
    return {"domain": "app.test", "upstreams": [upstream.url],
            "upstream_tls": {"identity": "mesh", "ca_file": str(tmp_path / "root.pem")}, **settings}


def status(gateway):
    with Client(gateway.http) as client:
        return client.get("app.test").status


def serves(gateway, **options):
    eventually("the upstream takes the identity", lambda: status(gateway) == 200, **options)


def refreshes(gateway, result="ok", name="mesh"):
    return gateway.metric(f'aegis_identity_refreshes_total{{name="{name}",result="{result}"}}')


def row(gateway, columns="*", table="obtained_identities"):
    with contextlib.closing(sqlite3.connect(gateway.folder / "state.db")) as state:
        return state.execute(f"SELECT {columns} FROM {table}").fetchall()

"""Identities from Vault, issued by its PKI engine or kept in its key-value store: what the gateway uses them for."""

import ssl

import pytest

from authority import CLIENT, SERVER, Holder, pem
from client import Client
from client_auth import LOCAL, ask, certified, context
from gateway import eventually, free_port
from vault import Vault
from vault_identities import (
    HOST, host, issued, make_upstream, other, put, refreshes, root, row, serves, stored, token, vaults)

upstream = pytest.fixture(make_upstream)


class TLSVault(Vault):
    """A Vault that speaks TLS on a second port."""

    def __init__(self, folder, port, certificate):
        self.config = folder.with_suffix(".hcl")
        self.config.write_text(
            f'listener "tcp" {{\n address = "127.0.0.1:{port}"\n tls_cert_file = "{certificate}"\n'
            f' tls_key_file = "{certificate}"\n}}\n')
        super().__init__(folder, f"-config={self.config}")


def login_of(source, vault, folder):
    """An identity with the SAN gateway.test, and the further sections of the file that it needs."""
    if source == "file":
        shown = Holder("gateway", other, names=["gateway.test"], purposes=[CLIENT])
        (folder / "node.crt").write_bytes(pem(shown.certificate))
        (folder / "node.key").touch(mode=0o600)
        (folder / "node.key").write_bytes(shown.key_pem)
        return {"source": "file", "cert_file": "node.crt", "key_file": "node.key"}, {}
    if source == "dev":
        return {"source": "dev", "cert_dir": "certs"}, {"node": {"id": "gateway.test"}}
    return (
        {"source": "vault", "vault": "first", "pki": {"role": "node", "common_name": "gateway.test"}},
        {"vaults": {"first": {"address": vault.address, "auth": token(vault.token())}}})


def test_the_gateway_shows_an_issued_identity_to_an_upstream(run, vault, upstream, tmp_path):
    before = len(vault.issued())
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=issued())
    serves(gateway)
    assert len(vault.issued()) == before + 1
    gateway.await_log("the identity 'mesh' was obtained from Vault 'main'", "not_after=")
    assert refreshes(gateway) == 1
    assert gateway.metric('aegis_identity_not_after_timestamp_seconds{name="mesh"}') == row(gateway, "not_after")[0][0]


def test_the_gateway_shows_an_identity_from_the_kv_store_to_an_upstream(run, vault, upstream, tmp_path):
    put(vault, "shown")
    gateway = run([host(upstream, tmp_path)], vaults=vaults(vault), identities=stored("shown"))
    serves(gateway)
    assert row(gateway, "secret_version") == [(1,)]


@pytest.mark.parametrize("kind", ["pki", "kv"])
def test_clients_are_verified_by_the_cas_of_an_identity(run, vault, make_origin, tmp_path, kind):
    put(vault, "clients")
    gateway = run(
        [certified("any.test", upstreams=[make_origin().url], client_auth={"identity": "mesh"})],
        vaults=vaults(vault), identities=issued() if kind == "pki" else stored("clients"), **LOCAL)
    if kind == "pki":
        data = vault.write("pki/issue/node", common_name="client.test", ttl="1h")
        (tmp_path / "client.pem").write_text(data["certificate"] + "\n" + data["private_key"])
        good = context()
        good.load_cert_chain(tmp_path / "client.pem")
    else:
        good = context(Holder("client", root, purposes=[CLIENT]), folder=tmp_path)
    eventually("the client is let in", lambda: ask(gateway, good, "any.test")[0] == 200)
    assert isinstance(ask(gateway, context(Holder("client", other), folder=tmp_path), "any.test")[0], str)


def test_the_node_listener_shows_an_issued_identity(run, vault, tmp_path):
    port = free_port()
    gateway = run([], vaults=vaults(vault), identities=issued(), node={
        "id": "edge-1", "address": f"127.0.0.1:{port}", "identity": "mesh",
        "allow": [{"san": "ci.test", "scope": "read"}]})
    data = vault.write("pki/issue/node", common_name="ci.test", ttl="1h")
    (tmp_path / "client.pem").write_text(data["certificate"] + "\n" + data["private_key"])
    settings = ssl.create_default_context(cadata=vault.authorities())
    settings.load_cert_chain(tmp_path / "client.pem")

    def answer():
        try:
            with Client(port, settings, HOST) as client:
                return client.get("x", "/healthz").status
        except OSError:
            return None

    eventually("the node listener answers", lambda: answer() == 200)
    assert gateway.process.poll() is None


@pytest.mark.parametrize("source", ["file", "dev", "vault"])
def test_a_login_by_certificate_shows_another_identity(run, vault, own_vault, make_origin, tmp_path, source):
    """The login needs another identity of the same gateway: from files, made for development, or from another Vault."""
    tls = free_port()
    shows = Holder("vault", root, names=[HOST], purposes=[SERVER])
    shows.write(tmp_path / "vault.pem")
    own_vault.stop()
    own_vault = TLSVault(tmp_path / "tls-vault", tls, tmp_path / "vault.pem")
    try:
        folder = tmp_path / "gateway0"
        folder.mkdir()
        (folder / "root.pem").write_bytes(pem(root.certificate))
        upstream = make_upstream(make_origin, tmp_path, own_vault)
        login, sections = login_of(source, vault, folder)
        main = {
            "address": f"https://127.0.0.1:{tls}", "ca_file": "root.pem", "auth": {"method": "cert", "identity": "login"}}
        gateway = run(
            [host(upstream, tmp_path)], vaults={"main": main, **sections.pop("vaults", {})},
            identities={**issued(), "login": login}, **sections)
        own_vault.write("sys/auth/cert", type="cert")
        authority = {
            "file": lambda: pem(other.certificate).decode(), "vault": vault.authorities,
            "dev": lambda: eventually("the CA is made", (folder / "certs" / "ca-cert.pem").exists)
            and (folder / "certs" / "ca-cert.pem").read_text()}[source]()
        own_vault.write(
            "auth/cert/certs/gateway", certificate=authority, token_policies=["gateway"], allowed_dns_sans=["gateway.test"])
        serves(gateway, patience=60)
    finally:
        own_vault.stop()

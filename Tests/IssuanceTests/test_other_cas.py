"""Certificates from CAs other than Pebble."""

import socket
import subprocess

import pytest

from caddy import Caddy, program
from client import Client, tls_context
from gateway import PROGRAMS, Gateway
from hosts import nothing_is_left, rows
from test_dns import TOKEN, Webhook

# Caddy validates at fixed ports, so hosts have an address where nothing else listens.
ADDRESS = "127.0.0.77"


@pytest.fixture
def caddy(tmp_path):
    if program() is None:
        pytest.skip("there is no Caddy here")
    ca = Caddy(tmp_path / "caddy")
    yield ca
    ca.stop()


@pytest.fixture
def at_standard_ports(tmp_path):
    """A gateway at ports 80 and 443."""
    for port in (80, 443):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, port))
            except OSError as fault:
                pytest.skip(f"port {port} is taken: {fault}")
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "app"}}])
    gateway.config["gateway"].update(http=[f"{ADDRESS}:80"], https=[f"{ADDRESS}:443"])
    yield gateway
    gateway.stop()


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
@pytest.mark.parametrize("serving", [True, False])
def test_caddy_validates_an_address_at_the_gateway(at_standard_ports, caddy, challenge, serving):
    gateway = at_standard_ports
    gateway.apply()
    if serving:
        gateway.start()
    gateway.config["issuers"] = {"caddy": {**caddy.issuer, "challenge": challenge}}
    gateway.config["certificates"] = {"shared": {"issuer": "caddy", "domains": [ADDRESS]}}
    gateway.apply()
    subprocess.run([PROGRAMS / "aegis-apply", "certificates", "export", "shared", "--out", "shared.pem"],
                   cwd=gateway.folder, check=True, capture_output=True)
    subprocess.run(["openssl", "verify", "-verify_ip", ADDRESS, "-CAfile", caddy.root(), "-untrusted", "shared.pem",
                    "shared.pem"], cwd=gateway.folder, check=True, capture_output=True)
    assert nothing_is_left(gateway)
    assert "No changes" in gateway.apply()


def test_caddy_takes_txt_records(tmp_path, caddy):
    hook = Webhook()
    hook.names = caddy.names
    gateway = Gateway(tmp_path / "gateway", [
        {"domain": "app.test", "ssl_mode": "letsencrypt", "issuer": "caddy", "respond": {"body": "app"}}])
    (gateway.folder / "token").write_text(TOKEN)
    gateway.config["issuers"] = {"caddy": {**caddy.issuer, "challenge": "dns-01", "dns": {
        "provider": "webhook", "url": hook.url, "token": {"file": "token"},
        "resolvers": [f"127.0.0.1:{caddy.names.port}"]}}}
    try:
        gateway.apply()
        gateway.start()
        with Client(gateway.https, tls_context(caddy.root()), "app.test") as client:
            assert client.get("app.test").body == b"app"
        assert rows(gateway, "SELECT count(*) FROM certificates WHERE source = 'letsencrypt'") == [(1,)]
    finally:
        gateway.stop()
        hook.server.shutdown()

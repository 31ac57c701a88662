"""Fixtures of the issuance tests: gateways with CAs."""

import pytest

from cloudflare import ZONE, Cloudflare
from gateway import Gateway
from hosts import behind_cloudflare, host
from pebble import Pebble
from reporting import parts
from scripted_ca import ScriptedCA
from stand import Stand
from vault_ca import Vault


@pytest.fixture
def site(tmp_path):
    """Makes a gateway and a CA that validates at the gateway's ports; the gateway is neither applied nor started."""
    made = []

    def make(hosts, gateway=None, issuer=None, ca=None, name="gateway", **sections):
        instance = Gateway(tmp_path / name, hosts, gateway=gateway, **sections)
        pebble = Pebble(tmp_path / f"{name}-ca", instance.http, instance.https, **(ca or {}))
        instance.config.setdefault("issuers", {})["letsencrypt"] = {**pebble.issuer, **(issuer or {})}
        made.extend([instance, pebble])
        parts.extend([instance, pebble])
        return instance, pebble

    yield make
    for part in made:
        parts.remove(part)
        part.stop()


@pytest.fixture
def odd(tmp_path):
    """Makes a gateway and a CA whose answers the test changes; the gateway is neither applied nor started."""
    made = []

    def make(twist=None, issuer=None, **options):
        ca = ScriptedCA(tmp_path / "ca", twist, **options)
        gateway = Gateway(tmp_path / "gateway", [host("app.test")])
        gateway.config.setdefault("issuers", {})["letsencrypt"] = {**ca.issuer, **(issuer or {})}
        made.extend([gateway, ca])
        parts.append(gateway)
        return gateway, ca

    yield make
    for part in made:
        part.stop()
    for gateway in made[::2]:
        parts.remove(gateway)


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """A CA behind a proxy, for all tests of a module."""
    made = Stand(tmp_path_factory.mktemp("stand"))
    parts.append(made.ca)
    yield made
    parts.remove(made.ca)
    made.stop()


@pytest.fixture(scope="module")
def vault_server(tmp_path_factory):
    """A Vault for all tests of a module."""
    made = Vault(tmp_path_factory.mktemp("vault"))
    yield made
    made.stop()


@pytest.fixture
def vault(vault_server):
    """The module's Vault, reset before each test."""
    vault_server.reset()
    return vault_server


@pytest.fixture
def cloudflare(tmp_path):
    made = Cloudflare(tmp_path / "cloudflare")
    yield made
    made.stop()


@pytest.fixture
def behind(tmp_path, cloudflare):
    """Makes a gateway for a site behind Cloudflare, neither applied nor started."""
    made = []

    def make(name="gateway", hosts=None, **settings):
        instance = behind_cloudflare(tmp_path / name, cloudflare, hosts, **settings)
        made.append(instance)
        parts.append(instance)
        return instance

    yield make
    for part in made:
        parts.remove(part)
        part.stop()


@pytest.fixture
def edge_site(behind, cloudflare):
    """Makes a gateway with an edge certificate, `edge`, neither applied nor started."""
    def make(name="gateway", **settings):
        instance = behind(name, hosts=[{"domain": "app.example.test", "respond": {"body": "app"}}])
        del instance.config["issuers"], instance.config["certificates"]
        instance.config["edge_certificates"] = [{
            "name": "edge", "zone_id": ZONE, "api_token": {"file": "token"},
            "hosts": ["example.test", "*.example.test"], "wait": "20s", **cloudflare.place, **settings}]
        return instance

    return make

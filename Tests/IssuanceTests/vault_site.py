"""Gateways whose one certificate, `site`, is signed by the PKI engine of a Vault, and what their tests look at."""

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway import Gateway
from hosts import aegis_apply, rows
from reporting import parts

SIGN, REVOKE = "pki/sign/web", "pki/revoke"
PLAIN = {"domain": "plain.test", "respond": {"body": "plain"}}


def make_sites(tmp_path, vault):
    """Makes gateways, neither applied nor started, and stops them at the end of the test."""
    made = []

    def make(name="gateway", auth=None, hosts=(), **settings):
        gateway = Gateway(tmp_path / name, [
            {"domain": "app.test", "ssl_mode": "custom", "certificate": "site", "respond": {"body": "app"}}, *hosts])
        if auth is None:
            (gateway.folder / "token").write_text(vault.token(SIGN) + "\n")
        gateway.config["vaults"] = {
            "main": {"address": vault.address, "auth": auth or {"method": "token", "token": {"file": "token"}}}}
        gateway.config["issuers"] = {"internal": {"type": "vault_pki", "vault": "main", "role": "web", **settings}}
        gateway.config["certificates"] = {"site": {"issuer": "internal", "domains": ["app.test"]}}
        made.append(gateway)
        parts.append(gateway)
        return gateway

    yield make
    for gateway in made:
        parts.remove(gateway)
        gateway.stop()


def leaf(gateway):
    """The stored leaf certificate; None if there is none."""
    found = rows(gateway, "SELECT chain FROM certificates WHERE name = 'site'")
    return x509.load_pem_x509_certificate(found[0][0]) if found else None


def names(certificate):
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName)


def private_number(gateway):
    """The private value of the stored key, as bytes."""
    text = aegis_apply(gateway, "certificates", "export", "site", "--out", "-", "--with-key")
    key = load_pem_private_key(text[text.index("-----BEGIN PRIVATE KEY"):].encode(), None)
    return key.private_numbers().private_value.to_bytes(32, "big")

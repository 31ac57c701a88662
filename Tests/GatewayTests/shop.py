"""A gateway whose host shop.test shows an operator's certificate, and whose host app.test has an upstream."""

import hashlib
import ssl
import subprocess

from gateway import Gateway
from load import answer


def load_upstream(make_origin):
    """An origin that answers the requests of `load.Load`."""
    origin = make_origin()
    origin.answer = answer
    return origin


def shop_gateway(tmp_path, upstream):
    """A gateway that serves both hosts, and is stopped at the end of the test."""
    gateway = Gateway(
        tmp_path / "gateway",
        [
            {"domain": "app.test", "upstreams": [upstream.url]},
            {"domain": "shop.test", "ssl_mode": "custom", "certificate": "shop",
             "respond": {"status": 200, "body": "shop"}},
        ],
        certificates={"shop": {"source": "custom", "cert": {"file": "shop.pem"}, "key": {"file": "shop.key"}}})
    shop(gateway, 0)
    gateway.apply()
    gateway.start()
    yield gateway
    gateway.stop()


def make_certificate(folder, name, number):
    """Makes an operator's certificate with its key. Returns the paths of the key and of the certificate."""
    key, chain = folder / f"{name}-{number}.key", folder / f"{name}-{number}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
         "-subj", f"/CN={name} {number}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", chain],
        check=True, capture_output=True)
    return key, chain


def fingerprint(pem):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.read_text())).hexdigest()


def shop(gateway, number):
    """Writes an operator's certificate to the files that the configuration names. Returns its fingerprint."""
    key, chain = make_certificate(gateway.folder, "shop.test", number)
    (gateway.folder / "shop.key").write_bytes(key.read_bytes())
    (gateway.folder / "shop.pem").write_bytes(chain.read_bytes())
    return fingerprint(chain)

"""aegis-apply has certificates from a real CA: with a gateway that answers challenges, and without one."""

import subprocess

import pytest

from client import Client, tls_context


def host(domain, **settings):
    return {"domain": domain, "ssl_mode": "letsencrypt", "respond": {"body": domain}, **settings}


def shown(site, ca, name):
    """The body that a client gets that trusts the CA alone."""
    with Client(site.https, tls_context(ca.root()), name) as client:
        return client.get(name).body.decode()


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
@pytest.mark.parametrize("serving", [True, False])
def test_a_certificate_is_had(site, challenge, serving):
    gateway, ca = site([host("app.test", aliases=["www.app.test"])], issuer={"challenge": challenge})
    if serving:
        # The gateway serves an earlier state: the certificate is the apply's to have.
        gateway.config["hosts"][0]["ssl_mode"] = "none"
        gateway.apply()
        gateway.start()
        gateway.config["hosts"][0]["ssl_mode"] = "letsencrypt"
        gateway.reload()
    else:
        gateway.apply()
        gateway.start()
    assert shown(gateway, ca, "app.test") == "app.test"
    assert shown(gateway, ca, "www.app.test") == "app.test"
    assert "No changes" in gateway.apply()

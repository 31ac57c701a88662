"""A CA behind a proxy, from which one gateway after another gets certificates."""

from gateway import Gateway, free_port
from pebble import Pebble
from proxy import Proxy


class Stand:
    """The CA and its proxy; gateways use the ports at which the CA validates."""

    def __init__(self, folder, **ca):
        self._folder = folder
        self._http, self._https = free_port(), free_port()
        self._count = 0
        # Each issuance makes the same calls: Pebble refuses no nonce and reuses no authorization.
        self.ca = Pebble(folder / "ca", self._http, self._https, nonce_rejection=0, authorization_reuse=0, **ca)
        self.proxy = Proxy(self.ca)

    def gateway(self, hosts, issuer=None, **options):
        """Makes a further gateway, neither applied nor started."""
        self._count += 1
        made = Gateway(self._folder / f"gateway{self._count}", hosts, **options)
        made.http, made.https = self._http, self._https
        made.config["gateway"].update(http=[f"127.0.0.1:{self._http}"], https=[f"127.0.0.1:{self._https}"])
        made.config.setdefault("issuers", {})["letsencrypt"] = {**self.proxy.issuer, **(issuer or {})}
        return made

    def stop(self):
        self.proxy.stop()
        self.ca.stop()

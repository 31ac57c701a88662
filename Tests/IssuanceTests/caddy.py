"""Another widely used CA: Caddy's acme_server, with its own local authority."""

import json
import pathlib
import shutil
import ssl
import sys
import urllib.request

from gateway import eventually, free_port
from pebble import Names, Part


class Caddy(Part):
    """The CA. It validates at ports 80 and 443 only, and resolves addresses by the system; for TXT records it asks
    `names`."""

    def __init__(self, folder, **settings):
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "caddy.log")
        self.folder = folder
        self.names = Names(folder)
        self.port = free_port()
        config = {
            "admin": {"disabled": True, "config": {"persist": False}},
            "storage": {"module": "file_system", "root": str(folder / "storage")},
            "apps": {
                "pki": {"certificate_authorities": {"local": {"install_trust": False}}},
                "tls": {"automation": {"policies": [{"subjects": ["localhost"], "issuers": [{"module": "internal"}]}]}},
                "http": {"servers": {"acme": {
                    "listen": [f"127.0.0.1:{self.port}"],
                    "routes": [{"match": [{"host": ["localhost"]}], "handle": [
                        {"handler": "acme_server", "ca": "local", "resolvers": [f"udp/127.0.0.1:{self.names.port}"],
                         **settings}]}],
                    "tls_connection_policies": [{}],
                    "automatic_https": {"disable_redirects": True},
                }}},
            },
        }
        path = folder / "caddy.json"
        path.write_text(json.dumps(config))
        self.launch(program(), "run", "--config", str(path), HOME=str(folder))
        eventually("the CA", self._answers, patience=60)

    @property
    def certificate(self):
        return self.folder / "storage/pki/authorities/local/root.crt"

    def root(self):
        return self.certificate

    @property
    def issuer(self):
        """The issuer's configuration for aegis.yaml."""
        return {"type": "acme", "directory": f"https://localhost:{self.port}/acme/local/directory",
                "ca_file": str(self.certificate)}

    def _answers(self):
        assert self.process.poll() is None, self.log
        if not self.certificate.exists():
            return False
        trust = ssl.create_default_context(cafile=self.certificate)
        try:
            with urllib.request.urlopen(self.issuer["directory"], timeout=5, context=trust):
                return True
        except OSError:
            return False

    def stop(self):
        super().stop()
        self.names.stop()


def program():
    """The path of Caddy's program: beside the Python that runs the tests, or on PATH."""
    beside = pathlib.Path(sys.prefix) / "bin/caddy"
    return str(beside) if beside.exists() else shutil.which("caddy")

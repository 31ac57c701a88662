"""A CA for a test: Pebble, with pebble-challtestsrv as its DNS."""

import json
import os
import re
import shutil
import ssl
import subprocess
import urllib.request

from gateway import eventually, free_port


class Part:
    """A process that a test uses, with its log."""

    def __init__(self, log_path):
        self.log_path = log_path
        self.process = None

    def launch(self, *command, **environment):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **environment})

    @property
    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Names(Part):
    """The DNS server: every name has the address 127.0.0.1, and TXT records are those that were set."""

    def __init__(self, folder):
        super().__init__(folder / "names.log")
        self.port, self.management = free_port(), free_port()
        self.launch(
            "pebble-challtestsrv", "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", "",
            "-dns01", f"127.0.0.1:{self.port}", "-management", f"127.0.0.1:{self.management}")
        eventually("the names", lambda: self.tell("clear-txt", {"host": "nobody.test."}))

    def tell(self, what, message):
        request = urllib.request.Request(f"http://127.0.0.1:{self.management}/{what}", json.dumps(message).encode())
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except OSError:
            return False


class Pebble(Part):
    """The CA. `http` and `https`: the ports at which it validates names."""

    def __init__(self, folder, http, https, nonce_rejection=5, external_account=None, program="pebble", resolver=None,
                 authorization_reuse=50, **settings):
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / "pebble.log")
        self.folder = folder
        self.program = program
        self.nonce_rejection = nonce_rejection
        self.authorization_reuse = authorization_reuse
        self.names = Names(folder)
        self.resolver = resolver or self.names.port
        self.port, self.management = free_port(), free_port()
        self.certificate, self.key = folder / "pebble.pem", folder / "pebble.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
             "-subj", "/CN=pebble", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-keyout", self.key, "-out", self.certificate], check=True, capture_output=True)
        self.config = {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.certificate), "privateKey": str(self.key), "httpPort": http,
            "tlsPort": https, "ocspResponderURL": "", **settings,
        }
        if external_account:
            self.config["externalAccountBindingRequired"] = True
            self.config["externalAccountMACKeys"] = dict([external_account])
        self.start()

    @property
    def directory(self):
        return f"https://localhost:{self.port}/dir"

    @property
    def issuer(self):
        """The issuer's configuration for aegis.yaml."""
        return {"type": "acme", "directory": self.directory, "ca_file": str(self.certificate)}

    def start(self):
        path = self.folder / "pebble.json"
        path.write_text(json.dumps({"pebble": self.config}))
        self.launch(
            self.program, "-config", str(path), "-dnsserver", f"127.0.0.1:{self.resolver}",
            PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT=str(self.nonce_rejection),
            PEBBLE_AUTHZREUSE=str(self.authorization_reuse))
        eventually("the CA", self._answers)

    def _answers(self):
        assert self.process.poll() is None, self.log
        try:
            with urllib.request.urlopen(self.directory, timeout=5, context=self.trust):
                return True
        except OSError:
            return False

    @property
    def trust(self):
        return ssl.create_default_context(cafile=self.certificate)

    def restart_empty(self):
        """Restarts the CA, which forgets everything, since Pebble stores nothing."""
        super().stop()
        self.start()

    def root(self, number=0):
        """The file of the root certificate in which its chains end."""
        with urllib.request.urlopen(
                f"https://localhost:{self.management}/roots/{number}", timeout=5, context=self.trust) as answer:
            path = self.folder / f"root{number}.pem"
            path.write_bytes(answer.read())
            return path

    @property
    def issued(self):
        """The serial numbers of the certificates that the CA has issued, from its log."""
        return re.findall(r"Issued certificate serial (\S+)", self.log)

    def stop(self):
        super().stop()
        self.names.stop()


def is_installed():
    return shutil.which("pebble") is not None

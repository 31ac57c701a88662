"""A real Vault server (OpenBao in development mode), and a proxy before it whose behaviour tests change."""

import http.client
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

from gateway import eventually, free_port

BAO = os.environ.get("AEGIS_BAO") or str(pathlib.Path(sys.executable).parent / "bao")


class Vault:
    """A server with the PKI mount `pki`, whose role `node` signs any name, and the KV mount `secret`. Its root token is
    `root`."""

    def __init__(self, folder, *arguments):
        self.folder = folder
        folder.mkdir()
        self.port = free_port()
        self.log = folder / "log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [BAO, "server", "-dev", f"-dev-listen-address=127.0.0.1:{self.port}", "-dev-root-token-id=root",
                 "-dev-no-store-token", *arguments],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={"HOME": str(folder)})
        eventually("Vault serves", self._is_up)
        self.unseal_key = re.search(r"Unseal Key: (\S+)", self.log.read_text())[1]
        self.mount("pki")
        self.role("node")
        # The policy has no more than docs/mutual-tls.md names.
        self.write("sys/policies/acl/gateway", policy="\n".join(
            f'path "{path}" {{ capabilities = ["{right}"] }}' for path, right in [
                ("+/sign/*", "update"), ("+/issuers", "list"), ("secret/data/*", "read"), ("secret/metadata/*", "read")]))

    def _is_up(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return b"Unseal Key" in self.log.read_bytes() and self.call("GET", "sys/health")[0] == 200
        except OSError:
            return False

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.process.kill()
        self.process.wait()

    def call(self, method, path, body=None, token="root"):
        """Sends a request, and returns the status and the JSON of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(
                method, f"/v1/{path}", json.dumps(body) if body is not None else None, {"X-Vault-Token": token})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
        finally:
            connection.close()

    def write(self, path, **body):
        status, answer = self.call("POST", path, body)
        assert status in (200, 204), f"{path}: {status} {answer}"
        return answer.get("data") or answer

    def mount(self, name):
        self.write(f"sys/mounts/{name}", type="pki")
        self.write(f"sys/mounts/{name}/tune", max_lease_ttl="8760h")
        return self.write(f"{name}/root/generate/internal", common_name=f"CA of {name}", ttl="8000h", key_type="ec")

    def role(self, name, mount="pki", **settings):
        self.write(
            f"{mount}/roles/{name}",
            **{"allow_any_name": True, "enforce_hostnames": False, "allow_ip_sans": True, "allowed_uri_sans": "*",
               "key_type": "ec", "require_cn": False, "max_ttl": "4000h", **settings})

    def authorities(self, mount="pki"):
        """The CAs of a mount in PEM."""
        keys = self.call("GET", f"{mount}/issuers?list=true")[1]["data"]["keys"]
        return "\n".join(self.call("GET", f"{mount}/issuer/{key}/json")[1]["data"]["certificate"] for key in keys)

    def issued(self, mount="pki"):
        """The serial numbers of the certificates that the mount has issued, its own CA's among them."""
        return self.call("LIST", f"{mount}/certs")[1]["data"]["keys"]

    def put(self, path, certificate, key, ca):
        """Writes a new version of a secret; returns the version's number."""
        return self.write(f"secret/data/{path}", data={"cert": certificate, "key": key, "ca": ca})["version"]

    def token(self, **settings):
        """A token with the policy for gateways."""
        return self.call("POST", "auth/token/create", {"policies": ["gateway"], **settings})[1]["auth"]["client_token"]

    def seal(self):
        self.write("sys/seal")

    def unseal(self):
        self.write("sys/unseal", key=self.unseal_key)


class Front:
    """A proxy before Vault. `behave(method, path, forward)` returns status, body and optionally fields, or None for no
    answer at all; `forward()` calls Vault. With TLS settings `tls`, which tests may change, the proxy speaks TLS."""

    def __init__(self, vault, tls=None):
        front = self
        self.tls = tls
        self.vault = vault
        self.behave = lambda method, path, forward: forward()
        self.calls = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                front.calls.append((self.path, body))

                def forward():
                    connection = http.client.HTTPConnection("127.0.0.1", vault.port, timeout=60)
                    headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                    connection.request(self.command, self.path, body, headers)
                    answer = connection.getresponse()
                    return answer.status, answer.read()

                try:
                    result = front.behave(self.command, self.path, forward)
                    if result is None:
                        self.close_connection = True
                        return
                    status, content, *fields = result
                    self.send_response(status)
                    for name, value in dict(*fields).items():
                        self.send_header(name, value)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_LIST = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def finish_request(self, request, client_address):
                try:
                    if front.tls:
                        request = front.tls.wrap_socket(request, server_side=True)
                    super().finish_request(request, client_address)
                except OSError:
                    pass
                finally:
                    request.close()

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def address(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def count(self, part):
        """How many calls had this text in their path."""
        return sum(part in path for path, _ in self.calls)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

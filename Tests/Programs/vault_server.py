"""An OpenBao server in development mode: vault_server.py BAO CERTIFICATE KEY. It speaks TLS with these on a second port.

Prints both ports, the key that unseals it, and the port of a Kubernetes API that reviews tokens. Its root token is "root".
Ends when its standard input does.
"""
import http.server
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

# The signature of the tokens that this Kubernetes API accepts, of the service account "gateway" in the namespace "edge".
KNOWN_SIGNATURE = "known-to-kubernetes-"


class Kubernetes(http.server.BaseHTTPRequestHandler):
    """Answers TokenReview, as the Kubernetes API does."""

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = review["spec"]["token"].endswith(KNOWN_SIGNATURE)
        user = {"username": "system:serviceaccount:edge:gateway", "uid": "1-2-3"}
        status = {"authenticated": True, "user": user, "audiences": ["vault"]} if known else {"authenticated": False}
        body = json.dumps({"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": status}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def free_ports(count):
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


def is_up(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/sys/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def main(bao, certificate, key):
    kubernetes = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Kubernetes)
    threading.Thread(target=kubernetes.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        # Another process may take a free port before the server does.
        for _ in range(5):
            port, tls_port = free_ports(2)
            config = pathlib.Path(folder, "server.hcl")
            config.write_text(
                f'listener "tcp" {{\n  address = "127.0.0.1:{tls_port}"\n  tls_cert_file = "{certificate}"\n'
                f'  tls_key_file = "{key}"\n}}\n')
            log = pathlib.Path(folder, "log")
            with log.open("wb") as output:
                server = subprocess.Popen(
                    [bao, "server", "-dev", f"-dev-listen-address=127.0.0.1:{port}", "-dev-root-token-id=root",
                     "-dev-no-store-token", f"-config={config}"],
                    stdin=subprocess.DEVNULL, stdout=output, stderr=output, env={"HOME": folder})
            try:
                # The server prints its unseal key when it is ready.
                while server.poll() is None:
                    found = re.search(rb"Unseal Key: (\S+)", log.read_bytes())
                    if found and is_up(port):
                        print(port, tls_port, found[1].decode(), kubernetes.server_port, flush=True)
                        sys.stdin.read()
                        return
                    time.sleep(0.05)
                sys.stderr.write(log.read_text())
            finally:
                server.kill()
                server.wait()


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
main(*sys.argv[1:])

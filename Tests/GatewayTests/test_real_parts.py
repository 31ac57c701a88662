"""Widely used programs before and behind a gateway: nginx, curl, wrk, websocat."""

import hashlib
import pathlib
import re
import subprocess
import sys

import pytest

from client import Client
from gateway import PATIENCE, eventually, free_port

TOOLS = pathlib.Path(sys.executable).parent


@pytest.fixture(scope="module")
def nginx(tmp_path_factory):
    """nginx that serves files and accepts uploads."""
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    (folder / "large").write_bytes(bytes(range(256)) * 40_000)
    (folder / "small").write_bytes(b"x" * 1024)
    (folder / "nginx.conf").write_text(f"""
        daemon off; user root; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            gzip on; gzip_proxied any; gzip_min_length 1; gzip_types *;
            server {{ listen 127.0.0.1:{port}; root {folder}; location = /none {{ return 204; }} }}
        }}""")
    # nginx as root may read the files that the tests have made.
    process = subprocess.Popen(["/usr/sbin/nginx", "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    eventually("nginx", lambda: connects(port))
    yield f"http://127.0.0.1:{port}", folder
    process.terminate()
    process.wait(PATIENCE)


def connects(port):
    try:
        Client(port).close()
        return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def gateway(run_once, nginx):
    return run_once(
        [{"domain": "app.test", "ssl_mode": "custom", "certificate": "app", "upstreams": [nginx[0]]}],
        issuers={"lan": {"type": "local_ca"}},
        certificates={"app": {"issuer": "lan", "domains": ["app.test"]}})


def curl(gateway, path, *arguments):
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", "--cacert", gateway.root, "--max-time", str(PATIENCE),
         "--resolve", f"app.test:{gateway.https}:127.0.0.1", "--resolve", f"app.test:{gateway.http}:127.0.0.1",
         *arguments, path], capture_output=True, check=True).stdout


@pytest.mark.parametrize("arguments", [
    ["--http1.1", "--tlsv1.2", "--tls-max", "1.2"], ["--http1.1", "--tlsv1.3"], ["--http2"], ["--http1.0"],
    ["--compressed"],
], ids=" ".join)
def test_curl_gets_files_of_nginx(gateway, nginx, arguments):
    body = curl(gateway, f"https://app.test:{gateway.https}/large", *arguments)
    assert hashlib.sha256(body).digest() == hashlib.sha256((nginx[1] / "large").read_bytes()).digest()


def test_curl_gets_ranges_and_304(gateway):
    url = f"http://app.test:{gateway.http}/large"
    assert curl(gateway, url, "--range", "1000-1009") == bytes(range(256))[1000 % 256:1000 % 256 + 10]
    head = curl(gateway, url, "--head").decode()
    etag = re.search(r"(?i)etag: (.*)\r", head)[1]
    assert b"304" in curl(gateway, url, "--header", f"If-None-Match: {etag}", "--include").split(b"\r\n")[0]
    assert b" 204 " in curl(gateway, f"http://app.test:{gateway.http}/none", "--include").split(b"\r\n")[0] + b" "


def test_wrk_finds_no_error(gateway, figures):
    done = subprocess.run(
        ["wrk", "--threads", "1", "--connections", "32", "--duration", "3s", "--header", "Host: app.test",
         f"http://127.0.0.1:{gateway.http}/small"], capture_output=True, text=True, check=True)
    assert "Socket errors" not in done.stdout and "Non-2xx" not in done.stdout, done.stdout
    figures.append("wrk through to nginx, debug build: " + re.search(r"Requests/sec:\s+\S+", done.stdout)[0])


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_websocat_sends_and_receives(run, scheme):
    """websocat as both client and server."""
    port = free_port()
    server = subprocess.Popen([TOOLS / "websocat", "--text", f"ws-l:127.0.0.1:{port}", "mirror:"])
    try:
        eventually("websocat", lambda: connects(port))
        gateway = run([{"domain": "localhost", "upstreams": [f"http://127.0.0.1:{port}"]}])
        target = f"{scheme}://localhost:{gateway.https if scheme == 'wss' else gateway.http}/"
        done = subprocess.run(
            [TOOLS / "websocat", "--text", "--insecure", "--one-message", "--no-close", target],
            input="hello through the gateway\n", capture_output=True, text=True, timeout=PATIENCE)
        assert done.stdout == "hello through the gateway\n", done.stderr
    finally:
        server.terminate()
        server.wait(PATIENCE)

"""Widely used servers between the gateway and an origin: nginx, HAProxy and Caddy (Go's net/http). Each listens on four
ports: with or without TLS, and keeping connections open or closing them."""

import pathlib
import shutil
import subprocess
import sys

from gateway import PATIENCE, eventually, free_port
from client import Client

# Whether a listener uses TLS, and whether it keeps connections open.
LISTENERS = {"kept": (False, True), "closed": (False, False), "tls, kept": (True, True), "tls, closed": (True, False)}


class RealServer:
    """A server program with its own folder and log. `origin`: the origin's port; `files`: the server's certificate and
    key."""

    def __init__(self, folder, origin, files):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.origin, self.files = folder, origin, files
        self.log_path = folder / "log"
        self.ports = {listener: free_port() for listener in LISTENERS}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                env={"HOME": str(folder), "PATH": "/usr/sbin:/usr/bin:/bin"})
        for port in self.ports.values():
            eventually(f"{type(self).__name__} at {port}", lambda: self.connects(port))

    def url(self, listener):
        return f"http{'s' if LISTENERS[listener][0] else ''}://127.0.0.1:{self.ports[listener]}"

    def connects(self, port):
        assert self.process.poll() is None, self.log
        try:
            Client(port).close()
            return True
        except OSError:
            return False

    @property
    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name


class Nginx(RealServer):
    """nginx. Where it closes connections it sends no chunks: the end of the connection ends a body of unknown length."""

    def command(self):
        servers = "".join(f"""
            server {{
                listen 127.0.0.1:{self.ports[listener]} {"ssl" if tls else ""};
                {"" if keeps else "keepalive_timeout 0; chunked_transfer_encoding off;"}
                location / {{ proxy_pass http://origin; }}
            }}""" for listener, (tls, keeps) in LISTENERS.items())
        folder = self.folder
        configuration = self.write("nginx.conf", f"""
            daemon off; user root; worker_processes 1; pid {folder}/pid;
            events {{ worker_connections 1024; }}
            http {{
                access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
                ssl_certificate {self.files[0]}; ssl_certificate_key {self.files[1]};
                client_max_body_size 0; proxy_buffering off; proxy_request_buffering off;
                proxy_http_version 1.1; proxy_set_header Connection ""; proxy_next_upstream off;
                upstream origin {{ server 127.0.0.1:{self.origin} max_fails=0; keepalive 8; }}
                {servers}
            }}""")
        return ["/usr/sbin/nginx", "-c", configuration, "-e", "stderr"]


class HAProxy(RealServer):
    def command(self):
        pem = self.write("both.pem", "".join(pathlib.Path(file).read_text() for file in self.files))
        frontends = "".join(f"""
frontend f{self.ports[listener]}
    bind 127.0.0.1:{self.ports[listener]} {f"ssl crt {pem} alpn http/1.1" if tls else ""}
    {"" if keeps else "option httpclose"}
    default_backend origin
""" for listener, (tls, keeps) in LISTENERS.items())
        configuration = self.write("haproxy.cfg", f"""
global
    log stderr format raw local0 notice
defaults
    mode http
    log global
    retries 0
    timeout connect {PATIENCE}s
    timeout client {PATIENCE}s
    timeout server {PATIENCE}s
backend origin
    server origin 127.0.0.1:{self.origin}
{frontends}""")
        return ["/usr/sbin/haproxy", "-db", "-f", configuration]


class Caddy(RealServer):
    """Caddy, whose servers and clients are Go's net/http."""

    def command(self):
        sites = "".join(f"""
http{"s" if tls else ""}://:{self.ports[listener]} {{
    bind 127.0.0.1
    {f"tls {self.files[0]} {self.files[1]}" if tls else ""}
    {"" if keeps else "header Connection close"}
    reverse_proxy 127.0.0.1:{self.origin} {{
        flush_interval -1
    }}
}}
""" for listener, (tls, keeps) in LISTENERS.items())
        configuration = self.write("Caddyfile", f"""
{{
    admin off
    auto_https off
    persist_config off
    default_sni 127.0.0.1
    servers {{
        protocols h1
    }}
}}
{sites}""")
        beside = pathlib.Path(sys.prefix) / "bin/caddy"
        program = str(beside) if beside.exists() else shutil.which("caddy")
        return [program, "run", "--adapter", "caddyfile", "--config", configuration]


SERVERS = {"nginx": Nginx, "HAProxy": HAProxy, "Caddy": Caddy}

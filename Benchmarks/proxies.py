"""The proxies that are compared, each as the same TLS reverse proxy: its configuration, start and measurements.

All have two workers, don't verify the upstream, keep connections to it, send X-Forwarded-*, and accept TLS 1.2 and 1.3
with the same certificate. Settings that are known to make a proxy faster are used.
"""

import dataclasses
import json
import os
import pathlib
import re
import resource
import signal
import socket
import ssl
import subprocess
import time

HOST = "bench.example.com"
# The ciphers of TLS 1.3 that each proxy with such a setting offers, in order of preference.
CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
WORKERS = 2
# How long a proxy may take to start, in seconds.
PATIENCE = 600

# Proxies and this process hold thousands of connections open.
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))

_given = set()


def free_port():
    """A port where nothing listens, below the ports for outgoing connections. No port is returned twice."""
    for port in range(21000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
    raise OSError("no free port")


def client_context(pair=None):
    """The TLS settings of clients: TLS 1.3, and no verification of the certificate, which the bench has made. `pair`
    has the files of the client's certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if pair:
        context.load_cert_chain(*pair)
    return context


def self_signed(folder, file="bench", name=HOST, *options):
    """Makes a certificate and its key. Returns their paths."""
    pair = folder / f"{file}.pem", folder / f"{file}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", pair[1], "-out", pair[0], *options],
        check=True, capture_output=True)
    return pair


def client_certificate(folder):
    """Makes a CA of clients, and a client's certificate with its key. Returns their paths."""
    authority, key = self_signed(folder, "clients-ca", "clients-ca.example.com")
    leaf = "-CA", authority, "-CAkey", key, "-addext", "basicConstraints=CA:FALSE", "-addext", "extendedKeyUsage=clientAuth"
    return authority, self_signed(folder, "client", "client.example.com", *leaf)


def served_certificate(port, name, context=None):
    """The certificate that a proxy serves for a name, as DER."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with (context or client_context()).wrap_socket(plain, server_hostname=name) as tls:
            return tls.getpeercert(binary_form=True)


class Process:
    """A server with its folder, its log and all processes that it has started."""

    # The servers that have been started and not stopped.
    running = []

    def __init__(self, folder, command, environment=None):
        self.log = folder / "log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ) | (environment or {}))
        self.running.append(self)

    @classmethod
    def stop_all(cls):
        """Stops all servers, at the bench's end or failure."""
        for process in list(cls.running):
            process.stop()

    def stop(self):
        if self in self.running:
            self.running.remove(self)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def pids(self):
        found, left = [], [self.process.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                left += [int(child) for child in children.read_text().split()]
        return found

    def cpu(self):
        """The CPU time that the server's processes have used so far, in seconds: user and system."""
        total = 0
        for pid in self.pids():
            for times in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int(times.read_text().split()[0])
        return total / 1e9

    def cpu_with_ended(self):
        """The CPU time as in `cpu`, including processes that have ended meanwhile, to a hundredth of a second."""
        ticks = 0
        for number, pid in enumerate(self.pids()):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:(15 if number == 0 else 13)])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """The memory of the server's processes in bytes. A page shared by several processes counts in part for each
        (PSS)."""
        text = "".join(pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids())
        return sum(int(kib) for kib in re.findall(r"^Pss: +(\d+) kB", text, re.MULTILINE)) * 1024

    def await_port(self, port):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                self.must_live(end)
                time.sleep(0.002)

    def await_handshake(self, port, name):
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return served_certificate(port, name)
            except OSError:
                self.must_live(end)
                time.sleep(0.002)

    def must_live(self, end):
        if self.process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{' '.join(map(str, self.process.args))} does not serve:\n{self.log.read_text()[-2000:]}")


class Origin(Process):
    """The upstream of all proxies: nginx with files to fetch, and a location that reads uploads."""

    SIZES = {"1k": 1 << 10, "1m": 1 << 20, "100m": 100 << 20}

    def __init__(self, folder):
        folder.mkdir()
        for name, size in self.SIZES.items():
            (folder / name).write_bytes(b"x" * size)
        self.port, sink = free_port(), free_port()
        (folder / "nginx.conf").write_text(f"""
            {nginx_user()} daemon off; worker_processes {WORKERS}; pid {folder}/pid; error_log stderr warn;
            events {{ worker_connections 8192; }}
            http {{
                access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; keepalive_timeout 600s;
                client_body_buffer_size 2m; client_max_body_size 0; {paths(folder)}
                server {{
                    listen 127.0.0.1:{self.port} backlog=8192; root {folder};
                    # It answers when it has read all.
                    location /upload {{
                        proxy_pass http://127.0.0.1:{sink}; proxy_pass_request_body off; proxy_set_header Content-Length "";
                    }}
                }}
                server {{ listen 127.0.0.1:{sink}; return 204; }}
            }}""")
        super().__init__(folder, ["nginx", "-p", folder, "-c", folder / "nginx.conf"])
        self.await_port(self.port)


def nginx_user():
    """The user directive for nginx: workers run as this process's user, which alone may read the bench's folder."""
    return "user root;" if os.geteuid() == 0 else ""


def paths(folder):
    """The directives that say where nginx keeps its temporary files."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)


@dataclasses.dataclass
class Wishes:
    """Settings in which the scenarios differ."""

    # Whether the proxy writes an access log.
    logging: bool = False
    # Whether bodies are large, and so are the proxy's buffers; large buffers would cost something with small bodies.
    large: bool = False
    # The file of the CA whose certificates clients must show; None if clients are asked for none.
    clients_ca: pathlib.Path | None = None
    # Whether clients may choose HTTP/2.
    http2: bool = False


class Proxy(Process):
    """One of the compared proxies. `sites`: the names that it serves, with the paths of their certificate and key."""

    name: str

    def __init__(self, folder, origin, sites, wishes=Wishes()):
        folder.mkdir()
        self.folder, self.port = folder, free_port()
        self.command, self.environment = self.configure(folder, origin, sites, wishes)
        names = list(sites)
        self.asked = names[len(names) // 2]

    def configure(self, folder, origin, sites, wishes):
        """Writes the proxy's configuration. Returns the command that starts it, and further environment variables."""
        raise NotImplementedError

    def start(self):
        """Starts the proxy. Returns the seconds until it has served a client that asks for one of its names."""
        started = time.monotonic()
        super().__init__(self.folder, self.command, self.environment)
        self.await_handshake(self.port, self.asked)
        return time.monotonic() - started


class Aegis(Proxy):
    name = "Aegis"
    programs: pathlib.Path
    secrets = {"AEGIS_SSL_KEY": "6b" * 32}

    @classmethod
    def version(cls):
        command = [cls.programs / "aegis-gateway", "--version"]
        return subprocess.run(command, capture_output=True, text=True).stdout.split()[-1]

    @classmethod
    def apply(cls, folder, *arguments):
        """Runs aegis-apply. Returns its elapsed seconds and CPU seconds."""
        started = time.monotonic()
        with open(folder / "apply.log", "wb") as log:
            process = subprocess.Popen(
                [cls.programs / "aegis-apply", *arguments], cwd=folder, stdout=log, stderr=log,
                env=dict(os.environ) | cls.secrets)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"aegis-apply failed:\n{(folder / 'apply.log').read_text()[-2000:]}")
        return time.monotonic() - started, usage.ru_utime + usage.ru_stime

    def configure(self, folder, origin, sites, wishes):
        certificates = "".join(
            f"  c{number}: {{ source: custom, cert: {{ file: {certificate} }}, key: {{ file: {key} }} }}\n"
            for number, (certificate, key) in enumerate(sites.values()))
        hosts = "".join(
            self.host(name, f"c{number}", origin.port, wishes.clients_ca) for number, name in enumerate(sites))
        return self.declare(folder, f"certificates:\n{certificates}hosts:\n{hosts}", wishes.logging)

    def declare(self, folder, text, logging=False):
        """Applies a file with these certificates and hosts. Returns the gateway's command and environment variables."""
        log = "access_log: { to: access.log, format: combined }" if logging else "access_log: { to: none }"
        (folder / "aegis.yaml").write_text(
            f"version: 1\nstate: {{ path: state.db }}\ngateway:\n  http: []\n"
            f'  https: ["127.0.0.1:{self.port}"]\n  admin: "127.0.0.1:{free_port()}"\n  cache_dir: ca\n'
            f"  workers: {WORKERS}\n  limits: {{ body_bytes: 200MiB, connections: 8000, connections_per_client: 0 }}\n  {log}\n{text}")
        self.apply(folder)
        return [self.programs / "aegis-gateway", "--state", folder / "state.db"], self.secrets

    @staticmethod
    def host(name, certificate, port, clients_ca=None):
        clients = f" client_auth: {{ ca_file: {clients_ca} }}," if clients_ca else ""
        return (f"  - {{ domain: {name}, ssl_mode: custom, certificate: {certificate},{clients}"
                f' upstreams: ["http://127.0.0.1:{port}"] }}\n')


class Nginx(Proxy):
    name = "nginx"

    @staticmethod
    def version():
        return subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.split("/")[-1].strip()

    def configure(self, folder, origin, sites, wishes):
        log = f"access_log {folder}/access.log combined buffer=64k flush=1s" if wishes.logging else "access_log off"
        clients = f"ssl_client_certificate {wishes.clients_ca}; ssl_verify_client on;" if wishes.clients_ca else ""
        http2 = " http2" if wishes.http2 else ""
        servers = "\n".join(
            f"server {{ listen 127.0.0.1:{self.port} ssl{http2}{'' if number else ' reuseport backlog=8192'}; server_name {name};"
            f" ssl_certificate {certificate}; ssl_certificate_key {key}; {clients} location / {{ proxy_pass http://origin; }} }}"
            for number, (name, (certificate, key)) in enumerate(sites.items()))
        (folder / "nginx.conf").write_text(f"""
            {nginx_user()} daemon off; worker_processes {WORKERS}; pid {folder}/pid; error_log stderr warn;
            events {{ worker_connections 9000; }}
            http {{
                {log}; {paths(folder)}
                ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache none; ssl_session_tickets on;
                ssl_conf_command NumTickets 1;
                ssl_conf_command Ciphersuites {CIPHERS}; ssl_prefer_server_ciphers on;
                keepalive_requests 1000000000; keepalive_timeout 600s; client_max_body_size 200m;
                server_names_hash_max_size 200000; server_names_hash_bucket_size 128; reset_timedout_connection on;
                upstream origin {{ server 127.0.0.1:{origin.port}; keepalive 128; keepalive_requests 1000000000; }}
                proxy_http_version 1.1; proxy_max_temp_file_size 0; proxy_request_buffering off;
                proxy_buffers 8 64k; client_body_buffer_size 64k;
                proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;
                proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
                proxy_set_header X-Forwarded-Host $host;
                {servers}
            }}""")
        return ["nginx", "-p", folder, "-c", folder / "nginx.conf"], {}

    def renew(self, number, certificate, key):
        """Makes the proxy load the files of a certificate and its key again after they were overwritten."""
        self.process.send_signal(signal.SIGHUP)


class HAProxy(Proxy):
    name = "HAProxy"

    @staticmethod
    def version():
        return subprocess.run(["haproxy", "-v"], capture_output=True, text=True).stdout.split()[2]

    def configure(self, folder, origin, sites, wishes):
        (folder / "certificates").mkdir()
        for number, (certificate, key) in enumerate(sites.values()):
            self.pair(number, certificate, key)
        log = "log global\n    option httplog" if wishes.logging else "no log"
        buffers = "tune.bufsize 65536" if wishes.large else ""
        clients = f"verify required ca-file {wishes.clients_ca}" if wishes.clients_ca else ""
        (folder / "haproxy.cfg").write_text(f"""
global
    nbthread {WORKERS}
    maxconn 8000
    log stdout format raw local0
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-ciphersuites {CIPHERS}
    tune.ssl.cachesize 0
    {buffers}
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
    option http-keep-alive
    http-reuse always
    {log}
frontend tls
    bind 127.0.0.1:{self.port} ssl crt {folder}/certificates/ {clients} alpn {"h2,http/1.1" if wishes.http2 else "http/1.1"} backlog 8192
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Real-IP %[src]
    default_backend origin
backend origin
    server origin 127.0.0.1:{origin.port} pool-max-conn 128
""")
        # HAProxy has no setting for how many tickets a connection gets; OpenSSL has.
        (folder / "openssl.cnf").write_text(
            "openssl_conf = main\n[main]\nssl_conf = tls\n[tls]\nsystem_default = all\n[all]\nNumTickets = 1\n")
        return ["haproxy", "-W", "-f", folder / "haproxy.cfg"], {"OPENSSL_CONF": str(folder / "openssl.cnf")}

    def pair(self, number, certificate, key):
        text = pathlib.Path(certificate).read_text() + pathlib.Path(key).read_text()
        (self.folder / "certificates" / f"{number}.pem").write_text(text)

    def renew(self, number, certificate, key):
        """Makes the proxy load the files of a certificate and its key again after they were overwritten."""
        self.pair(number, certificate, key)
        self.process.send_signal(signal.SIGUSR2)


class Caddy(Proxy):
    name = "Caddy"
    program: str

    @classmethod
    def version(cls):
        return subprocess.run([cls.program, "version"], capture_output=True, text=True).stdout.split()[0].lstrip("v")

    def configure(self, folder, origin, sites, wishes):
        policy = {} if wishes.clients_ca is None else {"client_authentication": {
            "trusted_ca_certs_pem_files": [str(wishes.clients_ca)], "mode": "require_and_verify"}}
        server = {
            "listen": [f"127.0.0.1:{self.port}"],
            "automatic_https": {"disable": True},
            "protocols": ["h1", "h2"] if wishes.http2 else ["h1"],
            "routes": [{"handle": [{
                "handler": "reverse_proxy",
                "transport": {"protocol": "http", "keep_alive": {"max_idle_conns_per_host": 128}},
                "upstreams": [{"dial": f"127.0.0.1:{origin.port}"}],
            }]}],
            "tls_connection_policies": [policy],
        }
        if wishes.logging:
            server["logs"] = {"default_logger_name": "access"}
        configuration = {
            "admin": {"disabled": True},
            "logging": {"logs": {
                "default": {"level": "ERROR"},
                "access": {"writer": {"output": "file", "filename": f"{folder}/access.log", "roll": False},
                           "include": ["http.log.access.access"]},
            }},
            "apps": {
                "http": {"servers": {"tls": server}},
                "tls": {"certificates": {"load_files": [
                    {"certificate": str(certificate), "key": str(key)} for certificate, key in sites.values()]}},
            },
        }
        (folder / "caddy.json").write_text(json.dumps(configuration))
        environment = {"GOMAXPROCS": str(WORKERS), "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        return [self.program, "run", "--config", folder / "caddy.json"], environment


PEERS = (Nginx, HAProxy)
EVERYONE = (Aegis, Nginx, HAProxy, Caddy)

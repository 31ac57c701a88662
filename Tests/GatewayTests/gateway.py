"""A gateway for a test, with its own folder, ports, state, process and log."""

import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import pathlib
import random
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import time

PROGRAMS = pathlib.Path(os.environ.get("AEGIS_PROGRAMS", ".build/debug")).resolve()

# The longest that a test waits for anything, in seconds.
PATIENCE = 20

_random = random.Random()


# The ports already given out, whether anything listens there now or not. Each test process locks the byte at each of
# its ports' numbers in a shared file; the system unlocks them when the process ends.
_given = set()
_ports = open(pathlib.Path(tempfile.gettempdir()) / "aegis-test-ports", "ab")


def stop_listening(listener):
    """Closes a listening socket, and ends an `accept` that waits in another thread."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def free_port():
    """A port where nothing listens, below those that the system uses for outgoing connections. None is returned twice, or
    to two test processes at once."""
    while True:
        port = _random.randrange(20000, 32000)
        if port in _given:
            continue
        try:
            fcntl.lockf(_ports, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                _given.add(port)
                return port
            except OSError:
                continue


def eventually(what, condition, patience=PATIENCE, pause=0.01):
    """Waits until a condition is true, and returns its value. `pause`: the seconds between two checks."""
    end = time.monotonic() + patience
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(pause)


def settled(what, value, looks=20):
    """Waits until a value has been the same in `looks` checks in a row, and returns it."""
    seen = []

    def same():
        seen.append(value())
        return len(set(seen[-looks:])) == 1 and len(seen) >= looks

    eventually(what, same, pause=0.02)
    return seen[-1]


class Successor:
    """The process of a gateway that another gateway has started, with the methods of Popen that tests need."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = None

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def poll(self):
        if self.returncode is None:
            try:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None  # its parent still runs
            if ended:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, patience=PATIENCE):
        eventually(f"the end of process {self.pid}", lambda: self.poll() is not None, patience)
        return self.returncode


# PR_SET_CHILD_SUBREAPER: a process whose parent has ended becomes this process's child, so that it can be waited for.
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)


class Gateway:
    """An aegis-gateway with its configuration. `config` is the content of aegis.yaml as Python values."""

    def __init__(self, folder, hosts, gateway=None, **sections):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.http, self.https, self.admin = free_port(), free_port(), free_port()
        self.config = {
            "version": 1,
            "state": {"path": "state.db"},
            "encryption": {"key": {"file": "key"}},
            "gateway": {
                "http": [f"127.0.0.1:{self.http}"],
                "https": [f"127.0.0.1:{self.https}"],
                "admin": f"127.0.0.1:{self.admin}",
                "cache_dir": "ca",
                "workers": 2,
                **(gateway or {}),
            },
            **sections,
            "hosts": hosts,
        }
        (self.folder / "key").write_text("5a" * 32 + "\n")
        self.log_path = self.folder / "gateway.log"
        self.process = None

    def host(self, domain):
        """The configuration of a host."""
        return next(host for host in self.config["hosts"] if host["domain"] == domain)

    # The program.

    def launch_apply(self, *wrapper, options=(), **streams):
        """Writes aegis.yaml as JSON, which is YAML too, and starts aegis-apply. `wrapper`: the command that runs it."""
        (self.folder / "aegis.yaml").write_text(json.dumps(self.config, indent=1))
        return subprocess.Popen([*wrapper, PROGRAMS / "aegis-apply", *options], cwd=self.folder, text=True, **streams)

    def run_apply(self, *wrapper):
        """Applies the configuration, and returns the exit code and the output, whatever they are."""
        with self.launch_apply(*wrapper, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                stdout, stderr = process.communicate(timeout=PATIENCE * 6)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def apply(self, expect=0, everything=False):
        """Applies the configuration. Returns the output, and with `everything` the error output too."""
        done = self.run_apply()
        assert done.returncode == expect, done.stdout + done.stderr
        return done.stdout + done.stderr if everything else done.stdout

    def start(self, *wrapper):
        """Starts the gateway, and waits until it is ready. `wrapper`: the command that runs it."""
        self.launch(wrapper=wrapper)
        self.await_ready()
        return self

    def launch(self, *arguments, wrapper=(), stderr=None):
        """Starts the gateway without waiting. `stderr`: where its log goes instead of `log_path`."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("AEGIS_")}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, PROGRAMS / "aegis-gateway", "--state", "state.db", "--key-file", "key", *arguments],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=stderr or log, env=environment)

    def await_ready(self):
        def ready():
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log}"
            try:
                return self.ask("/readyz")[0] == 200
            except OSError:
                return False

        eventually("the gateway is ready", ready)

    def reload(self, expect=0):
        """Applies the current configuration, and waits until the gateway has put it in force."""
        self.apply(expect)
        # An apply commits several times: the last revision counts.
        with contextlib.closing(sqlite3.connect(self.folder / "state.db")) as state:
            revision, = state.execute("SELECT revision FROM position").fetchone()
        eventually("the change is in force", lambda: self.metric("aegis_state_revision") >= revision)

    def read_all(self):
        """Makes the gateway read the whole state again by SIGHUP, and waits until that is in force."""
        done = self.log.count("is being put in force")
        self.process.send_signal(signal.SIGHUP)
        eventually("the state read anew", lambda: self.log.count("is being put in force") > done)

    def stop(self):
        """Stops the gateway by SIGTERM, and checks its exit code."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("the gateway does not end")
        finally:
            process, self.process = self.process, None
        assert code == 0, f"the gateway has ended with {process.returncode}:\n{self.log}"

    def upgrade(self):
        """Makes the gateway start a successor, waits until the successor serves, and stores it as `process`. Returns
        the former process."""
        handovers = self.log.count("the successor serves")
        self.process.send_signal(signal.SIGUSR2)
        eventually("the successor serves", lambda: self.log.count("the successor serves") > handovers)
        former = self.process
        self.process = Successor(int(re.findall(r"started a successor process=(\d+)", self.log)[-1]))
        return former

    # Log, requests to the admin listener, metrics.

    @property
    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def await_log(self, *texts):
        """Waits for a line of the log that contains all the texts."""
        return eventually(
            f"a log line with {texts}",
            lambda: next((line for line in self.log.splitlines() if all(text in line for text in texts)), None))

    def ask(self, path):
        """Sends a request to the admin listener, and returns the status and the body."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.admin, timeout=PATIENCE, context=context)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def is_alive(self):
        """Whether the gateway still answers. A process that was just killed may still exist, but does not answer."""
        try:
            return self.ask("/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def metric(self, name):
        """The value of a metric; `name` includes its labels."""
        for line in self.ask("/metrics")[1].splitlines():
            if line.startswith(name + " "):
                return float(line.split(" ")[-1])
        raise AssertionError(f"there is no metric {name}")

    @property
    def root(self):
        """The file of the local CA's certificate."""
        return self.folder / "ca" / "aegis-local-ca.crt"

"""The gateway under systemd: it uses the sockets it is given, and reports its status (sd_listen_fds(3), sd_notify(3))."""

import os
import signal
import socket

import pytest

from client import Client, tls_context
from gateway import PATIENCE, PROGRAMS, Gateway, eventually


@pytest.fixture
def prepared(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "hello"}}])
    gateway.apply()
    yield gateway
    gateway.stop()


def test_sockets_of_systemd_are_used_and_readiness_is_reported(prepared):
    gateway = prepared
    with socket.socket() as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", gateway.https))
        listener.listen(64)
        notices.bind(str(gateway.folder / "notify"))
        notices.settimeout(PATIENCE)
        # Connections that came before the gateway wait in the socket's queue.
        early = [socket.create_connection(("127.0.0.1", gateway.https), timeout=PATIENCE) for _ in range(8)]
        process = os.fork()
        if process == 0:
            os.chdir(gateway.folder)
            log = os.open("gateway.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 2)
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)
            environment = dict(os.environ, LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), NOTIFY_SOCKET="notify")
            program = str(PROGRAMS / "aegis-gateway")
            os.execve(program, [program, "--state", "state.db", "--key-file", "key"], environment)
        try:
            assert notices.recv(200).decode().splitlines() == ["READY=1", f"MAINPID={process}"]
            context = tls_context(gateway.root)
            for connection in early:
                with context.wrap_socket(connection, server_hostname="app.test") as tls:
                    tls.sendall(b"GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n")
                    answer = b"".join(iter(lambda: tls.recv(4096), b""))
                    assert answer.endswith(b"\r\n\r\nhello")
            with Client(gateway.https, context, "app.test") as client:
                client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n")
                assert client.response().body == b"hello"
        finally:
            os.kill(process, signal.SIGTERM)
            assert notices.recv(200) == b"STOPPING=1"
            assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def test_a_start_without_a_state_is_ready_to_wait_and_says_so(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "hello"}}])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(gateway.folder / "notify"))
        notices.settimeout(PATIENCE)
        try:
            gateway.launch(wrapper=["env", f"NOTIFY_SOCKET={gateway.folder / 'notify'}"])
            told = notices.recv(400).decode().splitlines()
            assert told == ["READY=1", f"MAINPID={gateway.process.pid}", "STATUS=waiting for the state 'state.db'"]
            gateway.apply()
            told = notices.recv(400).decode().splitlines()
            assert told == ["READY=1", f"MAINPID={gateway.process.pid}", "STATUS=serving"]

            def body():
                with Client(gateway.http) as client:
                    return client.get("app.test").body

            # The first commit of an apply has no hosts yet.
            eventually("the host", lambda: body() == b"hello")
        finally:
            gateway.stop()


def test_a_start_with_a_state_that_can_not_be_read_says_why_at_once(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "hello"}}])
    gateway.apply()
    path = gateway.folder / "state.db"
    good = path.read_bytes()
    path.write_bytes(b"no state at all\n" * 512)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(gateway.folder / "notify"))
        notices.settimeout(PATIENCE)
        try:
            gateway.launch(wrapper=["env", f"NOTIFY_SOCKET={gateway.folder / 'notify'}"])
            told = notices.recv(4000).decode()
            assert told.startswith("STATUS=cannot read the state 'state.db': file is not a database"), told
            assert len(told.splitlines()) == 1
            (gateway.folder / "restored").write_bytes(good)
            (gateway.folder / "restored").chmod(0o600)
            (gateway.folder / "restored").rename(path)
            told = notices.recv(400).decode().splitlines()
            assert told == ["READY=1", f"MAINPID={gateway.process.pid}", "STATUS=serving"]
            # While it serves, it says when the state can't be read any more.
            (gateway.folder / "bad").write_bytes(b"no state at all\n" * 512)
            (gateway.folder / "bad").rename(path)
            assert notices.recv(4000).decode().startswith("STATUS=cannot read the state 'state.db'")
            (gateway.folder / "restored").write_bytes(good)
            (gateway.folder / "restored").chmod(0o600)
            (gateway.folder / "restored").rename(path)
            assert notices.recv(400) == b"STATUS=serving"
        finally:
            gateway.stop()

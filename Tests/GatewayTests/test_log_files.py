"""Where the logs go: files that change while the gateway serves, pipes, and the standard output."""

import fcntl
import json
import os
import re
import signal
import subprocess
import threading

import pytest

from access_log import ask, lines
from client import Client
from gateway import PATIENCE, PROGRAMS, eventually, free_port
from origin import OK


@pytest.mark.parametrize("forms", [("json", "combined"), ("combined", "json")], ids=" then ".join)
def test_a_line_in_progress_keeps_its_form_when_the_format_changes(run, make_origin, forms):
    origin = make_origin()
    is_logged_otherwise = threading.Event()

    def answer(connection, request):
        is_logged_otherwise.wait()
        connection.send(OK)

    origin.answers["/held"] = answer
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "access_log": {"to": "access.log", "format": forms[0]}})
    with Client(gateway.http) as client:
        client.send("GET /held HTTP/1.1\r\nHost: app.test\r\n\r\n")
        eventually("the request is on its way", lambda: origin.requests)
        gateway.config["gateway"]["access_log"]["format"] = forms[1]
        gateway.reload()
        is_logged_otherwise.set()
        assert client.response().status == 200
        assert client.get("app.test", "/next").status == 200
    first, second = eventually(
        "both lines", lambda: (found := lines(gateway.folder / "access.log")) and len(found) == 2 and found)
    for line, form, path in (first, forms[0], "/held"), (second, forms[1], "/next"):
        if form == "json":
            assert (json.loads(line)["target"], json.loads(line)["status"]) == (path, 200)
        else:
            assert re.fullmatch(rf'127.0.0.1 - - \[.*\] "GET {path} HTTP/1.1" 200 2 "-" "-" "app.test"', line), line


@pytest.mark.parametrize("target", ["new.log", "none"])
def test_a_line_goes_to_the_file_that_it_was_begun_for(run, make_origin, target):
    origin = make_origin()
    is_logged_elsewhere = threading.Event()

    def answer(connection, request):
        is_logged_elsewhere.wait(PATIENCE)
        connection.send(OK)

    origin.answers["/held"] = answer
    gateway = run(
        [{"domain": "app.test", "upstreams": [origin.url]}],
        gateway={"workers": 1, "access_log": {"to": "old.log", "format": "json"}})
    with Client(gateway.http) as client, Client(gateway.http) as other:
        client.send("GET /held HTTP/1.1\r\nHost: app.test\r\n\r\n")
        eventually("the request is on its way", lambda: origin.requests)
        # The line of this request is not written yet when the log changes.
        assert other.get(path="/before").status == 200
        gateway.config["gateway"]["access_log"] = {"to": target, "format": "combined"}
        gateway.reload()
        assert other.get(path="/after").status == 200
        is_logged_elsewhere.set()
        assert client.response().status == 200
    eventually("both lines in the old file", lambda: len(lines(gateway.folder / "old.log")) == 2)
    gateway.stop()
    assert [json.loads(line)["target"] for line in lines(gateway.folder / "old.log")] == ["/before", "/held"]
    if target == "new.log":
        [line] = lines(gateway.folder / "new.log")
        assert '"GET /after HTTP/1.1" 200 ' in line


def test_a_log_that_can_not_be_opened_is_a_problem_until_it_can(run):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "missing/access.log", "format": "json"}})
    assert ask(gateway).status == 200
    assert gateway.metric("aegis_state_problems") == 1

    def status():
        return subprocess.run(
            [PROGRAMS / "aegis-apply", "status", "--state", "state.db"], cwd=gateway.folder, capture_output=True,
            text=True, check=True).stdout

    # The gateway's row comes a moment after it is ready.
    eventually(
        "the problem in status", lambda: "missing/access.log" in (said := status()) and "No such file" in said)
    (gateway.folder / "missing").mkdir()
    eventually("the problem's end", lambda: gateway.metric("aegis_state_problems") == 0)
    ask(gateway)
    assert json.loads(lines(gateway.folder / "missing/access.log")[0])["status"] == 200
    assert gateway.log.count("can't be opened") == 1


def test_a_pipe_without_a_reader_yet_can_be_the_log(run, tmp_path):
    pipe = tmp_path / "log"
    os.mkfifo(pipe)
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": str(pipe), "format": "combined"}})
    assert ask(gateway).status == 200
    with open(pipe, "rb", buffering=0) as reader:
        assert b"GET /a?query-is-shown" in reader.readline()


def test_the_log_can_be_the_standard_output(run):
    gateway = run(
        [{"domain": "app.test", "respond": {"body": "hello"}}],
        gateway={"access_log": {"to": "stdout", "format": "json"}})
    ask(gateway)
    gateway.await_log('"method":"GET"', '"status":200')


def test_an_unread_log_delays_no_request(run):
    gateway = run([{"domain": "app.test", "upstreams": [f"http://127.0.0.1:{free_port()}"]}])
    gateway.stop()
    unread, log = os.pipe()
    # The pipe holds 4 KiB, a few lines.
    fcntl.fcntl(log, fcntl.F_SETPIPE_SZ, 4096)
    gateway.launch(stderr=log)
    gateway.await_ready()
    # Each failed request writes a line.
    with Client(gateway.http) as client:
        for _ in range(100):
            assert client.get("app.test").status == 502
    # The control thread, which writes the lines, still follows the state.
    gateway.config["hosts"].append({"domain": "other.test", "respond": {"body": "other"}})
    gateway.reload()
    with Client(gateway.http) as client:
        assert client.get("other.test").status == 200
    text = b""
    with open(unread, "rb", buffering=0) as reader:
        os.close(log)
        text += reader.read(1 << 20)
        # SIGHUP causes another line. The log has room again, so it reports the lost lines first.
        gateway.process.send_signal(signal.SIGHUP)
        while b"lines of this log were lost" not in text:
            part = reader.read(1 << 16)
            assert part, text[-500:]
            text += part
        gateway.stop()
    assert all(line.startswith(b"20") for line in text.splitlines())

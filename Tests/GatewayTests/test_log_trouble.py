"""The access log when its file system is full, or its file is gone or not read: no line is broken, and lost lines are
reported."""

import json
import os
import shutil
import subprocess

import pytest

from client import Client
from gateway import PROGRAMS, Gateway, eventually

# A field whose line in the log has 384 KiB: JSON writes each of its bytes as six.
LONG = b"\xff" * (64 << 10)


@pytest.fixture
def launch(run, tmp_path):
    """Runs a gateway with an access log, by a command that the test gives."""
    made = []

    def start(to, *wrapper, form="json", **options):
        made.append(Gateway(
            tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "hello"}}],
            gateway={
                "access_log": {"to": str(to), "format": form}, "limits": {"header_bytes": "1MiB"}, "workers": 1}))
        made[-1].apply()
        return made[-1].start(*wrapper)

    yield start
    for gateway in made:
        gateway.stop()


def ask(gateway, numbers, agent=b"a"):
    """Sends a request for each number, with the number as target."""
    with Client(gateway.http) as client:
        for number in numbers:
            client.send(b"GET /%d HTTP/1.1\r\nHost: app.test\r\nUser-Agent: %s\r\n\r\n" % (number, agent))
            assert client.response().status == 200


def targets(text):
    """The targets in the log's lines; fails on a broken line."""
    assert text.endswith("\n") or not text
    return [int(json.loads(line)["target"][1:]) for line in text.splitlines()]


def lost(gateway):
    return int(gateway.metric("aegis_access_log_lines_dropped_total"))


def problem(gateway):
    """The output of `aegis-apply status`, which names the problems that the gateway has stored in the state."""
    return subprocess.run(
        [PROGRAMS / "aegis-apply", "status", "--state", "state.db"], cwd=gateway.folder, capture_output=True,
        text=True, check=True).stdout


@pytest.fixture
def on_small_disk(launch, tmp_path):
    """Runs a gateway whose log is on a file system of 128 KiB that only the gateway sees. Gives the gateway, the log's path
    as this process sees it, and a function that makes the file system larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    wrapper = ["unshare", "--map-root-user", "--mount", "sh", "-c",
               'mount -t tmpfs -o size=128k tmpfs "$0" && exec "$@"', disk]
    gateway = launch(disk / "access.log", *wrapper)
    pid = gateway.process.pid

    def enlarge(size):
        subprocess.run(
            ["nsenter", "--user", "--mount", "--preserve-credentials", "--target", str(pid), "mount", "-o",
             f"remount,size={size}", disk], check=True)

    return gateway, (lambda: f"/proc/{pid}/root{disk}/access.log"), enlarge


def read(path):
    with open(path, encoding="latin-1") as file:
        return file.read()


def test_a_full_disk_loses_nothing_that_fits_into_memory(on_small_disk):
    gateway, path, enlarge = on_small_disk
    ask(gateway, range(1500))
    gateway.await_log("error", "the access log can't be written: No space left on device", "16 MiB of lines are kept")
    eventually("the problem in status", lambda: "No space left on device" in problem(gateway))
    ask(gateway, range(1500, 2000))
    assert os.path.getsize(path()) <= 128 << 10
    enlarge("64m")
    gateway.await_log("the access log is written again")
    eventually("all lines", lambda: (text := read(path())).endswith("\n") and len(text.splitlines()) == 2000)
    assert targets(read(path())) == list(range(2000))
    assert lost(gateway) == 0
    assert gateway.log.count("can't be written") == 1
    eventually("the problem's end", lambda: gateway.metric("aegis_state_problems") == 0)
    # Logging continues as before.
    ask(gateway, [2000])
    eventually("one more line", lambda: read(path()).count("\n") == 2001)


def test_lines_that_do_not_fit_into_memory_are_counted_and_reported(on_small_disk):
    gateway, path, enlarge = on_small_disk
    ask(gateway, range(100), LONG)
    eventually("lost lines", lambda: lost(gateway) > 0)
    gateway.await_log("the access log can't be written: No space left on device")
    enlarge("256m")
    said = gateway.await_log("the access log is written again")
    eventually("the other lines", lambda: (text := read(path())).endswith("\n") and len(text.splitlines()) + lost(gateway) == 100)
    assert f"{lost(gateway)} lines were lost" in said
    found = targets(read(path()))
    assert found == sorted(set(found))


def test_a_file_at_its_size_limit_is_replaced_by_another(launch, tmp_path):
    log = tmp_path / "access.log"
    gateway = launch(log, "prlimit", f"--fsize={1 << 20}")
    ask(gateway, range(4), LONG)
    gateway.await_log("the access log can't be written: File too large")
    # The file has two lines and the beginning of a third. It is renamed as logrotate does.
    assert log.stat().st_size == 1 << 20
    log.rename(tmp_path / "access.log.1")
    gateway.process.send_signal(1)
    rest = eventually("whole lines in another file", lambda: log.exists() and (text := read(log)).endswith("\n") and text)
    assert targets(rest) == [2, 3]
    former = read(tmp_path / "access.log.1")
    assert targets(former[:former.rindex("\n") + 1]) == [0, 1]
    assert lost(gateway) == 0


@pytest.mark.parametrize("what", ["its folder is gone", "a folder is in its place"])
def test_a_file_that_can_not_be_reopened_loses_no_line(launch, tmp_path, what):
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "access.log"
    gateway = launch(log)
    ask(gateway, range(3))
    eventually("the first lines", lambda: targets(read(log)) == [0, 1, 2])
    if what == "its folder is gone":
        (tmp_path / "logs").rename(tmp_path / "former")
        (tmp_path / "former" / "access.log").unlink()
    else:
        log.unlink()
        log.mkdir()
    ask(gateway, range(3, 10))
    gateway.await_log("the access log", "can't be opened")
    ask(gateway, range(10, 20))
    if what == "its folder is gone":
        (tmp_path / "logs").mkdir()
    else:
        log.rmdir()
    gateway.await_log("the access log is as it should be again")
    eventually("all lines since", lambda: log.exists() and targets(read(log)) == list(range(3, 20)))
    assert lost(gateway) == 0


def test_a_full_device_is_reported(launch):
    gateway = launch("/dev/full")
    ask(gateway, range(10))
    gateway.await_log("the access log can't be written: No space left on device")
    ask(gateway, range(10))
    gateway.stop()
    gateway.await_log("at the end 20 lines of the access log could not be written")


def test_an_unread_pipe_is_reported_and_continues_with_whole_lines(launch, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    gateway = launch(pipe)
    ask(gateway, range(100), LONG)
    # The first report may come when only one line is lost.
    gateway.await_log("the access log is not written as fast as lines come; ", "lost")
    reader, text = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), bytearray()

    def read_lines(count):
        """Reads the available bytes. Returns whether `count` lines have come or were lost."""
        try:
            text.extend(os.read(reader, 1 << 20))
        except BlockingIOError:
            return text.endswith(b"\n") and text.count(b"\n") + lost(gateway) == count
        return False

    eventually("the other lines", lambda: read_lines(100), pause=0)
    ask(gateway, [100])
    eventually("one more line", lambda: read_lines(101))
    os.close(reader)
    found = targets(text.decode("latin-1"))
    assert found == sorted(set(found)) and found[-1] == 100
    gateway.await_log("the access log is written again", f"{lost(gateway)} lines were lost")


def test_an_unread_pipe_does_not_delay_the_end(launch, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    gateway = launch(pipe)
    ask(gateway, range(4), LONG)
    gateway.stop()
    gateway.await_log("at the end", "lines of the access log could not be written")


def test_a_closed_standard_output_is_reported(launch):
    gateway = launch("stdout", "sh", "-c", 'exec "$0" "$@" >&-')
    ask(gateway, range(3))
    gateway.await_log("the access log can't be written: Bad file descriptor")
    # No other file has the closed descriptor's number.
    assert os.readlink(f"/proc/{gateway.process.pid}/fd/1") == "/dev/null"


def test_an_ended_reader_of_the_standard_output_is_reported(launch, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    gateway = launch("stdout", "sh", "-c", f'exec "$0" "$@" > {pipe}')
    os.close(reader)
    ask(gateway, range(3))
    gateway.await_log("the access log can't be written: Broken pipe")


def test_a_deleted_log_file_is_created_again(launch, tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    gateway = launch(folder / "access.log")
    ask(gateway, [1])
    eventually("a line", lambda: (folder / "access.log").read_text())
    (folder / "access.log").unlink()
    gateway.await_log("the access log was deleted")
    ask(gateway, [2])
    eventually("a line in another file", lambda: (folder / "access.log").exists() and (folder / "access.log").read_text())
    # Without its directory the file can't be made at once.
    shutil.rmtree(folder)
    gateway.await_log("can't be opened", "No such file or directory")
    folder.mkdir()
    gateway.await_log("the access log is as it should be again")
    ask(gateway, [3])
    text = eventually("a third line", lambda: (folder / "access.log").read_text())
    assert targets(text) == [3] and lost(gateway) == 0


def test_a_moved_log_file_is_left_at_sighup(launch, tmp_path):
    log = tmp_path / "access.log"
    gateway = launch(log)
    ask(gateway, range(50))
    log.rename(tmp_path / "access.log.1")
    ask(gateway, range(50, 100))
    gateway.process.send_signal(1)
    eventually("another file", log.exists)
    ask(gateway, range(100, 150))
    files = [tmp_path / "access.log.1", log]
    eventually("all lines", lambda: sum(file.read_text().count("\n") for file in files) == 150)
    assert sum((targets(file.read_text()) for file in files), []) == list(range(150))


def test_an_unfinished_line_of_a_killed_process_is_not_continued(launch, tmp_path):
    log = tmp_path / "access.log"
    log.write_text('{"half')
    gateway = launch(log)
    ask(gateway, [7])
    text = eventually("a line", lambda: (text := log.read_text()).endswith("\n") and text)
    half, line = text.splitlines()
    assert half == '{"half' and targets(line + "\n") == [7]


def test_the_last_request_is_in_the_log_too(launch, tmp_path):
    log = tmp_path / "access.log"
    gateway = launch(log)
    ask(gateway, range(200))
    gateway.stop()
    assert targets(log.read_text()) == list(range(200))


def test_a_changed_log_format_applies_at_once(launch, tmp_path):
    log = tmp_path / "access.log"
    gateway = launch(log)
    ask(gateway, [1])
    gateway.config["gateway"]["access_log"]["format"] = "combined"
    gateway.reload()
    ask(gateway, [2])
    lines = eventually("two lines", lambda: len(found := log.read_text().splitlines()) == 2 and found)
    assert targets(lines[0] + "\n") == [1] and '"GET /2 HTTP/1.1" 200 5' in lines[1]


def test_the_gateways_own_log_continues_with_whole_lines_too(launch, tmp_path):
    folder = tmp_path / "gateway"
    folder.mkdir()
    # There is room for a part of the first line.
    (folder / "gateway.log").write_text("a" * ((1 << 20) - 12) + "\n")
    gateway = launch("none", "prlimit", f"--fsize={1 << 20}:")
    subprocess.run(["prlimit", "--pid", str(gateway.process.pid), "--fsize=unlimited:"], check=True)
    gateway.process.send_signal(1)
    gateway.await_log("reading the state again")
    begun, *others = gateway.log.splitlines()[1:]
    assert len(begun) == 11 and all(line.startswith("20") and len(line) > 30 for line in others)
    assert "lines of this log were lost" in others[0]

"""Every console and sh block of README.md and docs/ is run, in the order of its page, in a network of its own. Every YAML block
is valid.

A page begins in a checkout, whose programs are built, if it has an sh block, else in an empty folder. In a console block, `$ `
begins a command, and `…` stands for any text, or for any lines if it stands alone. Each command must succeed, and must print
what the block shows. In an sh block, each line is a command. A gateway and a web server run to the end of the page. Comments say
what the reader does in addition:

    <!-- stage: COMMAND -->   runs a command; one that serves runs to the end of the page
    <!-- exits: CODE -->      the last command of the next block exits with this code
    <!-- file: NAME -->       the next block is this file
    <!-- append: NAME -->     the next block is appended to this file
    <!-- part: YAML -->       the next block is a part of a file, which is valid together with this YAML
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from gateway import PATIENCE, PROGRAMS, eventually
from test_run import lay_out_checkout

ROOT = pathlib.Path(__file__).parents[2]
ALL = [page.relative_to(ROOT) for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]]
PIECE = re.compile(r"<!-- (?P<direction>\w+):\s*(?P<what>.*?)\s*-->|^```(?P<kind>\w*)\n(?P<block>.*?)^```$", re.M | re.S)


def with_blocks(*kinds):
    """The pages that have a block of one of these kinds."""
    return [page for page in ALL if any(piece["kind"] in kinds for piece in PIECE.finditer((ROOT / page).read_text()))]


PAGES = with_blocks("console", "sh")

WEB_SERVER = "python3 -m http.server "


def commands(block):
    """The commands of a block, each with the output that the page shows."""
    for piece in re.split(r"^\$ ", block, flags=re.M)[1:]:
        command, _, output = piece.partition("\n")
        while command.endswith("\\"):
            line, _, output = output.partition("\n")
            command += "\n" + line
        yield command, output


def matches(expected, actual):
    """Whether a text matches what a page shows. A page shows no blanks at the end of a line."""
    lines = [
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r" *\n" for line in expected.splitlines()]
    return re.fullmatch("".join(lines), actual)


class Stage:
    """A folder, and a network namespace where every port is free."""

    def __init__(self, folder):
        self.home, self.folder, self.running = folder, folder, []
        self.variables = {"PATH": f"{PROGRAMS}:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(folder)}
        # Programs that were built for ThreadSanitizer report false races without this library.
        if preload := os.environ.get("LD_PRELOAD"):
            self.variables["LD_PRELOAD"] = preload
        self.holder = subprocess.Popen(
            ["unshare", "--map-root-user", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 3600"],
            stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "up\n"

    def start(self, command, output, **options):
        # Where the output is not a terminal, curl prints its progress.
        errors = subprocess.DEVNULL if command.startswith("curl ") else subprocess.STDOUT
        enter = ["nsenter", "--user", "--net", "--preserve-credentials", "--target", str(self.holder.pid)]
        return subprocess.Popen(
            [*enter, "sh", "-c", command], cwd=self.folder, env=self.variables, stdout=output, stderr=errors, **options)

    def begin_in_checkout(self):
        """Makes a checkout with built programs, and makes it the current folder."""
        lay_out_checkout(self.folder)
        shutil.copytree(ROOT / "examples", self.folder / "examples")
        self.variables["PATH"] = f"{self.folder / 'bin'}:/usr/bin:/bin:/usr/sbin:/sbin"

    def export(self, command):
        """Sets an environment variable for all further commands."""
        name = command.removeprefix("export ").partition("=")[0]
        self.variables[name], status = self.run(f'{command} && printf %s "${name}"')
        assert status == 0, command

    def change_folder(self, command):
        """Runs a command that changes the folder, for all further commands too."""
        output, status = self.run(f"{command} && pwd")
        assert status == 0, output
        self.folder = pathlib.Path(output.splitlines()[-1])

    def try_out(self, command):
        """Runs a command that serves until Ctrl-C, and presses Ctrl-C when it says that it serves."""
        log = self.home / "tried.log"
        with open(log, "wb") as output:
            process = self.start(f"exec {command}", output, start_new_session=True)
        try:
            eventually(f"{command} serves", lambda: log.read_text().endswith("Ctrl-C ends it.\n"))
        finally:
            # Ctrl-C sends the signal to every process of the terminal's group.
            os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == 0, log.read_text()

    def serve(self, command, ready):
        """Starts a command that runs to the end of the page, and waits until its output matches."""
        log = self.home / f"log{len(self.running)}"
        self.running.append(self.start(command, open(log, "wb")))
        eventually(f"{command} shows {ready}", lambda: matches(ready, log.read_text()))

    def serve_pages(self, command):
        self.serve(f"exec {command}", "…")
        eventually("its port", lambda: self.run("ss -Hltn sport = :3000")[0])

    def run(self, command):
        process = self.start(command, subprocess.PIPE)
        return process.communicate(timeout=PATIENCE)[0].decode().replace("\r\n", "\n"), process.returncode

    def end(self):
        for process in self.running:
            process.terminate()
            process.wait(PATIENCE)
        self.holder.kill()
        self.holder.wait()


@pytest.fixture
def stage(tmp_path):
    stage = Stage(tmp_path)
    yield stage
    stage.end()


def shows(stage, command, expected, code):
    """Checks that a command prints what its page shows, and exits with a code. curl is repeated: after an apply it takes a
    moment until a change is in force."""
    said = []

    def agrees():
        said.append(stage.run(command))
        return said[-1][1] == code and matches(expected, said[-1][0])

    if command.startswith("curl "):
        return eventually(f"{command} prints {expected}", agrees)
    assert agrees(), f"$ {command}\n{said[-1][0]}\n--- exits with {said[-1][1]}; the page has\n{expected}"


def play(stage, command, output, code=0):
    if command.startswith("export "):
        stage.export(command)
    elif re.search(r"\bcd ", command):
        stage.change_folder(command)
    elif command == "scripts/run":
        stage.try_out(command)
    elif WEB_SERVER in command:
        stage.serve_pages(command)
    elif command.startswith("aegis-gateway"):
        stage.serve(f"exec {command}", output)
    else:
        shows(stage, command, output, code)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_of_a_page_do_what_it_shows(stage, page):
    if page in with_blocks("sh"):
        stage.begin_in_checkout()
    direction, code = None, 0
    for piece in PIECE.finditer((ROOT / page).read_text()):
        if piece["direction"] == "stage":
            play(stage, piece["what"], "…")
        elif piece["direction"] == "exits":
            code = int(piece["what"])
        elif piece["direction"]:
            direction = piece
        elif piece["kind"] == "sh":
            for command in piece["block"].splitlines():
                play(stage, command, "…")
        elif piece["kind"] == "console":
            *first, last = commands(piece["block"])
            for command, output in first:
                play(stage, command, output)
            play(stage, *last, code)
            code = 0
        elif direction:
            if direction["direction"] in ("file", "append"):
                with open(stage.folder / direction["what"], "w" if direction["direction"] == "file" else "a") as file:
                    file.write(piece["block"])
            direction = None


def whole(block, rest):
    """A part of a file as a whole file. An indented part belongs to a host."""
    if block.startswith(" "):
        block = 'hosts:\n  - domain: part.test\n    ssl_mode: letsencrypt\n    upstreams: ["https://127.0.0.1:3000"]\n' + block
        rest += "\nissuers: { letsencrypt: { type: acme, directory: 'https://ca.test/directory' } }"
    return f"version: 1\n{rest}\n{block}"


@pytest.mark.parametrize("page", with_blocks("yaml"), ids=str)
def test_yaml_of_a_page_is_valid(tmp_path, page):
    direction = None
    for piece in PIECE.finditer((ROOT / page).read_text()):
        if piece["direction"]:
            direction = piece if piece["direction"] in ("file", "append", "part") else direction
            continue
        # The blocks that are files are checked by the commands of their page.
        if piece["kind"] == "yaml" and (direction is None or direction["direction"] == "part"):
            text = whole(piece["block"], direction["what"]) if direction else piece["block"]
            (tmp_path / "aegis.yaml").write_text(text)
            said = subprocess.run(
                [PROGRAMS / "aegis-apply", "validate", "--strict"], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
            assert said.returncode == 0, f"{said.stderr}\n{text}"
        direction = None


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_names_each_file_that_the_reader_writes(page):
    """The reader does not see comments, so the text must name the files as well."""
    text = (ROOT / page).read_text()
    for piece in PIECE.finditer(text):
        if piece["direction"] in ("file", "append"):
            seen = re.sub(r"<!--.*?-->", "", text[:piece.start()])
            assert f"`{piece['what']}`" in seen.rpartition("```\n")[2], f"{page}: nothing says that this is {piece['what']}"


def test_the_first_page_needs_no_hidden_commands():
    assert "<!-- stage:" not in (ROOT / "docs/getting-started.md").read_text()


def test_output_is_compared_line_by_line():
    assert matches("a\n…\nb …\n", "a\nx\ny\nb 1\n")
    assert matches("a\n…\n", "a\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("a …\n", "a\n")
    assert list(commands("$ a \\\n  b\nout\n$ c\n")) == [("a \\\n  b", "out\n"), ("c", "")]

"""Every console block of README.md and docs/ is run, in the order of its page, in a network of its own.

A page is played in an empty folder. `$ ` begins a command, `…` stands for any text, and for any lines where it stands alone.
A gateway and a web server go on to the end of the page. Comments direct what the reader does otherwise:

    <!-- stage: COMMAND -->   runs a command; one that serves goes on to the end of the page
    <!-- file: NAME -->       the next block is this file
    <!-- append: NAME -->     the next block is put behind what the file has
"""

import pathlib
import re
import subprocess

import pytest

from gateway import PATIENCE, PROGRAMS, eventually

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [
    page.relative_to(ROOT) for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if "```console" in page.read_text()]
PIECE = re.compile(r"<!-- (?P<direction>\w+): (?P<what>.*?) -->|^```(?P<kind>\w*)\n(?P<block>.*?)^```$", re.M | re.S)

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
    """Whether a text matches what a page shows."""
    lines = [
        r"(?:.*\n)*" if line == "…" else re.escape(line).replace("…", ".*") + r"\n" for line in expected.splitlines()]
    return re.fullmatch("".join(lines), actual)


class Stage:
    """A folder, and a network namespace where every port is free."""

    def __init__(self, folder):
        self.folder, self.running = folder, []
        self.variables = {"PATH": f"{PROGRAMS}:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(folder)}
        self.holder = subprocess.Popen(
            ["unshare", "--map-root-user", "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 3600"],
            stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "up\n"

    def start(self, command, output):
        # Where the output is not a terminal, curl prints its progress.
        errors = subprocess.DEVNULL if command.startswith("curl ") else subprocess.STDOUT
        enter = ["nsenter", "--user", "--net", "--preserve-credentials", "--target", str(self.holder.pid)]
        return subprocess.Popen(
            [*enter, "sh", "-c", command], cwd=self.folder, env=self.variables, stdout=output, stderr=errors)

    def export(self, command):
        """Sets an environment variable for all further commands."""
        name = command.removeprefix("export ").partition("=")[0]
        self.variables[name] = self.run(f'{command}; printf %s "${name}"')[0]

    def serve(self, command, ready):
        """Starts a command that runs to the end of the page, and waits until its output matches."""
        log = self.folder / f"log{len(self.running)}"
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


def shows(stage, command, expected):
    """Checks that a command prints what its page shows. curl is repeated: after an apply it takes a moment until a change
    is in force."""
    said = []

    def agrees():
        said.append(stage.run(command)[0])
        return matches(expected, said[-1])

    if command.startswith("curl "):
        return eventually(f"{command} prints {expected}", agrees)
    assert agrees(), f"$ {command}\n{said[-1]}\n--- the page has\n{expected}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_shows_what_happens(stage, page):
    direction = None
    for piece in PIECE.finditer((ROOT / page).read_text()):
        if piece["direction"] == "stage":
            if WEB_SERVER in piece["what"]:
                stage.serve_pages(piece["what"])
            else:
                output, status = stage.run(piece["what"])
                assert status == 0, output
        elif piece["direction"] in ("file", "append"):
            direction = piece
        elif piece["kind"] == "console":
            for command, output in commands(piece["block"]):
                if command.startswith("export "):
                    stage.export(command)
                elif WEB_SERVER in command:
                    stage.serve_pages(command)
                elif command.startswith("aegis-gateway"):
                    stage.serve(f"exec {command}", output)
                else:
                    shows(stage, command, output)
        elif direction and piece["kind"]:
            with open(stage.folder / direction["what"], "w" if direction["direction"] == "file" else "a") as file:
                file.write(piece["block"])
            direction = None


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_a_page_names_the_files_that_it_has_the_reader_write(page):
    """The reader does not see comments, so the page must name the files as well."""
    text = (ROOT / page).read_text()
    for piece in PIECE.finditer(text):
        if piece["direction"] in ("file", "append"):
            seen = re.sub(r"<!--.*?-->", "", text[:piece.start()])
            assert f"`{piece['what']}`" in seen.rpartition("```\n")[2], f"{page}: nothing says that this is {piece['what']}"


def test_the_first_page_leaves_nothing_to_stages():
    assert "<!-- stage:" not in (ROOT / "docs/getting-started.md").read_text()


def test_a_page_is_compared_line_by_line():
    assert matches("a\n…\nb …\n", "a\nx\ny\nb 1\n")
    assert matches("a\n…\n", "a\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("a …\n", "a\n")
    assert list(commands("$ a \\\n  b\nout\n$ c\n")) == [("a \\\n  b", "out\n"), ("c", "")]

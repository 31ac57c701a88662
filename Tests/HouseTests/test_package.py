"""Package.swift declares exactly the modules that the sources import, and docs/ARCHITECTURE.md lists them."""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]
IMPORT = re.compile(
    r"^\s*(?:@\w+(?:\(\w+\))? +)*(?:(?:public|package|internal|fileprivate|private) +)?import +"
    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias) +)?(\w+)", re.MULTILINE)

DESCRIPTION = json.loads(subprocess.run(
    ["swift", "package", "dump-package"], cwd=ROOT, env={**os.environ, "AEGIS_FUZZ": "1"},
    capture_output=True, check=True, text=True).stdout)
TARGETS = {target["name"]: target for target in DESCRIPTION["targets"]}


def declared(target):
    """The modules that Package.swift lets a target import."""
    names = set()
    for dependency in target["dependencies"]:
        (kind, value), = dependency.items()
        assert kind in ("byName", "product", "target"), dependency
        names.add(value[0])
    return names


def folder(target):
    default = "Tests" if target["type"] == "test" else "Sources"
    return ROOT / (target.get("path") or f"{default}/{target['name']}")


def imported(target):
    """The modules that a target's sources import."""
    return {
        name for source in folder(target).rglob("*.swift")
        for name in IMPORT.findall(source.read_text())}


SWIFT_TARGETS = [
    name for name, target in TARGETS.items() if target["type"] != "system" and any(folder(target).rglob("*.swift"))]
# A module that is neither a target nor a package's product comes with the toolchain.
MODULES = set(TARGETS).union(*(declared(target) for target in TARGETS.values()))


@pytest.mark.parametrize("name", SWIFT_TARGETS)
def test_a_target_declares_what_it_imports(name):
    # A module is named like its target, with underscores for hyphens.
    modules = {module.replace("-", "_"): module for module in MODULES}
    uses = {modules[module] for module in imported(TARGETS[name]) if module in modules}
    # Tests of commands run the program, so it is built before them.
    runs = {module for module in declared(TARGETS[name]) if TARGETS.get(module, {}).get("type") == "executable"}
    assert declared(TARGETS[name]) - runs == uses


def test_only_what_is_optimized_across_modules_is_public():
    """A public declaration is specialized where it is used, which saves three instructions in a hundred of a request."""
    public = {
        source.relative_to(ROOT).parts[1]
        for source in (ROOT / "Sources").rglob("*.swift") if re.search(r"^\s*public ", source.read_text(), re.MULTILINE)}
    assert public == {"HTTP1"}


def rooms():
    """The rows of ARCHITECTURE.md's table: each module and what it may use, as written there."""
    text = (ROOT / "docs/ARCHITECTURE.md").read_text().split("## The rooms", 1)[1].split("###", 1)[0]
    for line in text.splitlines():
        if line.startswith("| `"):
            names, _, uses = (cell.strip() for cell in line.strip("|").split("|"))
            yield re.findall(r"`([^`]+)`", names), uses


def test_each_room_uses_only_rooms_above_it():
    above, told = [], set()
    for names, uses in rooms():
        may = set(names) | {{"System": "SystemPackage"}.get(word, word) for word in re.findall(r"[\w-]+", uses)}
        if "all above" in uses:
            may |= {*above, "SystemPackage"} - ({"SQLiteState"} if "but SQLite" in uses else set())
        if "GRDB" in may:
            may.add("GRDBSQLite")
        told.update(names)
        for name in names:
            if name not in TARGETS:
                continue
            wanted = declared(TARGETS[name])
            assert wanted <= may, f"{name} uses what its row does not name"
            if len(names) == 1 and "all above" not in uses:
                assert may & MODULES == wanted | {name}, f"{name} does not use all that its row names"
            assert {module for module in wanted if module in TARGETS} <= {*above, *names}, f"{name} uses a room below"
        above += names
    in_sources = {name for name, target in TARGETS.items() if folder(target).is_relative_to(ROOT / "Sources")}
    assert in_sources <= told, "rooms that ARCHITECTURE.md does not name"

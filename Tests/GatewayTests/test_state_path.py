"""The path of a state: a directory that is renamed, missing permissions, and paths where no state can be."""

import json
import os
import pathlib
import subprocess
import tempfile

import pytest

from gateway import PROGRAMS, Gateway, eventually
from state_files import WITNESS, await_trouble, is_readable, state


def test_a_renamed_directory_is_reported_and_found_again(tmp_path):
    gateway = Gateway(tmp_path / "gateway", [WITNESS, {"domain": "second.test", "respond": {"body": "second"}}])
    gateway.config["state"]["path"] = "sub/state.db"
    gateway.apply()
    gateway.launch("--state", "sub/state.db")
    try:
        gateway.await_ready()
        (gateway.folder / "sub").rename(gateway.folder / "other")
        await_trouble(gateway, "no state")
        (gateway.folder / "other").rename(gateway.folder / "sub")
        eventually("a state that can be read", lambda: is_readable(gateway))
    finally:
        gateway.stop()


def test_missing_permissions_are_reported():
    # A folder without permissions keeps out everybody but root, who can read everything.
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        gateway = Gateway(
            pathlib.Path(folder) / "gateway", [WITNESS, {"domain": "second.test", "respond": {"body": "second"}}])
        gateway.apply()
        for path in [gateway.folder, *gateway.folder.rglob("*")]:
            os.chown(path, 65534, 65534)
        gateway.start("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        try:
            state(gateway).chmod(0)
            await_trouble(gateway, "Permission denied")
            state(gateway).chmod(0o600)
            eventually("a state that can be read", lambda: is_readable(gateway))
        finally:
            gateway.stop()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "below a file"])
def test_a_path_that_can_be_no_state_is_told_with_its_cause_as_by_aegis_apply(tmp_path, kind):
    gateway = Gateway(tmp_path / "gateway", [{"domain": "app.test", "respond": {"body": "hello"}}])
    path = gateway.folder / "state.db"
    words = "the state can't be 'state.db': it is no regular file"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/null")
    elif kind == "folder":
        path.mkdir()
        words = "the state can't be 'state.db': it is a directory"
    else:
        path.write_text("no folder")
        words = "'state.db' is no directory"
    name = "state.db/x" if kind == "below a file" else "state.db"
    gateway.launch("--state", name)
    try:
        gateway.await_log("the state can't be put in force, and nothing is served:")
        assert words in gateway.log and "is empty" not in gateway.log and "waiting until" not in gateway.log
    finally:
        gateway.stop()
    gateway.config["state"] = {"path": name}
    (gateway.folder / "aegis.yaml").write_text(json.dumps(gateway.config))
    done = subprocess.run([PROGRAMS / "aegis-apply", "--dry-run"], cwd=gateway.folder, capture_output=True, text=True)
    assert done.returncode != 0 and words.replace("'state.db", "'./state.db") in (done.stdout + done.stderr).replace(
        "'state.db", "'./state.db"), done

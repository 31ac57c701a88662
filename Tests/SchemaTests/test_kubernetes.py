"""The manifest for Kubernetes: its aegis.yaml is valid, and its parts are consistent."""

import os
import pathlib
import subprocess

import pytest
import ruamel.yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "examples" / "kubernetes.yaml"


@pytest.fixture(scope="module")
def objects():
    found = list(ruamel.yaml.YAML(typ="safe", pure=True).load_all(MANIFEST.read_text()))
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


@pytest.fixture(scope="module")
def configuration(objects):
    return objects["ConfigMap", "aegis"]["data"]["aegis.yaml"]


def test_its_configuration_is_valid_without_a_warning(configuration, tmp_path):
    (tmp_path / "aegis.yaml").write_text(configuration)
    done = subprocess.run(
        [os.environ["AEGIS_APPLY"], "validate", str(tmp_path / "aegis.yaml")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "warning" not in done.stderr, done.stderr


def test_its_parts_fit_together(objects, configuration):
    pod = objects["Deployment", "aegis"]["spec"]["template"]["spec"]
    settings = ruamel.yaml.YAML(typ="safe", pure=True).load(configuration)
    secret = objects["Secret", "aegis-identity"]
    gateway, = pod["containers"]
    assert gateway["command"][2] == settings["state"]["path"]
    for container in [*pod["initContainers"], gateway]:
        references = {one["name"]: one["valueFrom"]["secretKeyRef"] for one in container["env"]}
        assert set(references) == {"AEGIS_SSL_KEY", "AEGIS_TLS_CERT", "AEGIS_TLS_KEY", "AEGIS_TLS_CA"}
        assert all(
            one["key"] in secret["stringData"] for one in references.values() if one["name"] == "aegis-identity")
        mounts = {one["name"] for one in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in pod["volumes"]}
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    # No port needs a capability, and the probes use the admin listener's port.
    ports = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    assert {f":{port}" for port in ports.values()} == {
        *settings["gateway"]["http"], *settings["gateway"]["https"], settings["gateway"]["admin"]}
    assert all(port > 1023 for port in ports.values())
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert gateway[probe]["httpGet"]["port"] == "admin" and gateway[probe]["httpGet"]["scheme"] == "HTTPS"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert claims and all(("PersistentVolumeClaim", claim) in objects for claim in claims)

"""Holds examples/kubernetes against the schemas of Kubernetes, against itself, and its configuration against the program.

usage: kubernetes_check.py PROGRAM   (with kubernetes-validate and its PyYAML)
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import kubernetes_validate
import yaml

root = pathlib.Path(__file__).resolve().parent.parent
documents = list(yaml.safe_load_all((root / "examples/kubernetes/stele.yaml").read_text()))
by_kind = {each["kind"]: each for each in documents}
for each in documents:
    for version in ("1.28", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(each, version, strict=True)

# What names something names something that is there.
labels = by_kind["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
assert by_kind["StatefulSet"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
assert by_kind["Service"]["spec"]["selector"].items() <= labels.items()
assert by_kind["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
assert by_kind["StatefulSet"]["spec"]["serviceName"] == by_kind["Service"]["metadata"]["name"]
pod = by_kind["StatefulSet"]["spec"]["template"]["spec"]
container = pod["containers"][0]
ports = {each["name"]: each["containerPort"] for each in container["ports"]}
for probe, path in {"startupProbe": "/ready", "livenessProbe": "/health", "readinessProbe": "/ready"}.items():
    assert container[probe]["httpGet"] == {"path": path, "port": "health"}, probe
assert all(each["targetPort"] in ports for each in by_kind["Service"]["spec"]["ports"])
volumes = {each["name"] for each in pod["volumes"]}
volumes |= {each["metadata"]["name"] for each in by_kind["StatefulSet"]["spec"]["volumeClaimTemplates"]}
assert {each["name"] for each in container["volumeMounts"]} == volumes
assert pod["volumes"][0]["configMap"]["name"] == by_kind["ConfigMap"]["metadata"]["name"]

# The program takes the configuration, with the token where the secret puts it.
settings = json.loads(by_kind["ConfigMap"]["data"]["stele.json"])
assert settings["listen"].endswith(f":{ports['stele']}") and settings["health"].endswith(f":{ports['health']}")
with tempfile.TemporaryDirectory() as folder:
    token = pathlib.Path(folder, "feeder")
    token.write_text("a-token-of-some-length\n")
    settings["auth"]["tokens"][0]["file"] = str(token)
    settings["database"] = str(pathlib.Path(folder, "stele.db"))
    config = pathlib.Path(folder, "stele.json")
    config.write_text(json.dumps(settings))
    subprocess.run([sys.argv[1], "serve", "--config", str(config), "--check-config"], check=True, stdout=subprocess.DEVNULL)
print(f"ok {len(documents)} manifests keep to the schemas, and to each other")

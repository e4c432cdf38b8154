"""helm over the chart: what it renders, and what it refuses."""

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml
from e2e_cluster import tools

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "streaming-stack"
NAMESPACE, RELEASE = "chosen", "heard"
SPEC: dict[str, Any] = {
    "models": [
        {"name": "en", "speechModels": ["universal-streaming-english"], "source": "image://example.com/en:1/models"}
    ]
}
STACK: dict[str, Any] = {"stack": {"enabled": True, "name": "desk", "spec": SPEC}}
MONITORING = ("monitoring.coreos.com/v1/PodMonitor", "monitoring.coreos.com/v1/PrometheusRule")


class Refused(Exception):
    """helm said no; what it said."""


def helm(*argv: str) -> str:
    """What helm prints; Refused with its words where it fails."""
    done = subprocess.run([str(tools.helm()), *argv], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(done.stderr + done.stdout)
    return done.stdout


def at(path: str, value: Any) -> dict[str, Any]:
    """`{"a": {"b": value}}` for "a.b"."""
    for key in reversed(path.split(".")):
        value = {key: value}
    return dict(value)


def over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Both, as helm lays one file of values over another."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = over(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def rendered(folder: Path, values: dict[str, Any], *served: str) -> list[dict[str, Any]]:
    """All objects; `served` are APIs beside Kubernetes' own."""
    file = folder / "values.json"
    file.write_text(json.dumps(values))
    apis = [f"--api-versions={api}" for api in served]
    text = helm("template", RELEASE, str(CHART), f"--namespace={NAMESPACE}", f"--values={file}", *apis)
    return [found for found in yaml.safe_load_all(text) if found]


def of_kind(objects: list[dict[str, Any]], kind: str, containing: str = "") -> dict[str, Any]:
    """The one object of a kind with that in its name."""
    [found] = [it for it in objects if it["kind"] == kind and containing in it["metadata"]["name"]]
    return found


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod specs of everything that makes pods."""
    found = {}
    for each in objects:
        if each["kind"] in {"Deployment", "Job"}:
            found[each["metadata"]["name"]] = each["spec"]["template"]["spec"]
        elif each["kind"] == "Pod":
            found[each["metadata"]["name"]] = each["spec"]
    return found


def environment(objects: list[dict[str, Any]], part: str = "operator") -> dict[str, str]:
    """The variables of the operator, or of the metrics adapter, that have a value."""
    container = of_kind(objects, "Deployment", f"-{part}")["spec"]["template"]["spec"]["containers"][0]
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}

"""The Helm chart: linted, rendered with several sets of values, validated against Kubernetes' schemas."""

import math
import re
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from deploy.check.running import DEPLOY, Failed, command
from deploy.check.tools import debian, helm, installed

_CHART: Final = DEPLOY / "chart"
_VERSIONS: Final = ("1.27.0", "1.37.0")
"""The oldest of Chart.yaml's kubeVersion, and the newest that the schemas know."""
_OPERATOR: Final = {"ServiceMonitor", "PrometheusRule"}
"""Defined by the Prometheus operator, so that Kubernetes' schemas do not know them."""
_REFUSED: Final = {
    "a setting that does not exist": "settings.DRIAN_DELAY=5",
    "a secret among the settings": "settings.CALLBACK_PASSWORD=password",
    "a number that YAML has taken the plus sign from": "settings.BW_NUMBER=15550100100",
    "a value that does not exist": "replicas=3",
    "no Secret": "secrets.names=null",
    "an ingress without a host": "ingress.enabled=true",
    "an ingress controller that is not known": "ingress.controller=caddy",
}


def _sets() -> dict[str, tuple[str | Path, ...]]:
    """The arguments of each set of values: none, and the files in ci/."""
    files = sorted((_CHART / "ci").glob("*.yaml"))
    return {"default": (), **{path.stem: ("-f", path) for path in files}}


@cache
def rendered(name: str) -> str:
    output = command(helm(), "template", "pstn", _CHART, "--namespace", "telephony", *_sets()[name])
    # Helm says on the other stream that it has followed the links to rules and dashboard.
    return "".join(line for line in output.splitlines(keepends=True) if not line.startswith("level=INFO"))


def objects(name: str) -> list[dict[str, Any]]:
    return [one for one in yaml.safe_load_all(rendered(name)) if one]


def lint() -> str:
    for words in _sets().values():
        command(helm(), "lint", "--strict", _CHART, *words)
    return f"helm lint --strict with {', '.join(_sets())}"


def schemas() -> str:
    count = 0
    for name in _sets():
        count += len(objects(name))
        for version in _VERSIONS:
            _validate(name, version)
    known, unknown = (" and ".join(names) for names in (_VERSIONS, sorted(_OPERATOR)))
    return f"{count} objects strictly against Kubernetes {known}, but for {unknown}"


def _validate(name: str, version: str) -> None:
    with tempfile.TemporaryDirectory(prefix="check-chart-") as folder:
        file = Path(folder, "objects.yaml")
        file.write_text(rendered(name))
        said = command(installed("kubernetes-validate"), "--strict", "--quiet", "-k", version, file)
    unknown = set(re.findall(r"Couldn't find schema for kind (\w+)", said))
    if unknown - _OPERATOR:
        raise Failed(f"no schema of Kubernetes {version} for {', '.join(sorted(unknown - _OPERATOR))}")


def refusals() -> str:
    for what, values in _REFUSED.items():
        try:
            command(helm(), "template", "pstn", _CHART, "--set", values, fails=True)
        except Failed:
            raise Failed(f"the chart takes {what}: --set {values}") from None
    return f"{len(_REFUSED)} mistakes in the values are refused"


def grace() -> str:
    """Kubernetes waits longer than the service may take to end, whatever the settings."""
    seen = []
    for name in _sets():
        settings = _one(name, "ConfigMap").get("data") or {}
        drain, budget, grace = (
            float(settings.get(key, default))
            for key, default in (("DRAIN_DELAY", 5), ("WEBHOOK_BUDGET", 8), ("SHUTDOWN_GRACE", 20))
        )
        given = _one(name, "Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
        if given <= drain + math.ceil(budget) + 1 + grace:
            raise Failed(f"{name}: {given} s until SIGKILL, for {drain} + {budget} + {grace} s")
        seen.append(f"{given} s with {name}")
    return ", ".join(seen)


def rules() -> str:
    """The alerts in the cluster are those of the file, braces and all."""
    wanted = yaml.safe_load((DEPLOY / "prometheus/rules.yaml").read_text())
    given = _one("everything", "PrometheusRule")["spec"]
    if given != wanted:
        raise Failed("the PrometheusRule is not what deploy/prometheus/rules.yaml says")
    with tempfile.TemporaryDirectory(prefix="check-chart-") as folder:
        file = Path(folder, "rules.yaml")
        file.write_text(yaml.safe_dump(given))
        command(debian("promtool", "prometheus"), "check", "rules", file)
    count = sum(len(group["rules"]) for group in wanted["groups"])
    return f"{count} rules as in the file, promtool check rules"


def public() -> str:
    """No path but these is public, only webhooks are tried twice, and what is passed on was looked up."""
    for name in _sets():
        for one in _ingresses(name):
            meta, host = one["metadata"], one["spec"]["rules"][0]
            paths = {path["path"].removesuffix("(.*)") for path in host.get("http", {}).get("paths", [])}
            if not meta["name"].endswith("-api") and not paths <= {"/callbacks/", "/join/", "/assets/"}:
                raise Failed(f"{name}: {meta['name']} makes {', '.join(sorted(paths))} public")
            annotations = meta.get("annotations") or {}
            if "non_idempotent" in str(annotations) and paths != {"/callbacks/"}:
                raise Failed(f"{name}: {meta['name']} tries orders twice")
            if any("proxy-body-size" in key or "client-max-body-size" in key for key in annotations):
                _folds(f"{name}: {meta['name']}", annotations, host["http"]["paths"])
    return "the paths of every ingress"


def _folds(what: str, annotations: dict[str, str], paths: list[dict[str, Any]]) -> None:
    """Without being named again, a path is passed on as it came, and not as it was folded and looked up."""
    [path] = paths
    prefix, service = path["path"].removesuffix("(.*)"), path["backend"]["service"]["name"]
    f5 = annotations.get("nginx.org/rewrites") == f"serviceName={service} rewrite={prefix}"
    kubernetes = "nginx.ingress.kubernetes.io"
    community = path["path"] != prefix and (
        annotations.get(f"{kubernetes}/rewrite-target"),
        annotations.get(f"{kubernetes}/use-regex"),
    ) == (f"{prefix}$1", "true")
    if not (f5 or community):
        raise Failed(f"{what} passes paths on as they come")


def policies() -> str:
    """In from who is named, as soon as somebody is; out only where that is asked for."""
    wanted = {"community-ingress": ["Ingress"], "everything": ["Ingress", "Egress"]}
    for name in _sets():
        found = [one["spec"] for one in objects(name) if one["kind"] == "NetworkPolicy"]
        if [spec["policyTypes"] for spec in found] != [types for of, types in wanted.items() if of == name]:
            raise Failed(f"{name}: {[spec['policyTypes'] for spec in found]}")
        for spec in found:
            if ("egress" in spec) != ("Egress" in spec["policyTypes"]):
                raise Failed(f"{name}: its rules are of other types than it says")
            spaces = [
                peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")
                for peer in spec["ingress"][0]["from"]
            ]
            controller = "ingress-nginx" if name == "community-ingress" else "nginx-ingress"
            if spaces != [controller, "monitoring", None]:
                raise Failed(f"{name}: lets in {spaces}")
    return "in from who is named, out where it is asked for"


def _one(name: str, kind: str) -> dict[str, Any]:
    return next(one for one in objects(name) if one["kind"] == kind)


def _ingresses(name: str) -> Iterator[dict[str, Any]]:
    return (one for one in objects(name) if one["kind"] == "Ingress")

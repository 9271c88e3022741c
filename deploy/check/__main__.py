"""`python -m deploy.check`: every check, then what ran and what could not be run."""

import argparse
import sys
from typing import Final

from deploy.check import chart, image, programs, proxy, texts
from deploy.check.running import Check, perform, report, tell

_CHECKS: Final = (
    Check("YAML", texts.yaml),
    Check("shell", texts.shell),
    Check("Dockerfile", texts.dockerfile),
    Check("compose.yaml", texts.compose),
    Check("dashboard", texts.dashboard),
    Check("chart: lint", chart.lint),
    Check("chart: schemas", chart.schemas),
    Check("chart: refusals", chart.refusals),
    Check("chart: grace period", chart.grace),
    Check("chart: ingress", chart.public),
    Check("chart: network policy", chart.policies),
    Check("chart: alerts", chart.rules),
    Check("prometheus", programs.prometheus),
    Check("nginx", proxy.configuration),
    Check("nginx: paths", proxy.paths),
    Check("systemd", programs.systemd),
    Check("image", image.image),
)

_BEYOND: Final = {
    "docker build, docker compose up": "they need a container engine",
    "the image's stage simulator": "its packages are those of .venv, where make test runs it",
    "helm install, helm test": "they need a cluster",
    "ServiceMonitor, PrometheusRule": "their schemas come with the Prometheus operator",
    "systemctl start": "it needs a machine that systemd has started",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make check-deploy", description=__doc__)
    parser.add_argument("--complete", action="store_true", help="fail as well for what could not be run here")
    parser.add_argument("--only", default="", help="checks whose name begins so")
    options = parser.parse_args()
    results = []
    for check in _CHECKS:
        if check.name.startswith(options.only):
            results.append(perform(check))
            tell(f"{results[-1].state:8} {check.name}")
    return report(results, _BEYOND, complete=options.complete)


if __name__ == "__main__":
    sys.exit(main())

"""The alerts for the Prometheus operator: k8s/components/prometheus-operator/rules.yaml.

python -m tools.prometheus_rule            write it
python -m tools.prometheus_rule --check    exit code 1 when it is not as it should be
python -m tools.prometheus_rule --docs-url https://docs.acme.org/quorate
                                           print it, for where you serve the documentation
"""

from __future__ import annotations

import sys
from pathlib import Path

_K8S = Path(__file__).resolve().parents[1] / "k8s"
ALERTS = _K8S / "observability" / "alerts.yaml"
RULES = _K8S / "components" / "prometheus-operator" / "rules.yaml"
DOCS = "https://docs.example.com/quorate"
_HEAD = """\
# Made from k8s/observability/alerts.yaml by `python -m tools.prometheus_rule`: change it there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: quorate
  namespace: quorate
  labels:
    app.kubernetes.io/part-of: quorate
spec:
"""


def text(docs_url: str = DOCS) -> str:
    """What the file should hold: the rules, indented, without their comments.

    Args:
        docs_url: with which each `runbook_url` begins.
    """
    lines = [line for line in ALERTS.read_text().splitlines() if not line.startswith("#")]
    rules = "".join(f"  {line}\n" if line else "\n" for line in lines)
    return _HEAD + rules.replace(DOCS, docs_url.rstrip("/"))


def main(arguments: list[str]) -> int:
    """Write the file, or compare it."""
    if arguments == ["--check"]:
        if RULES.read_text() == text():
            return 0
        print("rules.yaml is stale: run 'python -m tools.prometheus_rule'", file=sys.stderr)
        return 1
    if arguments[:1] == ["--docs-url"] and len(arguments) == 2:
        sys.stdout.write(text(arguments[1]))
        return 0
    RULES.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

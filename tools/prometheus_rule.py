"""The alerts for the Prometheus operator: k8s/components/prometheus-operator/rules.yaml.

python -m tools.prometheus_rule            write it
python -m tools.prometheus_rule --check    exit code 1 when it is not as it should be
"""

from __future__ import annotations

import sys
from pathlib import Path

_K8S = Path(__file__).resolve().parents[1] / "k8s"
ALERTS = _K8S / "observability" / "alerts.yaml"
RULES = _K8S / "components" / "prometheus-operator" / "rules.yaml"
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


def text() -> str:
    """What the file should hold: the rules, indented, without their comments."""
    lines = [line for line in ALERTS.read_text().splitlines() if not line.startswith("#")]
    return _HEAD + "".join(f"  {line}\n" if line else "\n" for line in lines)


def main(arguments: list[str]) -> int:
    """Write the file, or compare it."""
    if arguments == ["--check"]:
        if RULES.read_text() == text():
            return 0
        print("rules.yaml is stale: run 'python -m tools.prometheus_rule'", file=sys.stderr)
        return 1
    RULES.write_text(text())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

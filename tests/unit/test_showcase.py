"""The faults of `make showcase` name problems that the verdict has, and alerts that there are."""

from pathlib import Path

import pytest
import yaml

from scheduler.core.verdict.problems import Code
from tools.showcase.faults import FAULTS

ALERTS = Path(__file__).parents[2] / "k8s" / "observability" / "alerts.yaml"


def test_there_are_eleven_and_each_has_a_name_of_its_own():
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) == 11


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_its_problem_and_its_alert_exist(fault):
    assert fault.code in set(Code)
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    assert fault.alert in {rule["alert"] for group in groups for rule in group["rules"]}

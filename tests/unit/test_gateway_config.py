"""The gateway's settings: what is read, and what is refused with a sentence."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config import GatewaySettings


def test_labels_are_read_as_names_and_values():
    settings = GatewaySettings.model_validate({"labels": "zone=a, rack = 7"})
    assert settings.label_map == {"zone": "a", "rack": "7"}
    assert GatewaySettings().label_map == {}


@pytest.mark.parametrize(
    "hosts",
    ["q.example, Q2.Example.:443", "10.0.0.7,[::1],::1,fe80::1", "*", "", "my_gw,xn--bcher-kva.de"],
)
def test_names_of_the_gateway_in_any_usual_form_are_taken(hosts: str):
    assert GatewaySettings.model_validate({"hosts": hosts}).hosts == hosts


@pytest.mark.parametrize(
    "hosts", ["bücher.example", "https://q.example", "*.q.example", "q.example/ui", "a b", "q:http"]
)
def test_a_name_that_no_request_has_is_refused(hosts: str):
    """It would leave the name that was meant to any service that claims it."""
    with pytest.raises(ValidationError, match=r"is not a name such as .*xn--"):
        GatewaySettings.model_validate({"hosts": f"ok.example,{hosts}"})


@pytest.mark.parametrize("labels", ["zone", "=a", "zone=a,rack"])
def test_labels_of_another_form_are_refused_by_name(labels: str):
    said = r"labels\s+Value error, .* is not of the form name=value"
    with pytest.raises(ValidationError, match=said):
        GatewaySettings.model_validate({"labels": labels})

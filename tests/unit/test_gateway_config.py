"""The gateway's settings: what is read, and what is refused with a sentence."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config import GatewaySettings


def test_labels_are_read_as_names_and_values():
    settings = GatewaySettings.model_validate({"labels": "zone=a, rack = 7"})
    assert settings.label_map == {"zone": "a", "rack": "7"}
    assert GatewaySettings().label_map == {}


@pytest.mark.parametrize("labels", ["zone", "=a", "zone=a,rack"])
def test_labels_of_another_form_are_refused_by_name(labels: str):
    said = r"labels\s+Value error, .* is not of the form name=value"
    with pytest.raises(ValidationError, match=said):
        GatewaySettings.model_validate({"labels": labels})

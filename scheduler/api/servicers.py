"""What a leader serves: one servicer for each service of the contract."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.api.external_scaler import ExternalScaler
from scheduler.api.services.servicer import Registry
from scheduler.api.tasks.servicer import Service


@dataclass(frozen=True, slots=True)
class Servicers:
    """The servicers of one term, the role's servicer while it lasts."""

    scheduler: Service
    registry: Registry
    scaler: ExternalScaler

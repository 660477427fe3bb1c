"""What a leader serves: one servicer for each service of the contract."""

from __future__ import annotations

from dataclasses import dataclass

from scheduler.external_scaler import ExternalScaler
from scheduler.registry import Registry
from scheduler.service import Service


@dataclass(frozen=True, slots=True)
class Servicers:
    """The servicers of one tenure, the role's servicer while it lasts."""

    scheduler: Service
    registry: Registry
    scaler: ExternalScaler

"""Callers that wait for an answer: see `scheduler.core.values.reply_token`."""

from __future__ import annotations

from scheduler.core.values.reply_token import Pending

__all__ = ["Pending"]

"""The setting that says where large values are; mixed into those of schedulers and agents."""

from __future__ import annotations

from pydantic import BaseModel, Field, field_validator

from quorate.blobs.urls import check_url


class BlobSettings(BaseModel):
    """Mixed into a process's settings."""

    blob_url: str = Field(
        "",
        description="blob store for large arguments and results, such as s3://bucket/folder or "
        "file:///srv/quorate-blobs; the same on all schedulers and nodes. Empty: none",
    )

    @field_validator("blob_url")
    @classmethod
    def _check_blob_url(cls, value: str) -> str:
        return check_url(value) if value else ""

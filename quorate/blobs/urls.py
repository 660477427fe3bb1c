"""URLs of blob stores."""

from __future__ import annotations

from typing import Final

# By scheme: what has to be installed. Each is a store that all processes of a cluster can share.
# Nothing else is accepted: a client writes to where a cluster says, and `fsspec` knows schemes that
# run programs or read anybody's files.
PACKAGES: Final = {
    "file": "",
    "s3": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
}
MAX_URL: Final = 1_024


def check_url(url: str) -> str:
    """A URL without the slash at its end. Raises ValueError with a sentence."""
    if len(url) > MAX_URL:
        raise ValueError(f"has {len(url)} characters; at most {MAX_URL} are allowed")
    scheme, _, rest = url.partition("://")
    if scheme not in PACKAGES or "::" in url:
        known = ", ".join(f"{name}://" for name in PACKAGES)
        raise ValueError(f"{url!r} does not begin with one of {known}")
    if ".." in rest.split("/") or "\0" in rest:
        raise ValueError(f"{url!r} must not have '..' or NUL in its path")
    if scheme == "file":
        # A path as it is, also with '#' and '?'.
        if not rest.startswith("/") or not rest.strip("/"):
            raise ValueError(f"{url!r} does not name a folder; write file:///absolute/path")
        return url.rstrip("/")
    bucket = rest.partition("/")[0]
    if not bucket:
        raise ValueError(f"{url!r} names no bucket; write {scheme}://bucket/folder")
    # abfs://container@account.dfs.core.windows.net is how Azure writes it.
    user = "@" in bucket and not scheme.startswith("abfs")
    if user or ":" in bucket or "?" in rest or "#" in rest:
        # Whoever may call GetCluster reads it.
        raise ValueError(
            "must not have a user, a password, a query or a fragment: credentials belong into the "
            "environment of each process"
        )
    return url.rstrip("/")

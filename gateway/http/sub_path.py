"""A gateway shown below a path of another server (`--root-path /quorate`).

Proxies either strip the prefix or pass it on; both are understood. Inside, a scope is as ASGI has
it: `path` and `raw_path` with the prefix, `root_path` the prefix.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

_KEY = "quorate.inner_raw_path"


def inner_raw_path(scope: Scope) -> str:
    """The path of a request as it was sent (percent-encoded), without the prefix."""
    path: str = scope[_KEY]
    return path


class SubPath:
    """The outermost of the app's layers: every scope inside has gone through it."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app = app
        self._root = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            scope = self._inner(scope)
        await self._app(scope, receive, send)

    def _inner(self, scope: Scope) -> Scope:
        root, path = self._root, scope["path"]
        raw: bytes = scope.get("raw_path") or path.encode()
        # Some servers keep the query in it.
        text = raw.partition(b"?")[0].decode("latin-1")
        if not root:
            return {**scope, _KEY: text}
        if text == root or text.startswith(f"{root}/"):
            text, path = text[len(root) :] or "/", path[len(root) :] or "/"
        return {
            **scope,
            "root_path": root,
            "path": root + path,
            "raw_path": (root + text).encode("latin-1"),
            _KEY: text,
        }

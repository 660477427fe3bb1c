"""The dashboard's files at `/`: built by `make ui` into `gateway/_ui`, carried by the wheel.

They are read once, at the start, with their gzip form and ETag beside them: some 200 kB. What
`assets/` holds has its hash in its name and never changes; the rest is asked for again each time.
A gateway without them (a checkout that was not built) says so at `/` and serves everything else.

The page loads nothing from anywhere else, and its Content-Security-Policy lets it load nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import html
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.component import Context, Part

FOLDER: Final = Path(__file__).parent / "_ui"
_INDEX: Final = "index.html"
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        # Also the WebSocket: same host, same port.
        "connect-src 'self'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_UNBUILT: Final = (
    "<!doctype html><meta charset=utf-8><title>Quorate</title>"
    "<p>This gateway runs from a checkout in which the dashboard was not built: "
    '<code>make ui</code> does that. The API works: <a href="docs">reference</a>.'
)


@dataclass(frozen=True, slots=True)
class Page:
    """One file."""

    body: bytes
    zipped: bytes
    etag: str
    media_type: str
    immutable: bool

    def answer(self, request: Request) -> Response:
        """The file, or 304 for who has it."""
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable"
            if self.immutable
            else "no-cache",
            "Content-Security-Policy": _POLICY,
            "Cross-Origin-Opener-Policy": "same-origin",
            "ETag": self.etag,
            "Vary": "Accept-Encoding",
        }
        known = request.headers.get("if-none-match", "")
        if self.etag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        body = self.body
        if "gzip" in request.headers.get("accept-encoding", "") and len(self.zipped) < len(body):
            headers["Content-Encoding"], body = "gzip", self.zipped
        return Response(body, 200, headers, self.media_type)


def pages_part(context: Context) -> Part:
    """See gateway.component."""
    pages = read_pages(FOLDER, context.settings.root_path)
    return Part("pages", [_route(path, page) for path, page in pages.items()])


def read_pages(folder: Path, root_path: str = "") -> dict[str, Page]:
    """The files below a folder by their paths; `/` is index.html, or what says that it is missing.

    Args:
        root_path: the path under which a browser sees `/`, without its last slash.
    """
    pages: dict[str, Page] = {}
    for file in sorted(folder.rglob("*")):
        if file.suffix in _TYPES and file.is_file():
            path = file.relative_to(folder).as_posix()
            body = file.read_bytes()
            if path == _INDEX:
                path, body = "", _with_base(body, root_path)
            pages[f"/{path}"] = _page(body, file.suffix, immutable=path.startswith("assets/"))
    pages.setdefault("/", _page(_with_base(_UNBUILT.encode(), root_path), ".html"))
    return pages


def _page(body: bytes, suffix: str, *, immutable: bool = False) -> Page:
    digest = hashlib.sha256(body).hexdigest()[:20]
    zipped = gzip.compress(body, 9, mtime=0)
    return Page(body, zipped, f'"{digest}"', _TYPES[suffix], immutable)


def _with_base(body: bytes, root_path: str) -> bytes:
    """Relative addresses hold at `/quorate` too, which lacks the slash that they hang on."""
    if not root_path:
        return body
    base = f'<base href="{html.escape(root_path, quote=True)}/">'
    head = b"<head>" if b"<head>" in body else b"<!doctype html>"
    return body.replace(head, head + base.encode(), 1)


def _route(path: str, page: Page) -> Route:
    async def answer(request: Request) -> Response:
        return page.answer(request)

    return Route(path, answer, methods=["GET"])

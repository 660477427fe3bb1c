"""`/openapi.json`, and `/docs`: a page that shows it. No third-party assets, no other host."""

from __future__ import annotations

import gzip
from hashlib import blake2b
from importlib.resources import files
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.rest import headers as h

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
# Path, file, media type. The page's own links are relative, so that it works below a sub-path.
_FILES: Final = (
    ("/docs", "index.html", "text/html; charset=utf-8"),
    ("/docs/page.css", "page.css", "text/css; charset=utf-8"),
    ("/docs/page.js", "page.js", "text/javascript; charset=utf-8"),
    ("/docs/schema.js", "schema.js", "text/javascript; charset=utf-8"),
)


def docs_routes(document: bytes) -> list[Route]:
    """The routes of the document and of its page."""
    folder = files("gateway.rest") / "docs_page"
    return [
        _fixed("/openapi.json", document, "application/json"),
        *(_fixed(path, (folder / name).read_bytes(), kind) for path, name, kind in _FILES),
    ]


def _fixed(path: str, content: bytes, media_type: str) -> Route:
    """Serves bytes that never change, compressed once, with an entity tag."""
    compressed = gzip.compress(content, 9, mtime=0)
    tag = blake2b(content, digest_size=12).hexdigest()
    common = {
        "Cache-Control": "no-cache",
        "Vary": "Accept-Encoding",
        "Content-Security-Policy": _POLICY,
    }

    async def answer(request: Request) -> Response:
        headers: Headers = request.headers
        known = h.tags(headers, h.IF_NONE_MATCH)
        if known is not None and known.matches(tag, weakly=True):
            return Response(None, 304, {**common, "ETag": f'"{tag}"'})
        if h.accepts(headers, "Accept-Encoding", "gzip") > 0:
            encoded = {"Content-Encoding": "gzip", "ETag": f'"{tag}{h.GZIPPED}"'}
            return Response(compressed, 200, {**common, **encoded}, media_type)
        return Response(content, 200, {**common, "ETag": f'"{tag}"'}, media_type)

    return Route(path, answer)

"""How the dashboard's files are served: caching, compression, and what the page may load."""

import gzip

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gateway.pages import _route, read_pages


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text(
        "<!doctype html><html><head><title>x</title></head></html>"
    )
    (tmp_path / "assets" / "index-abc.js").write_text("console.log('hello');\n" * 50)
    (tmp_path / "theme.js").write_text("1")
    (tmp_path / ".stamp").write_text("not a page")
    return tmp_path


def client(folder, root_path=""):
    routes: list[Route] = [
        _route(path, page) for path, page in read_pages(folder, root_path).items()
    ]
    transport = httpx.ASGITransport(Starlette(routes=routes))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


async def test_the_page_may_load_nothing_from_elsewhere_and_nothing_inline(folder):
    async with client(folder) as http:
        answer = await http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_hashed_files_are_kept_for_ever_and_the_page_is_asked_for_each_time(folder):
    async with client(folder) as http:
        assert "immutable" in (await http.get("/assets/index-abc.js")).headers["cache-control"]
        page = await http.get("/")
        assert page.headers["cache-control"] == "no-cache"
        etag = page.headers["etag"]
        for known in (etag, f'"other", W/{etag}'):
            again = await http.get("/", headers={"If-None-Match": known})
            assert (again.status_code, again.content) == (304, b"")
        assert (await http.get("/", headers={"If-None-Match": '"other"'})).status_code == 200
        assert (await http.head("/")).status_code == 200


async def test_compressed_for_who_wants_it(folder):
    async with client(folder) as http:
        plain = await http.get("/assets/index-abc.js", headers={"Accept-Encoding": "identity"})
        zipped = await http.get("/assets/index-abc.js", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert int(zipped.headers["content-length"]) < int(plain.headers["content-length"]) / 4
    assert plain.content == zipped.content


async def test_nothing_but_its_files_is_served(folder):
    async with client(folder) as http:
        for path in ("/.stamp", "/index.html", "/assets/", "/assets/../.stamp", "/other.js"):
            assert (await http.get(path)).status_code == 404, path


def test_relative_addresses_hold_without_the_last_slash(folder):
    page = read_pages(folder, "/a/b")["/"]
    assert b'<head><base href="/a/b/"><title>' in page.body
    assert gzip.decompress(page.zipped) == page.body
    assert b"<base" not in read_pages(folder)["/"].body


async def test_a_checkout_that_was_not_built_says_what_to_do(tmp_path):
    async with client(tmp_path / "nothing") as http:
        answer = await http.get("/")
    assert answer.status_code == 200
    assert "make ui" in answer.text

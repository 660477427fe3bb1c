"""The documentation site loads nothing from the internet."""

from __future__ import annotations

from pathlib import Path

from tools.docs.foreign import foreign_scripts


def test_a_page_that_loads_a_script_from_another_host_is_named(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "own.html").write_text('<script src="assets/mermaid.min.js"></script>')
    (tmp_path / "link.html").write_text('<a href="https://example.com/">elsewhere</a>')
    (tmp_path / "deep/other.html").write_text('<script src="https://example.com/a"></script>')
    (tmp_path / "short.html").write_text("<script async src=//example.com/a></script>")
    pages = [line.partition(":")[0] for line in foreign_scripts(tmp_path)]
    assert pages == ["deep/other.html", "short.html"]

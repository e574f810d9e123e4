"""A real browser, and pages that must neither complain nor ask for anything but their own file."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import xaitool.report


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """One browser, and one run to be looked at, are enough: in one process (with ``--dist loadgroup``)."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("browser"))


REPORT = Path(xaitool.report.__file__).parent


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium, headless."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    paths = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    path = next(filter(None, paths), None)
    if path is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the PATH")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Open an HTML text as a file: ``open_page(html, fragment, width=…, height=…, dark=…) -> playwright's Page``.

    At the end of the test no page may have complained on its console, raised an error, opened an alert or asked for
    anything but its file.
    """
    contexts, complaints, requests = [], [], []
    file = tmp_path / "report.html"

    def hear(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    def refuse(dialog: Any) -> None:
        complaints.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    def open_page(html: str, fragment: str = "", *, width: int = 1280, height: int = 900, dark: bool = False) -> Any:
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(5000)
        page.on("console", hear)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", refuse)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(file.as_uri() + fragment)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url.split("#")[0] for url in requests if not url.startswith("data:")} <= {file.as_uri()}


@pytest.fixture(scope="session")
def page_around() -> Callable[..., str]:
    """Makes a page around a gallery, with the report's colours and a policy as strict as the report's."""
    return _page_around


def _page_around(gallery: str, before: str = "", after: str = "") -> str:
    style = "".join((REPORT / name).read_text(encoding="utf-8") for name in ("style.css", "gallery.css"))
    script = (REPORT / "gallery.js").read_text(encoding="utf-8")
    policy = f"default-src 'none'; img-src data:; style-src {_digest(style)}; script-src {_digest(script)}"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>A gallery</title><style>{style}</style></head><body>'
        f"<main><h1>A run</h1>{before}<section><h2>Explained images</h2>{gallery}</section>{after}</main>"
        f"<script>{script}</script></body></html>"
    )


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

"""JupyterLab in a real browser, for tests: start it, open a notebook, run all cells, look at what a person sees."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Page, sync_playwright

# Without them chromium fails in a container, or asks the network for updates.
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
CHROMIUM += ["--disable-sync", "--no-first-run"]
RUN_ALL = """seconds => Promise.race([
    window.jupyterapp.commands.execute('notebook:run-all-cells'),
    new Promise((_, fail) => setTimeout(() => fail(new Error(`still running after ${seconds} s`)), 1000 * seconds)),
])"""
PICTURE = "svg[role=img]"  # the whole drawing: one may hold others, cut off at their frames
WIDGET = "application/vnd.jupyter.widget-view+json"
KERNEL_IDLE = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
SETTINGS = {
    # All cells stay in the page: by default JupyterLab takes away those that are scrolled out of sight.
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def browser() -> str | None:
    """The path of an installed chromium or Chrome, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextlib.contextmanager
def server(folder: Path, scratch: Path) -> Iterator[str]:
    """A JupyterLab on ``folder`` with settings of its own in ``scratch``; yields its address."""
    for name, settings in SETTINGS.items():
        path = scratch / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyterlab", str(folder), "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True"]  # so that a test can wait until all cells have run
    env = dict(os.environ) | {
        "JUPYTERLAB_SETTINGS_DIR": str(scratch / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces"),
        "JUPYTER_RUNTIME_DIR": str(scratch / "runtime"),
        "JUPYTER_CONFIG_DIR": str(scratch / "config"),
    }
    with (scratch / "lab.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=env)
    try:
        _wait_for(f"http://127.0.0.1:{port}/api?token={token}", process, scratch / "lab.log")
        yield f"http://127.0.0.1:{port}/lab/tree/{{path}}?token={token}&reset"
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextlib.contextmanager
def window(*, width: int = 1280, height: int = 900) -> Iterator[BrowserContext]:
    """A window of a real browser; ``window.new_page()`` opens a page in it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=CHROMIUM)
        try:
            context = chromium.new_context(viewport={"width": width, "height": height})
            context.set_default_timeout(30_000)
            yield context
        finally:
            chromium.close()


class Notebook:
    """A notebook that is open in the page."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        page.goto(url)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        page.wait_for_function(KERNEL_IDLE, timeout=60_000)
        page.keyboard.press("Control+b")  # the file browser takes a quarter of the window

    def run(self, *, seconds: float = 300) -> None:
        """Run all cells and wait for the last one."""
        self.page.evaluate(RUN_ALL, seconds)

    def errors(self) -> list[str]:
        """What error outputs say, and widgets that could not be drawn."""
        texts = [f"{out['ename']}: {out['evalue']}" for out in self._outputs() if out["output_type"] == "error"]
        texts += self.page.get_by_text("Error displaying widget").all_inner_texts()
        return texts + self.page.get_by_text("Click to show javascript error").all_inner_texts()

    def displayed(self) -> int:
        """How many outputs are explorers or forms, drawn or not. Progress bars are widgets too, and go away."""
        outputs = [output.get("data", {}) for output in self._outputs()]
        said = ["".join(data.get("text/plain", "")) for data in outputs if WIDGET in data]
        return sum(bool(re.match(r"[A-Z]\w+: ", text)) for text in said)

    def explorers(self) -> list[Locator]:
        """The live explorers, from top to bottom; a notebook may have none."""
        explorers = self.page.locator(".cnn-explorer").all()
        for explorer in explorers:
            explorer.locator(PICTURE).last.wait_for()
        return explorers

    def forms(self) -> list[Locator]:
        """Questions that are shown as forms."""
        return self.page.locator(".cnn-form").all()

    def _outputs(self) -> list[dict]:
        cells = self.page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells")
        return [output for cell in cells for output in cell.get("outputs", [])]

    def close(self) -> None:
        """End the kernel, without a question about what was not saved."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.close()


def alt(explorer: Locator) -> str:
    """What the explorer's picture says to somebody who cannot see it."""
    return explorer.locator(PICTURE).last.get_attribute("aria-label") or ""


def wait_for(explorer: Locator, *parts: str) -> None:
    """Wait until the explorer's picture says all of this: what was drawn for an earlier key may come later."""
    until(lambda: all(part in alt(explorer) for part in parts), f"the picture never showed {parts}")


def press(explorer: Locator, label: str, key: str, *, times: int = 1) -> None:
    """Move the slider of this label with the keyboard, and wait until the picture has changed."""
    before = explorer.locator(PICTURE).last.inner_html()
    handle = explorer.locator(".widget-slider", has_text=label).locator(".noUi-handle, .ui-slider-handle").first
    handle.scroll_into_view_if_needed()
    for _ in range(times):
        handle.press(key)
    until(lambda: explorer.locator(PICTURE).last.inner_html() != before, f"{label}: the picture did not change")


def until(done: Callable[[], bool], message: str, *, seconds: float = 15) -> None:
    """Wait until ``done()``; AssertionError with ``message`` when it never comes."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise AssertionError(message)
        time.sleep(0.1)


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + 90
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.3)
    process.kill()
    raise RuntimeError(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")

"""A real JupyterLab and a real Chromium or Chrome, for the tests and for the benchmark, and nothing left behind."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
# Run before the kernel is there, and Lab asks which kernel is meant.
SESSION = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session"
KERNEL_READY = f"() => {SESSION}?.kernel?.status === 'idle'"
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    *(str(Path(os.environ[key], "Google/Chrome/Application/chrome.exe"))
      for key in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA") if key in os.environ),
)
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]


def find_browser() -> str | None:
    """The path of a Chromium or Chrome on this machine; the variable CHROME goes first."""
    candidates = [os.environ.get("CHROME"), *map(shutil.which, NAMES), *PLACES]
    return next((path for path in candidates if path and Path(path).is_file()), None)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def offline_page(browser, width: int, height: int, local: tuple[str, ...]) -> Iterator:
    """A page without a network; at the end nothing was asked of one, which is all that does not begin as the `local`
    addresses do, and nothing was complained of."""
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_offline(True)
    page = context.new_page()
    asked, complaints = [], []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(error.stack))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    assert not [url for url in asked if not url.startswith(local)]
    assert not complaints
    context.close()


class NotReady(Exception):
    """JupyterLab did not come up."""


def is_labs_own(stack: str) -> bool:
    """Whether an error was raised by JupyterLab alone: its pages race with themselves now and then."""
    frames = re.findall(r"(?:https?|blob):\S+", stack)
    return bool(frames) and all("/static/lab/" in frame for frame in frames)


class Lab:
    """A running JupyterLab: its address, and the folder that it serves."""

    def __init__(self, url: str, folder: Path):
        self.url, self.folder = url, folder

    def request(self, method: str, path: str, seconds: float = 30) -> bytes:
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.read()

    def answers(self) -> bool:
        try:
            return bool(self.request("GET", "/api/status", seconds=2))
        except OSError:
            return False

    def open(self, page, notebook: str) -> None:
        """Open a notebook of the served folder on the page, with a new kernel."""
        self.end_sessions()
        page.goto(f"{self.url}/lab/tree/{notebook}?reset")
        page.wait_for_function(KERNEL_READY)

    def run_all(self, page, notebook: str) -> None:
        """Open a notebook and start all its cells."""
        self.open(page, notebook)
        page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")

    @contextmanager
    def notebook(self, browser, name: str, sources: Sequence[str], height: int) -> Iterator[tuple]:
        """A page on which a notebook of these cells is running: (page, all that it sends to the kernel).

        At the end the browser must not have complained; what JupyterLab's own scripts do among themselves is its own.
        """
        cells = [{"cell_type": "code", "id": f"cell{i}", "metadata": {}, "outputs": [], "execution_count": None,
                  "source": source} for i, source in enumerate(sources)]
        (self.folder / name).write_text(json.dumps({
            "nbformat": 4, "nbformat_minor": 5, "cells": cells,
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}}}))
        context = browser.new_context(viewport={"width": 1280, "height": height})
        page = context.new_page()
        page.set_default_timeout(90_000)
        complaints, sent = [], []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: None if is_labs_own(error.stack) else complaints.append(error.stack))
        page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
        self.run_all(page, name)
        yield page, sent
        assert not complaints
        context.close()

    def end_sessions(self) -> None:
        """Shut every kernel down: Lab would attach a notebook that is opened again to its old one."""
        for session in json.loads(self.request("GET", "/api/sessions")):
            try:
                self.request("DELETE", f"/api/sessions/{session['id']}")
            except urllib.error.HTTPError as error:
                if error.code != 404:  # gone by itself in the meantime
                    raise


def write_settings(folder: Path, plugin: str, settings: dict) -> None:
    path = folder / f"{plugin}.jupyterlab-settings"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings))


@contextmanager
def running_browser(path: str) -> Iterator:
    """A browser driven by Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def running_lab(home: Path, folder: Path) -> Iterator[Lab]:
    """A JupyterLab of this environment that serves `folder`, with settings of its own in `home`, on a free port."""
    names = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime",
             "JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
             "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}
    env = os.environ | {name: str(home / part) for name, part in names.items()}
    env["OMP_NUM_THREADS"] = "1"  # the browser needs the other core, and these tensors are small
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    write_settings(home / "settings", "@jupyterlab/apputils-extension/notification",
                   {"fetchNews": "false", "checkForUpdates": False})
    write_settings(home / "settings", "@jupyter-widgets/jupyterlab-manager/plugin", {"saveState": True})  # as start.py
    port = free_port()
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}",
               "--ServerApp.port_retries=0", "--IdentityProvider.token=", "--ServerApp.password=",
               "--ServerApp.disable_check_xsrf=True", "--expose-app-in-browser",
               f"--ServerApp.root_dir={folder}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    log = home / "lab.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    running = Lab(f"http://127.0.0.1:{port}", folder)
    try:
        end = time.monotonic() + START_SECONDS
        while not running.answers():
            if process.poll() is not None or time.monotonic() > end:
                raise NotReady(f"JupyterLab did not start:\n{log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield running
        running.end_sessions()
        running.request("POST", "/api/shutdown")
        process.wait(20)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()

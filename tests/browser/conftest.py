"""One JupyterLab and one Chromium or Chrome for a run of the tests."""

from pathlib import Path

import pytest
from real_lab import NotReady, find_browser, running_browser, running_lab


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def chrome():
    """A browser driven by Playwright."""
    pytest.importorskip("playwright.sync_api", reason="Playwright for Python is not installed.")
    path = find_browser()
    if path is None:
        pytest.skip("No Chromium or Chrome found: install one, or set CHROME to its path.")
    with running_browser(path) as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(chrome, tmp_path_factory):
    """A JupyterLab of this environment, with settings of its own, on a free port."""
    try:
        with running_lab(tmp_path_factory.mktemp("jupyter"), tmp_path_factory.mktemp("notebooks")) as running:
            yield running
    except NotReady as error:
        pytest.fail(str(error))

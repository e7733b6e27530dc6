"""The report in a browser, at the width of a phone."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gensis.figures.page import page
from gensis.figures.run import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# An iframe, since a headless window has a minimum width.
FRAME = """<!doctype html><iframe id="phone" width="400" height="800" srcdoc="{}"></iframe>
<script>
onload = () => {{
  const root = document.getElementById("phone").contentDocument.documentElement;
  document.title = `${{root.clientWidth}} ${{root.scrollWidth}}`;
}};
</script>"""
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def opened(html: str, folder: Path) -> tuple[int, int, list[str]]:
    """Width of the window and of its content, in px, and the lines that the browser wrote to its console."""
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(html.replace("&", "&amp;").replace('"', "&quot;")), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options += [f"--user-data-dir={folder / 'browser'}", "--virtual-time-budget=5000", "--dump-dom"]
    options += ["--enable-logging=stderr", "--v=0"]
    shown = subprocess.run([CHROMIUM, *options, frame.as_uri()], check=True, capture_output=True, text=True)
    client_px, scroll_px = map(int, re.search(r"<title>(\d+) (\d+)</title>", shown.stdout).groups())
    return client_px, scroll_px, [line for line in shown.stderr.splitlines() if "CONSOLE" in line]


def test_page_fits_a_phone_and_logs_nothing(full: Run, tmp_path: Path) -> None:
    html = page(full)
    assert {"map", "forest", "interpolations"} <= set(re.findall(r'class="(?:bank )?(\w+)"', html))
    assert opened(html, tmp_path) == (400, 400, [])


def test_browser_check_detects_overflow_and_script_errors(tmp_path: Path) -> None:
    wrong = '<!doctype html><div style="width: 500px">wide</div><img src="/absent.png"><script>absent()</script>'
    client_px, scroll_px, console = opened(wrong, tmp_path)
    assert client_px < scroll_px
    assert any("absent is not defined" in line for line in console)

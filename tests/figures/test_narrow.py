"""The page in a browser, as narrow as a phone."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gensis.figures.page import page
from gensis.figures.run import Run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# An iframe, since a headless window has a least width of its own.
FRAME = """<!doctype html><iframe id="phone" width="400" height="800" srcdoc="{}"></iframe>
<script>
onload = () => {{
  const root = document.getElementById("phone").contentDocument.documentElement;
  document.title = `${{root.clientWidth}} ${{root.scrollWidth}}`;
}};
</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_page_does_not_scroll_sideways_at_400_px(run: Run, tmp_path: Path) -> None:
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(page(run).replace("&", "&amp;").replace('"', "&quot;")), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    options += [f"--user-data-dir={tmp_path / 'browser'}", "--virtual-time-budget=5000", "--dump-dom"]
    shown = subprocess.run([CHROMIUM, *options, frame.as_uri()], check=True, capture_output=True, text=True).stdout
    client_px, scroll_px = map(int, re.search(r"<title>(\d+) (\d+)</title>", shown).groups())
    assert client_px == 400
    assert scroll_px == client_px

# Copyright: (c) 2026, goldsmith.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Chromium without a screen: what it makes of a page, as DOM, picture or PDF."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
]
PHONE, DESKTOP = (390, 844), (1280, 900)
_CSP = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


def dom(page: Path, size: tuple[int, int] = DESKTOP, dark: bool = False) -> str:
    """Return the document as it is when its scripts have run."""
    return _run(page, size, "--dump-dom", *(["--blink-settings=preferredColorScheme=0"] if dark else []))


def picture(page: Path, to: Path, size: tuple[int, int], dark: bool = False) -> None:
    _run(page, size, f"--screenshot={to}", *(["--blink-settings=preferredColorScheme=0"] if dark else []))


def pdf(page: Path, to: Path) -> None:
    _run(page, DESKTOP, f"--print-to-pdf={to}", "--no-pdf-header-footer")


def with_script(page: Path, script: str, name: str) -> Path:
    """Return a copy of the page that runs the script too, without the policy that holds other scripts off."""
    text = _CSP.sub("", page.read_text(encoding="utf-8"))
    copy = page.with_name(name)
    copy.write_text(text.replace("<head>", "<head>" + f"<script>{script}</script>", 1), encoding="utf-8")
    return copy


def _run(page: Path, size: tuple[int, int], *arguments: str) -> str:
    with tempfile.TemporaryDirectory() as profile:
        command = ["chromium", *FLAGS, f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", *arguments]
        done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout

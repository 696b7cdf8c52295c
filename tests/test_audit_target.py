import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def test_audit_that_reaches_nobody_says_that_it_looked_nothing_up() -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    argv = [sys.executable, str(CHECKOUT / ".ci/audit")]
    done = subprocess.run(argv, env=os.environ | nowhere, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("audit: SKIPPED, nothing was looked up: https://api.osv.dev/")


def test_audit_is_about_what_is_installed() -> None:
    assert "requirements.txt" in (CHECKOUT / ".ci/audit").read_text()
    assert (CHECKOUT / "Makefile").read_text().count(".ci/audit") == 1

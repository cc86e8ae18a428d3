"""The tools' own environment, `.audit/`: they see what is installed, and are no part of it."""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TOOLS = Path(__file__).with_name("tools.txt")
LOCK = ROOT / "requirements" / "audit.lock"
FOLDER = ROOT / ".audit"


def tool(name: str) -> Path:
    """Return a tool's program; the environment is made if it is not there or not as locked."""
    wanted = LOCK if LOCK.is_file() else TOOLS
    stamp = FOLDER / ".installed"
    current = hashlib.sha256(wanted.read_bytes() + TOOLS.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != current:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(FOLDER)], check=True)
        pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "install", "-qq"]
        hashed = ["--require-hashes"] if wanted == LOCK else []
        quiet = ["--disable-pip-version-check", "--no-warn-script-location"]
        subprocess.run([*pip, *quiet, *hashed, "-r", str(wanted)], check=True)
        stamp.write_text(current, encoding="utf-8")
    return FOLDER / "bin" / name

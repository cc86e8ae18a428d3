"""Which versions of vLLM no longer have a known hole that a request can reach."""

import re
from collections.abc import Mapping

FIXED: Mapping[str, tuple[tuple[int, int, int], str]] = {
    "CVE-2026-48746": ((0, 22, 0), "a crafted Host header passes by the API key"),
    "CVE-2026-44223": ((0, 20, 0), "a request crashes the engine"),
    "CVE-2026-34756": ((0, 19, 0), "a huge n exhausts the memory"),
    "CVE-2026-22778": ((0, 14, 1), "a broken image runs code without a key"),
    "CVE-2026-24779": ((0, 14, 1), "an address in a request reaches inner servers"),
    "CVE-2026-22807": ((0, 14, 0), "a model's own code runs although that was not allowed"),
    "CVE-2025-62426": ((0, 11, 1), "template variables block the server"),
    "CVE-2025-62164": ((0, 11, 1), "prompt embeddings corrupt memory"),
    "CVE-2025-9141": ((0, 10, 2), "a tool call of the model's is run as code"),
}
"""A vulnerability → the first version without it, and what it does."""

FLOOR = max(version for version, _ in FIXED.values())

_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def known_holes(version: str) -> tuple[str, ...] | None:
    """Return the known vulnerabilities of a version; None where the text is no version."""
    found = _VERSION.match(version)
    if found is None:
        return None
    numbers = tuple(int(part or 0) for part in found.groups())
    return tuple(name for name, (fixed, _) in FIXED.items() if numbers < fixed)

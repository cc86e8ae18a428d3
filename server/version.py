"""The installed version and the fingerprint of everything that shapes an answer."""

import hashlib
from importlib.metadata import PackageNotFoundError, version

from revision.prompts import fingerprint as prompts_fingerprint

PACKAGE = "clinalign-serve"


def package_version() -> str:
    """Return the installed version, or 0 in a checkout that is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "0"


def system_fingerprint(model: str, corpus_sha256: str, *, demo: bool) -> str:
    """Return OpenAI's `system_fingerprint`: model, prompts, principles, version.

    The demo engine shows in it, so that no log of answers can pass its for a real model's.
    """
    parts = f"{model}\0{corpus_sha256}\0{prompts_fingerprint()}\0{package_version()}"
    digest = hashlib.sha256(parts.encode()).hexdigest()[:12]
    return f"fp_demo_{digest}" if demo else f"fp_{digest}"

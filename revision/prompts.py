"""The prompts: Markdown files beside this module, rendered strictly.

A variable that a template names and a caller forgets is an error, not an empty string. Quoted
text is fenced with a nonce made afresh for each request, so that no text can close its own fence;
the nonce is the same for all prompts of a request, so that they share their beginning. A model that
has seen it could write it into a criterion or a finding, so what is quoted is cleared of it.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent / "prompts"

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701  # the output is a prompt, not a page
    keep_trailing_newline=False,
)


CLEARED = "*"
"""Stands where a quoted text had the nonce; no part of any nonce, so none can arise around it."""


def render(name: str, *, nonce: str | None = None, **variables: object) -> str:
    """Render the prompt `name` with its variables; `nonce` fences those that are quoted.

    Raises:
        jinja2.UndefinedError: a variable is missing.

    """
    if nonce:
        variables = {key: cleared(value, nonce) for key, value in variables.items()} | {
            "nonce": nonce
        }
    return _ENVIRONMENT.get_template(f"{name}.md").render(variables).strip()


def cleared(value: object, nonce: str) -> object:
    """Return the value without the nonce in any of its texts."""
    if isinstance(value, str):
        return re.sub(re.escape(nonce), CLEARED, value, flags=re.IGNORECASE)
    if isinstance(value, Mapping):
        return {key: cleared(inner, nonce) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [cleared(inner, nonce) for inner in value]
    return value


def fingerprint() -> str:
    """Return a hash of all prompts, for records and reports."""
    digest = hashlib.sha256()
    for file in sorted(FOLDER.glob("*.md")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]

"""The prompts: Markdown files beside this module, rendered strictly.

A variable that a template names and a caller forgets is an error, not an empty string. Quoted
text is fenced with a nonce made afresh for each request, so that no text can close its own fence;
the nonce is the same for all prompts of a request, so that they share their beginning.
"""

import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

FOLDER = Path(__file__).parent / "prompts"

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(FOLDER),
    undefined=StrictUndefined,
    autoescape=False,  # noqa: S701  # the output is a prompt, not a page
    keep_trailing_newline=False,
)


def render(name: str, **variables: object) -> str:
    """Render the prompt `name` with its variables.

    Raises:
        jinja2.UndefinedError: a variable is missing.

    """
    return _ENVIRONMENT.get_template(f"{name}.md").render(variables).strip()


def fingerprint() -> str:
    """Return a hash of all prompts, for records and reports."""
    digest = hashlib.sha256()
    for file in sorted(FOLDER.glob("*.md")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]

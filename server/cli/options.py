"""The options that mean the same on every command that needs a model."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Upstreams: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--upstream",
        help="Base URL of an OpenAI-compatible model server, such as http://127.0.0.1:8001/v1; "
        "several are replicas of one model.",
    ),
]
UpstreamModel: TypeAlias = Annotated[
    str | None, typer.Option("--upstream-model", help="The upstream's model to use.")
]
Engine: TypeAlias = Annotated[
    str | None,
    typer.Option("--engine", help="`demo`: the embedded engine, the default without --upstream."),
]
JudgeUpstream: TypeAlias = Annotated[
    str | None, typer.Option("--judge-upstream", help="A model server of its own for the judge.")
]
JudgeModel: TypeAlias = Annotated[
    str | None, typer.Option("--judge-model", help="The judge's model there.")
]
Config: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="A YAML file of settings.")
]

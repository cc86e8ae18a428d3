"""Replies that must be JSON: asked for under a schema, read strictly, asked again once."""

import re
from typing import TypeVar

from pydantic import TypeAdapter

from models.messages import Call, Completion
from revision.calls import Calls, Step
from revision.errors import Unparsable
from revision.form import parse

Value = TypeVar("Value")

_THINKING = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)


async def ask(calls: Calls, step: Step, call: Call, form: TypeAdapter[Value]) -> Value:
    """Have the writer reply in that form, and once more if the first reply is unusable.

    Raises:
        Unparsable: the second reply is unusable too.
        ModelError: as the model says.
        DeadlinePassed: the request's time was up first.

    """
    try:
        return read(await calls.write(step, call), form)
    except Unparsable:
        return read(await calls.write(step, call), form)


def read(completion: Completion, form: TypeAdapter[Value], *, alone: bool = False) -> Value:
    """Read a reply as that form: bare JSON, or JSON in a fence, or after a model's thinking.

    `alone`: no other word may stand beside the JSON, and no key twice in it. A judge that quotes
    `{"verdict": "yes"}` from the answer, as in "it claims … but", has not given that verdict.

    Raises:
        Unparsable: it was cut short or is not of that form. Never a guess.

    """
    if completion.finish_reason == "length":
        raise Unparsable("the reply was cut short")
    text = _THINKING.sub("", completion.text).strip()
    start, end = text.find("{"), text.rfind("}")
    try:
        if alone:
            return form.validate_python(parse(_FENCE.sub(r"\1", text)))
        return form.validate_json(text[start : end + 1] if 0 <= start < end else text)
    except ValueError:  # pydantic's is one
        raise Unparsable("the reply is not JSON of the form asked for") from None

"""`POST /v1/responses`: the same loop as for chat completions, in the other form."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from server.access import needs
from server.event_stream import EventStream
from server.json_response import JsonResponse
from server.responses.body import Told
from server.responses.request import ResponsesRequest, to_chat
from server.responses.stream import events, whole
from server.routes import chat
from server.routes.wiring import Wired
from server.schemas import read_form

router = APIRouter(dependencies=[Depends(needs("chat"))])


@router.post("/v1/responses", response_model=None)
async def responses(request: Request, services: Wired) -> Response:
    """Answer a conversation: drafted, critiqued, revised, re-checked."""
    asked = await read_form(request, ResponsesRequest)
    body = to_chat(asked)
    told = Told(request=asked, chat=body)
    answer = await chat.answer(request, services, body)
    if isinstance(answer, EventStream):
        return answer.through(lambda chunks: events(told, chunks))
    kept = {name: value for name, value in answer.headers.items() if name.startswith("x-")}
    return JsonResponse(whole(told, bytes(answer.body)), headers=kept)

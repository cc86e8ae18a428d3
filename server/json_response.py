"""JSON responses by orjson: UTF-8, no spaces, a tenth of the standard library's time."""

import orjson
from starlette.responses import JSONResponse


class JsonResponse(JSONResponse):
    """A JSON response."""

    def render(self, content: object) -> bytes:
        """Return the body."""
        return orjson.dumps(content)

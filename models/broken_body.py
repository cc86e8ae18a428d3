"""Ending a reply whose connection has ended.

aiohttp's parser closes the connection when the framing of a chunked body is broken, and tells the
one who asks for the next reply, but not the one who reads this body: he waits until his deadline.
So a body that is not whole when its connection is gone is ended here.
"""

import asyncio

import aiohttp

Closed = asyncio.Future[None]


def end_with_connection(response: aiohttp.ClientResponse) -> None:
    """Raise where the body is read once the connection is gone and the body not whole."""
    protocol = response.connection.protocol if response.connection is not None else None
    closed = protocol.closed if protocol is not None else None
    if closed is None:
        return  # a body that is already here, or an end that was already told

    def tell(_: Closed) -> None:
        content = response.content
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the body ended before it was whole"))

    closed.add_done_callback(tell)

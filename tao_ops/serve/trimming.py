"""Takes a stream's last chunk out, that of the tokens, where the server asked for it and the client did not."""

from tao_ops.serve.responses import App, Message, Receive, Scope, Send

_END = b"\n\n"
_NO_CHOICES = b'"choices":[]'


class Trimmed:
    """Stands around the capture, which so sees the engine's count of tokens in every stream.

    ``scope["state"]["tao_trim"]`` says, before a stream begins, that the chunk is to be taken out. Events are given on
    as soon as they are whole; a part of one waits for its rest.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        state, held = scope["state"], b""

        async def trimmed(message: Message) -> None:
            nonlocal held
            if message["type"] != "http.response.body" or not state.get("tao_trim"):
                return await send(message)
            held += message.get("body", b"")
            end = len(held) if not message.get("more_body") else held.rfind(_END) + len(_END) * (_END in held)
            whole, held = held[: max(end, 0)], held[max(end, 0) :]
            body = without_usage(whole)
            if body or not message.get("more_body"):
                await send({**message, "body": body})

        await self._app(scope, receive, trimmed)


def without_usage(events: bytes) -> bytes:
    """Whole events without the one that has no choices.

    >>> without_usage(b'data: {"choices":[{}]}\\n\\ndata: {"choices":[],"usage":{}}\\n\\ndata: [DONE]\\n\\n')
    b'data: {"choices":[{}]}\\n\\ndata: [DONE]\\n\\n'
    """
    if _NO_CHOICES not in events:
        return events
    return b"".join(event + _END for event in events.removesuffix(_END).split(_END) if not _is_usage(event))


def _is_usage(event: bytes) -> bool:
    # Within a text the quotes would be escaped.
    return _NO_CHOICES in event and b'"usage":{' in event

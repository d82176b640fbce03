"""A receiver of webhooks that only counts: `python -m benchmarks.sink FILE`.

A process of its own, so that it outlives whatever is killed and shares no interpreter with what is
measured. Prints its port; appends `id time` to FILE for each message at its first byte.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TextIO

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Sink:
    def __init__(self, log: TextIO) -> None:
        self._log = log

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            first = await reader.readexactly(1)
            at = time.time()
            head = first + await reader.readuntil(b"\r\n\r\n")
            headers = dict(
                line.decode("latin-1").lower().split(": ", 1)
                for line in head.split(b"\r\n")[1:]
                if b": " in line
            )
            await reader.readexactly(int(headers.get("content-length", "0")))
            self._log.write(f"{headers.get('webhook-id', '')} {at}\n")
            writer.write(ANSWER)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # a sender that was killed in the middle of its message
        finally:
            writer.close()


async def serve(path: str) -> None:
    with open(path, "a", buffering=1) as log:
        server = await asyncio.start_server(Sink(log).answer, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))

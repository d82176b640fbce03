"""A web server in a process of its own that remembers when each path was asked and answered.

`python -m tests.monitors.witness FILE`: prints its port; on SIGTERM writes the times as JSON. Paths
that begin with `/flips/` answer 503 once SIGUSR1 came.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
import time
from pathlib import Path

Times = dict[str, list[tuple[float, float]]]


class Witness:
    def __init__(self) -> None:
        self.times: Times = {}
        self.is_flipped = False

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            started = time.monotonic()
            path = request.split(b" ", 2)[1].decode()
            await asyncio.sleep(random.uniform(0.005, 0.05))
            failing = self.is_flipped and path.startswith("/flips/")
            writer.write(b"HTTP/1.1 %s\r\n" % (b"503 Down" if failing else b"200 OK"))
            writer.write(b"Content-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
            self.times.setdefault(path, []).append((started, time.monotonic()))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def flip(self) -> None:
        self.is_flipped = True


async def main(file: Path) -> None:
    witness, stopped = Witness(), asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGUSR1, witness.flip)
    server = await asyncio.start_server(witness.answer, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stopped.wait()
    server.close()
    file.write_text(json.dumps(witness.times))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

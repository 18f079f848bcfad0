"""A TCP proxy that breaks connections when it is told to."""

import asyncio


class CuttingProxy:
    """Passes bytes between clients and one server.

    Args:
        target: the server, ``host:port``.
    """

    def __init__(self, target):
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._writers = set()
        self._tasks = set()
        self._passing = asyncio.Event()
        self._passing.set()
        self.is_open = True
        self.connections = 0
        self.address = ""

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=4096)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self):
        """Reset every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def stall(self):
        """Pass nothing on until `flow`, with all connections up."""
        self._passing.clear()

    def flow(self):
        """End a stall."""
        self._passing.set()

    async def _accept(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        asyncio.current_task().add_done_callback(self._tasks.discard)
        if not self.is_open:
            writer.transport.abort()
            return
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, far_writer}
        try:
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))
        except OSError:
            pass
        finally:
            self._writers -= {writer, far_writer}
            writer.transport.abort()
            far_writer.transport.abort()

    async def _pass(self, reader, writer):
        while data := await reader.read(4096):
            await self._passing.wait()
            writer.write(data)
            await writer.drain()
        # One side is done, and so is the connection.
        raise ConnectionResetError

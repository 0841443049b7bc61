"""The replica's listening socket."""

import asyncio
import socket

from stack.replica.serving import listen


async def test_answers_are_sent_at_once_not_held_for_the_acknowledgement_of_others() -> None:
    found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    class Peer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted = transport.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    listening = listen("127.0.0.1", 0)
    server = await asyncio.get_running_loop().create_server(Peer, sock=listening)
    async with server:
        _, writer = await asyncio.open_connection(*listening.getsockname())
        assert await asyncio.wait_for(found, 10)
        writer.close()

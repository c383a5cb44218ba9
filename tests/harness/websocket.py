"""WebSocket client: python3 websocket.py URL [CA]. Prints `ok` if every message comes back as the standard requires."""

import asyncio
import ssl
import sys

import websockets


async def main(url, ca=None):
    context = ssl.create_default_context(cafile=ca) if ca else None
    async with websockets.connect(url, ssl=context, max_size=None, open_timeout=20) as socket:
        for message in ["hello", "", "Grüße, 🐝", b"", b"\x00\xff", "x" * 125, "x" * 126, "x" * 65536]:
            await socket.send(message)
            assert await socket.recv() == message, message
        large = bytes(range(256)) * 4096
        assert len(large) == 1 << 20
        await socket.send(large)
        assert await socket.recv() == large
        # Each item is sent as a fragment.
        await socket.send(["in ", "three ", "parts"])
        assert await socket.recv() == "in three parts"
        await asyncio.wait_for(await socket.ping(b"are you there"), 20)
        for number in range(100):
            await socket.send(str(number))
        for number in range(100):
            assert await socket.recv() == str(number)
        await socket.close(code=4001, reason="enough")
        assert socket.close_code == 4001, socket.close_code

    async with websockets.connect(url, ssl=context, max_size=None, open_timeout=20) as socket:
        await socket.send(large + b"x")
        try:
            await socket.recv()
        except websockets.ConnectionClosedError as error:
            assert error.rcvd.code == 1009, error
        else:
            raise AssertionError("a message that is too large came back")
    print("ok")


asyncio.run(main(*sys.argv[1:]))

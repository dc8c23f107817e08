"""Uppercase echo of TCP and UDP for Python with uvloop. Says where it listens."""

import asyncio

import uvloop


class Stream(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data.upper())

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(data.upper(), peer)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stream, "127.0.0.1", 0, backlog=1024)
    datagrams, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
    print(f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    print(f"udp://127.0.0.1:{datagrams.get_extra_info('sockname')[1]}", flush=True)
    await server.serve_forever()


uvloop.install()
asyncio.run(main())

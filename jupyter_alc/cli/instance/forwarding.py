"""An archive elsewhere, as machines may reach it: at the service address, one port, every byte passed on as it is.

python -m jupyter_alc.cli.instance.forwarding --listen HOST:PORT --to HOST:PORT
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIECE: Final = 1 << 18
_CONNECT_SECONDS: Final = 10.0


def host_port(text: str) -> tuple[str, int]:
    """Read `host:port`; `ValueError` for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ValueError(text)
    return host.removeprefix("[").removesuffix("]"), int(port)


async def serve(listen: tuple[str, int], to: tuple[str, int]) -> None:
    """Pass on until cancelled; whoever connects while nobody answers behind is hung up on."""

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CONNECT_SECONDS):
                there_reader, there = await asyncio.open_connection(*to, limit=_PIECE)
            with contextlib.closing(there):
                await asyncio.gather(_pipe(reader, there), _pipe(there_reader, writer))
        writer.close()

    async with await asyncio.start_server(passed_on, *listen, limit=_PIECE) as server:
        await server.serve_forever()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, to its end, and its end."""
    try:
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def _until_told(listen: tuple[str, int], to: tuple[str, int]) -> None:
    task = asyncio.ensure_future(serve(listen, to))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(words: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m jupyter_alc.cli.instance.forwarding", description=__doc__)
    parser.add_argument("--listen", type=host_port, required=True)
    parser.add_argument("--to", type=host_port, required=True)
    given = parser.parse_args(words)
    try:
        asyncio.run(_until_told(given.listen, given.to))
    except OSError as error:
        sys.stderr.write(f"{given.listen[0]}:{given.listen[1]} cannot be bound ({error.strerror}).\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

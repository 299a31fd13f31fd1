"""One machine's person cannot keep the others from the machine service."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest

from jupyter_alc.vmm.service.fair import MOST
from tests.integration.vmm.conftest import until

if TYPE_CHECKING:
    from tests.integration.vmm.conftest import House

pytestmark = pytest.mark.integration


async def call(port: int, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))


async def answered(port: int, address: str) -> bytes:
    reader, writer = await call(port, address)
    writer.write(b"GET /services/vmm/v1/health HTTP/1.1\r\nHost: vmm\r\nConnection: close\r\n\r\n")
    with contextlib.suppress(ConnectionError):
        said = await reader.read(12)
        writer.close()
        return said
    return b""


async def test_an_address_that_takes_many_connections_gets_no_more_and_nobody_else_notices(house: House) -> None:
    await house.start()
    held = [await call(house.port, "127.0.0.2") for _ in range(MOST)]
    assert await answered(house.port, "127.0.0.2") == b""
    assert await answered(house.port, "127.0.0.3") == b"HTTP/1.1 200"
    held.pop()[1].close()

    async def served_again() -> bool:
        return await answered(house.port, "127.0.0.2") == b"HTTP/1.1 200"

    await until(served_again)
    for _, writer in held:
        writer.close()


async def test_the_hub_may_ask_for_everybody_at_once(house: House) -> None:
    await house.start()
    held = [await call(house.port, "127.0.0.1") for _ in range(3 * MOST)]
    assert await answered(house.port, "127.0.0.1") == b"HTTP/1.1 200"
    for _, writer in held:
        writer.close()

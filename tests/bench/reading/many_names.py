"""A server that speaks as much S3 as a listing takes, of one folder `many/` with as many names as one likes.

python many_names.py COUNT     prints its port, and serves until standard input ends
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = "many/"
_PAGE: Final = 1000
_XML: Final = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


class Names:
    """`count` keys below `many/`, in order; made when they are asked for."""

    def __init__(self, count: int) -> None:
        self.count = count

    def key(self, number: int) -> str:
        """The key of this number."""
        return f"{FOLDER}event-{number:08}.nxs"

    def after(self, key: str) -> int:
        """The number of the first key behind `key`."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.key(middle) <= key else (low, middle)
        return low

    def page(self, prefix: str, delimiter: str, after: str, most: int) -> str:
        """One page of a listing, as S3 writes it."""
        if delimiter and FOLDER.startswith(prefix) and prefix != FOLDER:
            shown = "" if after >= FOLDER else f"<CommonPrefixes><Prefix>{quote(FOLDER)}</Prefix></CommonPrefixes>"
            count = f"<IsTruncated>false</IsTruncated><KeyCount>{int(bool(shown))}</KeyCount>"
            return f"{_XML}{count}{shown}</ListBucketResult>"
        start = self.after(after) if after else 0
        stop = min(self.count, start + most)
        keys = [key for number in range(start, stop) if (key := self.key(number)).startswith(prefix)]
        rows = "".join(
            f"<Contents><Key>{key}</Key><LastModified>2026-01-05T10:00:00.000Z</LastModified>"
            f"<ETag>&quot;{int(key[-12:-4]):032x}&quot;</ETag><Size>1048576</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>"
            for key in keys
        )
        more = bool(keys) and stop < self.count
        token = f"<NextContinuationToken>{keys[-1]}</NextContinuationToken>" if more else ""
        end = f"<IsTruncated>{str(more).lower()}</IsTruncated><KeyCount>{len(keys)}</KeyCount>{token}"
        return f"{_XML}{end}{rows}</ListBucketResult>"


def _application(names: Names) -> web.Application:
    async def listed(request: web.Request) -> web.Response:
        asked = request.query
        if request.match_info["key"].strip("/") or asked.get("list-type") != "2":
            return web.Response(status=404)
        after = asked.get("continuation-token") or asked.get("start-after", "")
        most = min(_PAGE, int(asked.get("max-keys", _PAGE)))
        text = names.page(asked.get("prefix", ""), asked.get("delimiter", ""), after, most)
        return web.Response(text=text, content_type="application/xml")

    application = web.Application()
    application.router.add_get("/{bucket}{key:/?.*}", listed)
    return application


async def _serve(count: int) -> None:
    runner = web.AppRunner(_application(Names(count)), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


@contextlib.contextmanager
def many_names(count: int) -> Iterator[int]:
    """Serve them from a process of its own; its port."""
    command = [sys.executable, "-P", __file__, str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))

"""Parts for a real Jupyter server whose panel is looked at: datasets in every state, transfers that move and fail.

Loaded by the server's own process from its configuration file.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from jupyter_alc.core.states import TransferState
from jupyter_alc.dms.sessions import opener_of
from jupyter_alc.server.parts import Parts
from jupyter_alc.testing.scripted_data import AWAY, MB, PlayedDataset, PlayedFile, PlayedTransfer, ScriptedData


class PlayedData(ScriptedData):
    """Whatever kernels this server has started have read some of it."""

    async def readers(self) -> list[dict[str, Any]]:
        told = []
        for place, pid in enumerate(_children()):
            opener = opener_of(pid)
            if opener.sid == pid:
                figures = {"needed_bytes": 8_100_000 * (place + 1), "moved_bytes": 5_200_000, "cached_bytes": 2_900_000}
                told.append({"sid": opener.sid, "since": opener.since, "name": opener.name, **figures})
        return [*told, {"sid": 1, "since": 1, "name": "bash", "needed_bytes": MB, "moved_bytes": MB, "cached_bytes": 0}]


def _children() -> list[int]:
    tasks = Path(f"/proc/{os.getpid()}/task")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


def data() -> PlayedData:
    frames = {f"frames/{number:03}.nxs": PlayedFile(690_000, 690_000 if number < 12 else 0) for number in range(52)}
    sans = {**frames, "calibration.nxs": PlayedFile(1_100_000, 400_000), "readme.txt": PlayedFile(2_100, 2_100)}
    mine = {"run-42/rg.parquet": PlayedFile(1_900_000, 1_900_000, "staged"), "run-41/rg.csv": PlayedFile(3_000, 3_000)}
    played = PlayedData(
        [
            PlayedDataset(
                "sans-examples", "Small-angle scattering", "read", sans, 12_000_000, 8_600_000, 3_900_000, 31
            ),
            PlayedDataset("results", "Your results", "write", mine),
            PlayedDataset("tomo-2410", "Tomography", "read", {"a.nxs": PlayedFile(740 * MB, 240 * MB)}, problem=AWAY),
            PlayedDataset("rb2410023", "A beamtime", "read", {"raw/1.nxs": PlayedFile(90 * MB, 30 * MB)}),
        ],
        speed=2 * MB,
    )
    now = time.time()
    waiting = PlayedTransfer(
        "transfer-a", ["tomo-2410"], 1, 740 * MB, 0, now, 1.0, 4, None, now, 240 * MB, TransferState.WAITING
    )
    waiting.problem = AWAY
    failed = PlayedTransfer(
        "transfer-b", ["rb2410023/raw", "rb2410023/log"], 9, 90 * MB, 0, now, 1.0, 4, None, now, 30 * MB
    )
    failed.state, failed.failed, failed.ended = TransferState.FAILED, ("rb2410023/raw/2.nxs", "rb2410023/log"), now
    played.played |= {"transfer-a": waiting, "transfer-b": failed}
    return played


def parts() -> Parts:
    return Parts(data=data(), machines=None, clusters=None)

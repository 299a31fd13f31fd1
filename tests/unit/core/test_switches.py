"""The mount's switches say `on` or `off`; what else they say is told."""

from __future__ import annotations

import pyfuse3
import pytest

from jupyter_alc.core.switches import POLLING_WAIT, PUSH_AHEAD
from jupyter_alc.dms.fuse import pushing, wait

pytestmark = pytest.mark.unit


def pushes() -> bool:
    return pushing.wanted()


def polls(monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(wait, "device_of_session", lambda: 5)
    with monkeypatch.context() as while_asked:
        while_asked.setattr(pyfuse3, wait._NAME, getattr(pyfuse3, wait._NAME))
        return wait.install() is not None


@pytest.mark.parametrize(("said", "pushed", "polled"), [(None, False, True), ("on", True, True), ("off", False, False)])
def test_on_is_on_and_off_is_off(
    said: str | None, pushed: bool, polled: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (PUSH_AHEAD, POLLING_WAIT):
        monkeypatch.delenv(name, raising=False)
        if said is not None:
            monkeypatch.setenv(name, said)
    assert (pushes(), polls(monkeypatch)) == (pushed, polled)
    assert [one for one in caplog.messages if "means nothing" in one] == []


@pytest.mark.parametrize("said", ["1", "0", "ON", ""])
def test_another_word_changes_nothing_and_is_told_once_with_what_to_write(
    said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(PUSH_AHEAD, said)
    monkeypatch.setenv(POLLING_WAIT, said)
    for _ in range(2):
        assert (pushes(), polls(monkeypatch)) == (False, True)
    assert [one for one in caplog.messages if "means nothing" in one] == [
        f"ALC_DMS_PUSH_AHEAD={said!r} means nothing: write on or off. It stays off.",
        f"ALC_DMS_POLLING_WAIT={said!r} means nothing: write on or off. It stays on.",
    ]

"""`%load_ext jupyter_alc`: puts magics, completion and per-cell bars into a shell, and takes them out again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_alc.core.errors import AlcError
from jupyter_alc.magics import dms, piezo, vmm
from jupyter_alc.magics.client import Alc
from jupyter_alc.magics.completing import matcher_of
from jupyter_alc.magics.progress import progress_for
from jupyter_alc.magics.sessions import Sessions
from jupyter_alc.magics.shown import helped
from jupyter_alc.magics.verbs import Door
from jupyter_alc.magics.words import plain

if TYPE_CHECKING:
    from collections.abc import Callable

    from jupyter_alc.magics.parsing import Spoken
    from jupyter_alc.magics.shown import Shown

SPOKEN: dict[str, Spoken] = {"dms": dms.SPOKEN, "piezo": piezo.SPOKEN, "vmm": vmm.SPOKEN}
_LOADED = "_jupyter_alc_magics"


class AlcUsageError(Exception):
    """An error of ours in a notebook: one line with its next step, no traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Magics:
    """The three magics of one shell."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.sessions = Sessions(shell)
        self.matcher = matcher_of(SPOKEN, lambda: self.alc)
        self._alc: Alc | None = None

    @property
    def alc(self) -> Alc:
        """The way to the user's server, found when first needed."""
        if self._alc is None:
            self._alc = Alc()
        return self._alc

    def dms(self, line: str) -> Shown:
        """`%dms`."""
        door = Door("%dms", lambda: progress_for(self.shell))
        return self._run("dms", line, lambda asked: dms.run(self.alc, asked, door))

    def piezo(self, line: str) -> Shown:
        """`%piezo`."""
        return self._run(
            "piezo", line, lambda asked: piezo.run(self.alc, asked, self.sessions, lambda: progress_for(self.shell))
        )

    def vmm(self, line: str) -> Shown:
        """`%vmm`."""
        return self._run("vmm", line, lambda asked: vmm.run(self.alc, asked))

    def _run(self, name: str, line: str, act: Callable[[Any], Shown]) -> Shown:
        asked = SPOKEN[name].read(line)
        if asked.verb == "help":
            return helped(SPOKEN[name].help())
        try:
            return act(asked)
        except AlcError as error:
            raise AlcUsageError(plain(error.line)) from None


def register(shell: Any) -> None:
    """Add the magics to `shell`; a second time changes nothing."""
    if getattr(shell, _LOADED, None) is not None:
        return
    magics = Magics(shell)
    for name, spoken in SPOKEN.items():
        shell.register_magic_function(_documented(getattr(magics, name), name, spoken), "line", name)
    shell.Completer.custom_matchers.append(magics.matcher)
    setattr(shell, _LOADED, magics)


def unregister(shell: Any) -> None:
    """Take them away again; clusters live on."""
    magics = getattr(shell, _LOADED, None)
    if magics is None:
        return
    magics.sessions.end()
    for name in SPOKEN:
        shell.magics_manager.magics["line"].pop(name, None)
    if magics.matcher in shell.Completer.custom_matchers:
        shell.Completer.custom_matchers.remove(magics.matcher)
    delattr(shell, _LOADED)


def _documented(run: Callable[[str], Shown], name: str, spoken: Spoken) -> Callable[[str], Shown]:
    """A function whose docstring is the help, so that `%piezo?` shows it."""

    def magic(line: str) -> Shown:
        return run(line)

    magic.__name__ = magic.__qualname__ = name
    magic.__doc__ = spoken.help()
    return magic

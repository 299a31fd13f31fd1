"""A handler is a subclass of other people's classes: a private name of theirs that we reuse breaks them silently."""

from __future__ import annotations

import pytest
from jupyter_server.base.handlers import APIHandler
from jupyter_server.extension.handler import ExtensionHandlerMixin

from jupyter_alc.server.routes import HANDLERS
from jupyter_alc.vmm.service.routes import ROUTES as VMM_ROUTES

pytestmark = pytest.mark.unit


def private(kind: type) -> set[str]:
    set_by_tornado = {"_stream_request_body"}  # by its own decorator
    names = {name for name in vars(kind) if name.startswith("_") and not name.startswith("__")}
    return names - set_by_tornado


def ours(kinds: list[type]) -> set[type]:
    return {base for kind in kinds for base in kind.__mro__ if base.__module__.startswith("jupyter_alc.")}


def theirs(kinds: list[type]) -> set[str]:
    foreign = {base for kind in kinds for base in kind.__mro__ if not base.__module__.startswith("jupyter_alc.")}
    return {name for base in foreign - {object} for name in private(base)}


def test_no_handler_takes_a_private_name_of_the_classes_below_it():
    handlers = [route[1] for route in [*HANDLERS, *VMM_ROUTES]] + [APIHandler, ExtensionHandlerMixin]
    taken = theirs(handlers)
    for kind in ours(handlers):
        assert private(kind) & taken == set(), kind

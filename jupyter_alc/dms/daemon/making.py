"""The engine a daemon is ordered to run."""

from __future__ import annotations

from jupyter_alc.dms.daemon.order import Order
from jupyter_alc.dms.engine.interface import Engine


def make_engine(order: Order) -> Engine:
    """Make the engine of an order; it is not started."""
    raise NotImplementedError

"""The store's tables and how it is opened: SQLite in WAL mode, every write in a transaction that locks at its start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
)
from sqlalchemy.pool import QueuePool

if TYPE_CHECKING:
    from pathlib import Path

METADATA: Final = MetaData()

MACHINE: Final = Table(
    "machine",
    METADATA,
    Column("key", String, primary_key=True),
    Column("type", String, nullable=False),
    Column("state", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("moved", Float, nullable=False),  # when it came into this state
    Column("ready_at", Float),
    Column("gone_at", Float),
    Column("fence", Integer, nullable=False, default=0),
    Column("allocation", String),
    Column("person", String),
    Column("address", String),
    Column("isolation", String),
    Column("limits", JSON),
    Column("self_test", JSON),
    Column("last_seen", Float),
    Column("token_hash", String, nullable=False),
    Column("token_used_at", Float),
    Column("secret_hash", String),
    Column("order_number", Integer, nullable=False, default=0),
    Column("order_kind", String),
    Column("order_at", Float),
    Column("home_path", String),
    Column("dms_path", String),
    Column("attach_tries", Integer, nullable=False, default=0),
    Column("destroy_tries", Integer, nullable=False, default=0),
    Column("tried_at", Float),
    Column("drained_at", Float),
    Column("unsent", JSON),
    Column("fault", String),
    Column("ended_well", Boolean),
    Index("machine_state", "state", "type"),
)

ALLOCATION: Final = Table(
    "allocation",
    METADATA,
    Column("id", String, primary_key=True),
    Column("user", String, nullable=False),
    Column("server", String, nullable=False),
    Column("spawn", String, nullable=False),
    Column("type", String, nullable=False),
    Column("state", String, nullable=False),
    Column("machine", String, ForeignKey("machine.key")),
    Column("fence", Integer),
    Column("created", Float, nullable=False),
    Column("moved", Float, nullable=False),
    Column("claimed_at", Float),
    Column("over_at", Float),
    Column("lease_until", Float, nullable=False),
    Column("url", String),
    Column("problem", JSON),
    Column("why", String),
    Column("secrets", JSON),  # datasets with credentials and the server's environment; erased when no longer needed
    Index("allocation_owner", "user", "server"),
    Index("allocation_state", "state"),
)

STAGE: Final = Table(
    "stage",
    METADATA,
    Column("allocation", String, ForeignKey("allocation.id"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("seconds", Float, nullable=False),
    Column("at", Float, nullable=False),
)

SAMPLE: Final = Table(
    "sample",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("type", String, nullable=False),
    Column("name", String, nullable=False),  # a stage, or "boot"
    Column("seconds", Float, nullable=False),
    Index("sample_of", "type", "name"),
)

PERSON: Final = Table(
    "person",
    METADATA,
    Column("name", String, primary_key=True),
    Column("number", Integer, nullable=False, unique=True),
    Column("since", Float, nullable=False),
)


def open_engine(path: Path) -> Engine:
    """Open the store at `path` (made 0600 in a 0700 folder if missing) and make the tables that are not there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=QueuePool,
        pool_size=4,
        max_overflow=12,
        connect_args={"check_same_thread": False},
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    with engine.execution_options(write=True).begin() as connection:
        METADATA.create_all(connection)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    for setting in (
        "busy_timeout = 20000",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
    ):
        connection.execute(f"PRAGMA {setting}").close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

"""The journal's tables, and the steps from each version of them to the next.

A step is never changed once it has been released: an older file goes through all that follow it.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

APPLICATION_ID: Final = 0x4D414721
"""`PRAGMA application_id`: an SQLite file of somebody else has another."""

STEPS: Final[Sequence[str]] = (
    """
    CREATE TABLE gateway (
        only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
        proxy_care_of_address TEXT NOT NULL,
        restart_counter INTEGER NOT NULL,
        next_sequence INTEGER,
        next_timestamp_ticks INTEGER
    );
    CREATE TABLE lmas (
        address TEXT PRIMARY KEY,
        restart_counter INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE bindings (
        binding_id INTEGER PRIMARY KEY,
        mn_id BLOB NOT NULL,
        lma_address TEXT NOT NULL,
        access_interface TEXT NOT NULL,
        mn_link_layer_id BLOB NOT NULL,
        access_technology_type INTEGER NOT NULL,
        handoff_hint TEXT NOT NULL,
        state TEXT NOT NULL,
        requested_prefixes TEXT NOT NULL,
        home_network_prefixes TEXT NOT NULL,
        lifetime_s INTEGER NOT NULL,
        expires_at REAL NOT NULL,
        refresh_at REAL NOT NULL,
        last_sequence INTEGER,
        last_status INTEGER,
        hold_reason TEXT,
        hold_status INTEGER,
        hold_is_of_node INTEGER NOT NULL,
        loss_reason TEXT NOT NULL,
        node_address TEXT
    );
    """,
    """
    ALTER TABLE bindings ADD COLUMN gateway_link_local_address TEXT;
    """,
)


class JournalUnusableError(Exception):
    """The file is no journal that this gateway may go on with; the text says why."""


def version_of(connection: sqlite3.Connection, newest: int) -> int:
    """The version of the tables in the file, 0 if it is empty. Raises JournalUnusableError."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables == 0 and version == 0:
        return 0
    if application_id != APPLICATION_ID:
        raise JournalUnusableError("it is an SQLite file of something else")
    if version > newest:
        raise JournalUnusableError(
            f"a newer gateway has written it: its version is {version}, this one knows {newest}"
        )
    return int(version)


def migrate(connection: sqlite3.Connection, steps: Sequence[str] = STEPS) -> None:
    """Bring the tables up to date, in one transaction. Raises JournalUnusableError."""
    version = version_of(connection, len(steps))
    if version == len(steps):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[version:]:
            for statement in filter(str.strip, step.split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(steps)}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")

-- Sync runs that have ended, newest last.
CREATE TABLE runs (
    id          TEXT    PRIMARY KEY,
    kind        TEXT    NOT NULL,
    endpoints   TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    is_ok       INTEGER NOT NULL CHECK (is_ok IN (0, 1)),
    summary     TEXT    NOT NULL
) STRICT;

CREATE INDEX runs_by_time ON runs (finished_at);

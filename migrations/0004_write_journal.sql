-- What was changed on a Proxmox endpoint through this service: written before it is sent, completed by its outcome.
CREATE TABLE write_journal (
    id              INTEGER PRIMARY KEY,
    endpoint_source TEXT    NOT NULL,
    endpoint_id     INTEGER NOT NULL,
    endpoint_name   TEXT    NOT NULL,
    actor           TEXT    NOT NULL,
    method          TEXT    NOT NULL,
    path            TEXT    NOT NULL,
    parameters      TEXT    NOT NULL,
    sent_at         INTEGER NOT NULL,
    ended_at        INTEGER,
    outcome         TEXT    NOT NULL CHECK (outcome IN ('sent', 'done', 'refused', 'unknown')),
    status          INTEGER,
    answer          TEXT
) STRICT;

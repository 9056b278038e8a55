-- Backup servers whose state is asked for. Ids are never given twice, as with the Proxmox endpoints.
CREATE TABLE pbs_endpoints (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL UNIQUE,
    host            TEXT    NOT NULL,
    port            INTEGER NOT NULL,
    token_id        TEXT    NOT NULL,
    token_secret    BLOB    NOT NULL,
    fingerprint     TEXT,
    verify_ssl      INTEGER NOT NULL CHECK (verify_ssl IN (0, 1)),
    allow_writes    INTEGER NOT NULL CHECK (allow_writes IN (0, 1)),
    enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    timeout_seconds INTEGER NOT NULL
) STRICT;

-- Datacenter managers, likewise.
CREATE TABLE pdm_endpoints (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    name            TEXT    NOT NULL UNIQUE,
    host            TEXT    NOT NULL,
    port            INTEGER NOT NULL,
    token_id        TEXT    NOT NULL,
    token_secret    BLOB    NOT NULL,
    fingerprint     TEXT,
    verify_ssl      INTEGER NOT NULL CHECK (verify_ssl IN (0, 1)),
    allow_writes    INTEGER NOT NULL CHECK (allow_writes IN (0, 1)),
    enabled         INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    timeout_seconds INTEGER NOT NULL
) STRICT;

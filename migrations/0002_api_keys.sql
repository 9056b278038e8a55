-- API keys, as bcrypt hashes.
CREATE TABLE api_keys (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    label      TEXT    NOT NULL,
    key_hash   TEXT    NOT NULL,
    is_active  INTEGER NOT NULL CHECK (is_active IN (0, 1)),
    created_at REAL    NOT NULL
) STRICT;

-- That the first key was registered: once, for good.
CREATE TABLE api_key_claim (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    claimed_at INTEGER NOT NULL
) STRICT;

-- Failed sign-ins, counted per source and per source and key. Buckets are keyed digests; no key can be read from them.
CREATE TABLE auth_lockouts (
    bucket            TEXT    PRIMARY KEY,
    kind              TEXT    NOT NULL CHECK (kind IN ('credential', 'source')),
    attempts          INTEGER NOT NULL,
    window_started_at INTEGER NOT NULL,
    locked_until_at   INTEGER,
    updated_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX auth_lockouts_by_age ON auth_lockouts (updated_at);

-- The key of those digests.
CREATE TABLE auth_lockout_pepper (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    pepper BLOB    NOT NULL
) STRICT;

//! Saved state: one SQLite file.

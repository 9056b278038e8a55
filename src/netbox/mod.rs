//! The write side: NetBox in its own words.

//! The write side: NetBox in its own words.

pub mod ids;
pub mod objects;

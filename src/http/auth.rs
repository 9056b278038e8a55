//! Who may ask: the API key of a request, and what happens to those without.

/// The header that carries the API key.
pub const KEY_HEADER: &str = "x-proxbox-api-key";

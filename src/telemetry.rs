//! Logging: where records go, how they look, and what is taken out of them.

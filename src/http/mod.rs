//! The surface: routes, authentication, errors, event streams.

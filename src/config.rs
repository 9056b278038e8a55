//! Every environment variable, its unit and its default; read once at start.

//! Wires the rooms together: start, serve, stop.

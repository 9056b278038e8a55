//! Which facts become which objects, under which rules. Pure.

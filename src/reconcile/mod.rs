//! The engine: desired against actual rows, into a plan.
//!
//! Pure, and knows neither Proxmox nor NetBox: it compares named fields of rows that have a key. Desired rows mention
//! only what they assert; what they do not mention is left alone. Who calls it lists rows, hands both sides to
//! [`diff`], has the plan checked by [`check`], and writes it.

mod check;
mod diff;
mod plan;
mod policy;
mod resource;

pub use check::{Limits, Shrink, check};
pub use diff::diff;
pub use plan::{Change, Create, Delete, Plan, Refused, Unchanged, Update};
pub use policy::{Mode, Policy, Retire, Rider};
pub use resource::{Fields, ObjectId, Resource, Row, SideBySide, Stored, Told, Wanted};

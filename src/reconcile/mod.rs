//! The engine: desired against actual rows, into a plan. Pure; knows neither Proxmox nor NetBox.

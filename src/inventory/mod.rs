//! What a run has read from Proxmox, with its gaps.

//! From Proxmox's words to NetBox's. Pure; the only bilingual room.

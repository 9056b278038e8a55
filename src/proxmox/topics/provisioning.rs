//! Making guests and changing what they are.

use super::{GuestPlace, started};
use crate::proxmox::types::Upid;
use crate::proxmox::{Error, GuestKind, Param, Session, Vmid};

/// What a copy of a guest becomes; what is `None` is as Proxmox would have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloneOptions<'a> {
    /// The number of the copy.
    pub vmid: Vmid,
    /// What the copy is called: `name` of a virtual machine, `hostname` of a container.
    pub name: Option<&'a str>,
    /// The node it is made on, where storages are shared.
    pub target: Option<&'a str>,
    /// The storage of a full copy.
    pub storage: Option<&'a str>,
    /// The pool it joins.
    pub pool: Option<&'a str>,
    /// The snapshot that is copied.
    pub snapshot: Option<&'a str>,
    /// Whether disks are copied, or linked to those of the template.
    pub full: Option<bool>,
}

impl Session {
    /// `POST nodes/{node}/{kind}`: makes `guest` with `parameters`, such as `memory`, `net0` or `ostemplate`.
    ///
    /// # Errors
    ///
    /// As [`Session::set_power`].
    pub async fn create_guest(&self, guest: GuestPlace<'_>, parameters: &[(&str, Param)]) -> Result<Upid, Error> {
        let place = self.nodes(guest.node).child(guest.kind.as_str());
        let mut all = vec![("vmid", guest.vmid.to_string().into())];
        all.extend_from_slice(parameters);
        started(&place, &place.post(&all).await?)
    }

    /// `POST …/clone`: copies the guest.
    ///
    /// # Errors
    ///
    /// As [`Session::set_power`].
    pub async fn clone_guest(&self, guest: GuestPlace<'_>, options: CloneOptions<'_>) -> Result<Upid, Error> {
        let place = self.nodes(guest.node).guest(guest.kind, guest.vmid).child("clone");
        let name = match guest.kind {
            GuestKind::Qemu => "name",
            GuestKind::Lxc => "hostname",
        };
        let parameters = [
            ("newid", options.vmid.to_string().into()),
            (name, options.name.into()),
            ("target", options.target.into()),
            ("storage", options.storage.into()),
            ("pool", options.pool.into()),
            ("snapname", options.snapshot.into()),
            ("full", options.full.into()),
        ];
        started(&place, &place.post(&parameters).await?)
    }

    /// `PUT …/config`: changes `parameters` of the guest. What cannot change while it runs waits as pending.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn change_guest(&self, guest: GuestPlace<'_>, parameters: &[(&str, Param)]) -> Result<(), Error> {
        let config = self.nodes(guest.node).guest(guest.kind, guest.vmid).config();
        config.put(parameters).await.map(drop)
    }

    /// `PUT …/resize`: grows `disk`, such as `scsi0` or `rootfs`, to `size`, or by it where it begins with `+`. Disks never
    /// shrink.
    ///
    /// # Errors
    ///
    /// As [`Session::set_power`].
    pub async fn resize_disk(&self, guest: GuestPlace<'_>, disk: &str, size: &str) -> Result<Upid, Error> {
        let place = self.nodes(guest.node).guest(guest.kind, guest.vmid).child("resize");
        let parameters = [("disk", disk.into()), ("size", size.into())];
        started(&place, &place.put(&parameters).await?)
    }

    /// `POST …/template`: makes the guest a template, for good. Virtual machines answer a task; containers are done by then.
    ///
    /// # Errors
    ///
    /// As [`Session::set_power`].
    pub async fn make_template(&self, guest: GuestPlace<'_>) -> Result<Option<Upid>, Error> {
        let place = self.nodes(guest.node).guest(guest.kind, guest.vmid).child("template");
        let answer = place.post(&[]).await?;
        if answer.data.is_null() {
            return Ok(None);
        }
        started(&place, &answer).map(Some)
    }
}

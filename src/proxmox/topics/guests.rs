//! Guests: how they are doing, and what can be done with them. Everything that takes time answers a task.

use super::started;
use crate::proxmox::types::{GuestStatus, MigrationPreflight, Upid};
use crate::proxmox::{Error, GuestKind, Param, Rows, Session, Vmid};

/// One guest, unmistakably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestPlace<'a> {
    /// The node it is on.
    pub node: &'a str,
    /// What it is.
    pub kind: GuestKind,
    /// Its number.
    pub vmid: Vmid,
}

/// What to do about a guest's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Start it.
    Start,
    /// Stop it at once.
    Stop,
    /// Ask it to shut down.
    Shutdown,
    /// Ask it to shut down, and start it again.
    Reboot,
}

impl Power {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Shutdown => "shutdown",
            Self::Reboot => "reboot",
        }
    }
}

/// How a backup is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupOptions<'a> {
    /// Where it goes.
    pub storage: &'a str,
    /// `snapshot`, `suspend` or `stop`.
    pub mode: &'a str,
    /// `zstd`, `gzip`, `lzo` or `0`.
    pub compress: &'a str,
    /// What to write about it.
    pub notes: Option<&'a str>,
}

impl Session {
    /// `nodes/{node}/qemu` or `…/lxc`: the guests of one kind on a node. Rows that the identity may not see are left out
    /// without a word.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_node_guests(&self, node: &str, kind: GuestKind) -> Result<Rows<GuestStatus>, Error> {
        self.nodes(node).child(kind.as_str()).get_rows().await
    }

    /// `nodes/{node}/{kind}/{vmid}/status/current`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn guest_status(&self, guest: GuestPlace<'_>) -> Result<GuestStatus, Error> {
        self.nodes(guest.node)
            .guest(guest.kind, guest.vmid)
            .status()
            .get_as()
            .await
    }

    /// `…/status/{verb}`: starts what `power` says.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where no task is answered.
    pub async fn set_power(&self, guest: GuestPlace<'_>, power: Power) -> Result<Upid, Error> {
        let place = self
            .nodes(guest.node)
            .guest(guest.kind, guest.vmid)
            .power(power.as_str());
        started(&place, &place.post(&[]).await?)
    }

    /// `POST …/snapshot`: takes a snapshot, without the memory.
    ///
    /// # Errors
    ///
    /// As [`Session::set_power`].
    pub async fn create_snapshot(
        &self,
        guest: GuestPlace<'_>,
        name: &str,
        description: Option<&str>,
    ) -> Result<Upid, Error> {
        let place = self.nodes(guest.node).guest(guest.kind, guest.vmid).snapshots();
        let parameters = [("snapname", name.into()), ("description", description.into())];
        started(&place, &place.post(&parameters).await?)
    }

    /// `DELETE …/snapshot/{name}`.
    ///
    /// # Errors
    ///
    /// As [`Session::set_power`].
    pub async fn delete_snapshot(&self, guest: GuestPlace<'_>, name: &str) -> Result<Upid, Error> {
        let place = self
            .nodes(guest.node)
            .guest(guest.kind, guest.vmid)
            .snapshots()
            .child(name);
        started(&place, &place.delete(&[]).await?)
    }

    /// `POST nodes/{node}/vzdump`: backs one guest up.
    ///
    /// # Errors
    ///
    /// As [`Session::set_power`].
    pub async fn backup_guest(&self, guest: GuestPlace<'_>, options: BackupOptions<'_>) -> Result<Upid, Error> {
        let place = self.nodes(guest.node).vzdump();
        let parameters = [
            ("vmid", guest.vmid.to_string().into()),
            ("storage", options.storage.into()),
            ("mode", options.mode.into()),
            ("compress", options.compress.into()),
            ("notes-template", options.notes.into()),
        ];
        started(&place, &place.post(&parameters).await?)
    }

    /// `GET …/migrate`: whether and where the guest can go; `None` where this release does not tell.
    ///
    /// # Errors
    ///
    /// Any other [`Error`] of the exchange.
    pub async fn find_migration_preflight(&self, guest: GuestPlace<'_>) -> Result<Option<MigrationPreflight>, Error> {
        match self
            .nodes(guest.node)
            .guest(guest.kind, guest.vmid)
            .migrate()
            .get_as()
            .await
        {
            Ok(preflight) => Ok(Some(preflight)),
            Err(Error::NotImplemented { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST …/migrate`: moves the guest to `target`. A running virtual machine goes as it runs, a running container is
    /// restarted there, where `online` is set.
    ///
    /// # Errors
    ///
    /// As [`Session::set_power`].
    pub async fn migrate_guest(&self, guest: GuestPlace<'_>, target: &str, online: bool) -> Result<Upid, Error> {
        let place = self.nodes(guest.node).guest(guest.kind, guest.vmid).migrate();
        let how = match guest.kind {
            GuestKind::Qemu => "online",
            GuestKind::Lxc => "restart",
        };
        let parameters = [("target", target.into()), (how, Param::Flag(online))];
        started(&place, &place.post(&parameters).await?)
    }

    /// `DELETE nodes/{node}/tasks/{upid}`: asks a task to end. Whether it does, only [`Session::task_status`] tells.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn cancel_task(&self, upid: &Upid) -> Result<(), Error> {
        self.nodes(&upid.node).task(upid.as_str()).delete(&[]).await.map(drop)
    }
}

//! Who may sign in.

use super::cluster::only;
use crate::proxmox::types::ApiToken;
use crate::proxmox::{Error, Rows, Session};

impl Session {
    /// `access/users/{user}/token`: the API tokens of a user such as `root@pam`. Needs to be the user, or User.Modify.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange.
    pub async fn list_api_tokens(&self, user: &str) -> Result<Rows<ApiToken>, Error> {
        self.access().users().child(user).child("token").get_rows().await
    }

    /// The API token `name` of a user; `None` where the user has none of this name.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where a row that could be the token cannot be read.
    pub async fn find_api_token(&self, user: &str, name: &str) -> Result<Option<ApiToken>, Error> {
        let rows = self.list_api_tokens(user).await?;
        only(rows, "access/users/{user}/token", |row| row.tokenid == name)
    }
}

//! Who may sign in.

use super::cluster::only;
use secrecy::SecretString;
use serde_json::Value;

use super::decode_error;
use crate::proxmox::types::ApiToken;
use crate::proxmox::{Error, Param, Rows, Session};

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

    /// `PUT access/users/{user}/token/{name}` with `regenerate`: gives the API token another secret, which is told this once.
    /// The one it had is refused from then on, a session's own among them.
    ///
    /// # Errors
    ///
    /// Any [`Error`] of the exchange; [`Error::Decode`] where no secret is answered, as releases do that cannot do this.
    pub async fn regenerate_api_token(&self, user: &str, name: &str) -> Result<SecretString, Error> {
        let place = self.access().users().child(user).child("token").child(name);
        let answer = place.put(&[("regenerate", Param::Flag(true))]).await?;
        let secret = answer.data.get("value").and_then(Value::as_str);
        let secret = secret.filter(|secret| !secret.is_empty());
        secret
            .map(SecretString::from)
            .ok_or_else(|| decode_error(&place, "the answer holds no secret"))
    }
}

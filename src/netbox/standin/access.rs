//! Who asks, and what they may do.

use serde_json::{Value, json};

use super::collections::COLLECTIONS;
use super::permissions;
use super::write::Answer;

/// What is done to the rows of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// GET.
    View,
    /// POST.
    Add,
    /// PATCH and PUT.
    Change,
    /// DELETE.
    Delete,
}

impl Action {
    const ALL: [Self; 4] = [Self::View, Self::Add, Self::Change, Self::Delete];

    /// What permissions call it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Add => "add",
            Self::Change => "change",
            Self::Delete => "delete",
        }
    }
}

/// A right on one collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// The collection below `/api/`, such as `extras/tags`.
    pub path: String,
    /// What may be done there.
    pub actions: Vec<Action>,
    /// What rows have to fit for that, as permissions tell it; null for all rows. It is told and not obeyed: see
    /// [`Standin::hide`](super::Standin::hide).
    pub constraints: Value,
}

impl Right {
    fn new(path: &str, actions: &[Action]) -> Self {
        Self {
            path: path.to_owned(),
            actions: actions.to_vec(),
            constraints: Value::Null,
        }
    }
}

/// A token with its user.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The whole credential: 40 hex digits, or `nbt_<key>.<secret>`.
    pub token: String,
    /// Whether the token may write.
    pub can_write: bool,
    /// What the user may do; `None` for everything, as a superuser.
    pub rights: Option<Vec<Right>>,
    /// NetBox's words where it turns the token away: `Token expired`, `Token disabled`, …
    pub problem: Option<String>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Account")
            .field("can_write", &self.can_write)
            .field("rights", &self.rights)
            .field("problem", &self.problem)
            .finish_non_exhaustive()
    }
}

impl Account {
    /// A superuser's token.
    pub fn superuser(token: &str) -> Self {
        Self {
            token: token.to_owned(),
            can_write: true,
            rights: None,
            problem: None,
        }
    }

    /// The same with a token that only reads.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.can_write = false;
        self
    }

    /// The same with these rights and no others.
    #[must_use]
    pub fn with_rights(mut self, rights: &[(&str, &[Action])]) -> Self {
        let rights = rights.iter().map(|(path, actions)| Right::new(path, actions));
        self.rights = Some(rights.collect());
        self
    }

    /// The same with every right on each collection, and that of seeing permissions, given one by one.
    #[must_use]
    pub fn with_each_right(mut self) -> Self {
        let all = COLLECTIONS.iter().map(|rules| Right::new(rules.path, &Action::ALL));
        let permissions = Right::new(permissions::PATH, &[Action::View]);
        self.rights = Some(all.chain([permissions]).collect());
        self
    }

    /// The same without its rights on the collection at `path`.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        let rights = self.rights.iter_mut();
        rights.for_each(|rights| rights.retain(|right| right.path != path));
        self
    }

    /// The same with rights on the collection at `path` that hold for rows which fit `constraints`.
    #[must_use]
    pub fn constrained(mut self, path: &str, constraints: &Value) -> Self {
        let rights = self.rights.iter_mut().flatten();
        for right in rights.filter(|right| right.path == path) {
            right.constraints.clone_from(constraints);
        }
        self
    }

    /// The same, turned away with these words.
    #[must_use]
    pub fn refused(mut self, problem: &str) -> Self {
        self.problem = Some(problem.to_owned());
        self
    }

    pub(super) fn may(&self, action: Action, path: &str) -> bool {
        let is_allowed = self.can_write || action == Action::View;
        let has_right = self.rights.as_ref().is_none_or(|rights| {
            rights
                .iter()
                .any(|right| right.path == path && right.actions.contains(&action))
        });
        is_allowed && has_right
    }
}

/// Finds the account of an `Authorization` header.
///
/// # Errors
///
/// The 403 of a missing, malformed, unknown or refused credential.
pub(super) fn authenticate<'a>(accounts: &'a [Account], header: Option<&str>) -> Result<&'a Account, Answer> {
    let refuse = |detail: &str| Err((403, json!({ "detail": detail })));
    let mut words = header.unwrap_or_default().split_whitespace();
    let (keyword, token) = (words.next().unwrap_or_default(), words.next());
    if !matches!(keyword.to_lowercase().as_str(), "token" | "bearer") {
        return refuse("Authentication credentials were not provided.");
    }
    let Some(token) = token else {
        return refuse(
            "Invalid authorization header: Must be in the form \"Bearer <key>.<token>\" or \"Token <token>\"",
        );
    };
    if token.starts_with("nbt_") && !token.contains('.') {
        return refuse(
            "Invalid authorization header: Could not parse key from v2 token. Did you mean to use 'Token' instead of \
             'Bearer'?",
        );
    }
    match accounts.iter().find(|account| account.token == token) {
        Some(account) => match &account.problem {
            Some(problem) => refuse(problem),
            None => Ok(account),
        },
        None if token.starts_with("nbt_") => refuse("Invalid v2 token"),
        None => refuse("Invalid v1 token"),
    }
}

/// The name of the account's user.
pub(super) fn user_name(account: &Account) -> &'static str {
    if account.rights.is_none() { "admin" } else { "sync" }
}

/// The body of a user's row; only `admin` is a superuser.
pub(super) fn user_row(name: &str) -> Value {
    json!({"username": name, "is_superuser": name == "admin"})
}

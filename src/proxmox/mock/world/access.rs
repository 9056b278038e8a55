//! Users, tokens and who may do what.

/// The secret of every token of the built estates.
pub const TOKEN_SECRET: &str = "11111111-2222-3333-4444-555555555555";
/// The password of every user of the built estates.
pub const PASSWORD: &str = "secret";
/// The one-time code that the user with a second factor must give.
pub const TOTP_CODE: &str = "123456";
/// A token with all rights.
pub const ROOT_TOKEN: &str = "root@pam!netbox";
/// A token with the role `PVEAuditor` on everything: sees no backups.
pub const AUDITOR_TOKEN: &str = "auditor@pve!netbox";
/// A token with separated privileges and none of its own: gets empty lists.
pub const EMPTY_TOKEN: &str = "root@pam!empty";
/// A user with a second factor.
pub const TFA_USER: &str = "twofactor@pve";

/// One user. The password is part of a test estate, no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Name and realm: `root@pam`.
    pub id: String,
    /// The password it logs in with.
    pub password: String,
    /// The code its second factor expects; `None` without second factor.
    pub totp: Option<String>,
    /// Whether it may log in.
    pub enabled: bool,
    /// The operator's words.
    pub comment: Option<String>,
    /// The groups it is a member of.
    pub groups: Vec<String>,
}

/// One API token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The user it belongs to.
    pub user: String,
    /// Its name, the part after `!`.
    pub name: String,
    /// Its secret.
    pub secret: String,
    /// Whether it has only rights of its own, and only those that the user has too.
    pub separated: bool,
    /// When it expires, seconds since 1970; 0 for never.
    pub expire: i64,
}

/// Whom an entry of the access control list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A user.
    User,
    /// A group of users.
    Group,
    /// A token, named with its user.
    Token,
}

impl Subject {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Token => "token",
        }
    }
}

/// One entry of the access control list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry {
    /// The path it holds for, `/vms/100`.
    pub path: String,
    /// What `ugid` names.
    pub subject: Subject,
    /// User, group or token.
    pub ugid: String,
    /// The role given.
    pub role: String,
    /// Whether it holds below the path too.
    pub propagate: bool,
}

/// Users, tokens and access control of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// All users.
    pub users: Vec<User>,
    /// All tokens.
    pub tokens: Vec<Token>,
    /// The access control list.
    pub acl: Vec<AclEntry>,
    /// Roles beside the built-in ones: name and privileges.
    pub roles: Vec<(String, Vec<String>)>,
}

impl Access {
    /// `root@pam` with [`ROOT_TOKEN`] and [`EMPTY_TOKEN`], an auditor with [`AUDITOR_TOKEN`], and [`TFA_USER`].
    pub fn usual() -> Self {
        let mut access = Self::default();
        access.add_user("root@pam", PASSWORD);
        access.add_user("auditor@pve", PASSWORD);
        access.add_user(TFA_USER, PASSWORD);
        if let Some(user) = access.user_mut(TFA_USER) {
            user.totp = Some(TOTP_CODE.to_owned());
        }
        access.add_token(ROOT_TOKEN, TOKEN_SECRET, false);
        access.add_token(EMPTY_TOKEN, TOKEN_SECRET, true);
        access.add_token(AUDITOR_TOKEN, TOKEN_SECRET, true);
        access.allow("/", "auditor@pve", "PVEAuditor");
        access.allow("/", AUDITOR_TOKEN, "PVEAuditor");
        access.allow("/", TFA_USER, "PVEAuditor");
        access
    }

    /// Adds an enabled user, or gives an existing one this password.
    pub fn add_user(&mut self, id: &str, password: &str) {
        if let Some(user) = self.user_mut(id) {
            password.clone_into(&mut user.password);
            return;
        }
        self.users.push(User {
            id: id.to_owned(),
            password: password.to_owned(),
            totp: None,
            enabled: true,
            comment: None,
            groups: Vec::new(),
        });
    }

    /// Adds a token that never expires. `id` is `user@realm!name`; a text without `!` adds nothing.
    pub fn add_token(&mut self, id: &str, secret: &str, separated: bool) {
        if let Some((user, name)) = id.split_once('!') {
            self.tokens.push(Token {
                user: user.to_owned(),
                name: name.to_owned(),
                secret: secret.to_owned(),
                separated,
                expire: 0,
            });
        }
    }

    /// Gives `role` on `path` and below to a user, to a token (`user!name`) or to a group (a name without `@`).
    pub fn allow(&mut self, path: &str, ugid: &str, role: &str) {
        let subject = match ugid {
            token if token.contains('!') => Subject::Token,
            user if user.contains('@') => Subject::User,
            _ => Subject::Group,
        };
        self.acl.push(AclEntry {
            path: path.to_owned(),
            subject,
            ugid: ugid.to_owned(),
            role: role.to_owned(),
            propagate: true,
        });
    }

    /// The user named `id`.
    pub fn user(&self, id: &str) -> Option<&User> {
        self.users.iter().find(|user| user.id == id)
    }

    /// The user named `id`, to change it.
    pub fn user_mut(&mut self, id: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.id == id)
    }

    /// The token named `user!name`.
    pub fn token(&self, id: &str) -> Option<&Token> {
        let (user, name) = id.split_once('!')?;
        self.tokens
            .iter()
            .find(|token| token.user == user && token.name == name)
    }
}

//! Who is asking: tickets, second factors, tokens and the write guard.

use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;

use super::acl::Identity;
use super::world::World;

/// Life of a ticket in seconds.
const TICKET_LIFE: i64 = 7_200;
/// How far in the future a ticket may have been given.
const CLOCK_SKEW: i64 = 300;
const PARTIAL: &str = "!tfa!";

/// Makes and checks tickets.
pub(super) struct Tickets {
    key: [u8; 32],
    // Part of every signature: raising it makes all earlier tickets worthless.
    generation: AtomicU64,
}

/// An identity, and whether it came with a ticket (then writes need the second header).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) identity: Identity,
    pub(super) by_ticket: bool,
}

impl Tickets {
    pub(super) fn new() -> std::io::Result<Self> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(std::io::Error::other)?;
        Ok(Self {
            key,
            generation: AtomicU64::new(0),
        })
    }

    pub(super) fn expire_all(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// A full ticket for `user`.
    pub(super) fn issue(&self, user: &str, now: i64) -> String {
        format!("PVE:{user}:{now:08X}::{}", self.sign("ticket", user, now))
    }

    /// A ticket that only opens the second step of a login.
    pub(super) fn issue_partial(&self, user: &str, now: i64) -> String {
        let challenge = format!("{PARTIAL}%7B%22totp%22%3Atrue%2C%22recovery%22%3A%22available%22%7D%26{user}");
        format!("PVE:{challenge}:{now:08X}::{}", self.sign("partial", user, now))
    }

    /// The write guard that belongs to tickets given to `user`.
    pub(super) fn csrf(&self, user: &str, now: i64) -> String {
        format!("{now:08X}:{}", self.sign("csrf", user, now))
    }

    /// Whether `ticket` is a live full ticket of `user`; the user is read from it.
    pub(super) fn check(&self, ticket: &str, now: i64) -> Option<String> {
        let (user, at, signature) = parts(ticket)?;
        let fits = !user.starts_with(PARTIAL) && same(signature, &self.sign("ticket", user, at));
        (fits && is_live(at, now)).then(|| user.to_owned())
    }

    /// Whether `ticket` is a live partial ticket of `user`.
    pub(super) fn check_partial(&self, ticket: &str, user: &str, now: i64) -> bool {
        parts(ticket).is_some_and(|(challenge, at, signature)| {
            challenge.starts_with(PARTIAL) && is_live(at, now) && same(signature, &self.sign("partial", user, at))
        })
    }

    fn check_csrf(&self, value: &str, user: &str, now: i64) -> bool {
        value.split_once(':').is_some_and(|(at, signature)| {
            i64::from_str_radix(at, 16)
                .is_ok_and(|at| is_live(at, now) && same(signature, &self.sign("csrf", user, at)))
        })
    }

    fn sign(&self, purpose: &str, user: &str, at: i64) -> String {
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update(self.generation.load(Ordering::Relaxed).to_be_bytes());
        digest.update(format!("{purpose}\n{user}\n{at}"));
        STANDARD_NO_PAD.encode(digest.finalize())
    }
}

/// `PVE:<user>:<hex time>::<signature>`
fn parts(ticket: &str) -> Option<(&str, i64, &str)> {
    let (head, signature) = ticket.strip_prefix("PVE:")?.split_once("::")?;
    let (user, at) = head.rsplit_once(':')?;
    Some((user, i64::from_str_radix(at, 16).ok()?, signature))
}

const fn is_live(at: i64, now: i64) -> bool {
    now - at < TICKET_LIFE && at - now < CLOCK_SKEW
}

fn same(left: &str, right: &str) -> bool {
    left.as_bytes().ct_eq(right.as_bytes()).into()
}

/// Reads the caller from the headers in the server's order: cookie, ticket in `Authorization`, token.
///
/// # Errors
///
/// The reason phrase of the 401.
pub(super) fn identify(tickets: &Tickets, world: &World, headers: &HeaderMap, now: i64) -> Result<Caller, String> {
    let authorization = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookie = cookies
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix("PVEAuthCookie="));
    if let Some(ticket) = cookie.or_else(|| authorization.strip_prefix("PVEAuthCookie=")) {
        let ticket = percent_decode_str(ticket).decode_utf8_lossy();
        let user = tickets
            .check(&ticket, now)
            .ok_or("permission denied - invalid PVE ticket")?;
        let is_known = world.access.user(&user).is_some_and(|user| user.enabled);
        let caller = Caller {
            identity: Identity { user, token: None },
            by_ticket: true,
        };
        return if is_known {
            Ok(caller)
        } else {
            Err("no such user".to_owned())
        };
    }
    let Some(token) = authorization
        .strip_prefix("PVEAPIToken")
        .and_then(|rest| rest.strip_prefix(['=', ' ']))
    else {
        return Err("No ticket".to_owned());
    };
    let token = percent_decode_str(token.split(';').next().unwrap_or_default()).decode_utf8_lossy();
    let identity = check_token(world, &token, now)?;
    Ok(Caller {
        identity,
        by_ticket: false,
    })
}

fn check_token(world: &World, text: &str, now: i64) -> Result<Identity, String> {
    let (id, secret) = text.split_once('=').ok_or("invalid API token: unable to parse")?;
    let (user, name) = id.split_once('!').ok_or("invalid API token: unable to parse")?;
    if !world.access.user(user).is_some_and(|user| user.enabled) {
        return Err(format!("no such user ('{user}')"));
    }
    let token = world
        .access
        .token(id)
        .ok_or_else(|| format!("no such token '{name}' for user '{user}'"))?;
    if token.expire != 0 && token.expire <= now {
        return Err("token expired".to_owned());
    }
    if !same(&token.secret, secret) {
        return Err("invalid token value!".to_owned());
    }
    Ok(Identity {
        user: user.to_owned(),
        token: Some(name.to_owned()),
    })
}

/// Whether a write of `caller` carries the guard it needs.
pub(super) fn may_write(tickets: &Tickets, caller: &Caller, headers: &HeaderMap, now: i64) -> bool {
    let value = headers
        .get("CSRFPreventionToken")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    !caller.by_ticket || tickets.check_csrf(value, &caller.identity.user, now)
}

/// What a request for a ticket comes to.
pub(super) enum Login {
    /// A full ticket may be given to this user.
    Full(String),
    /// The user must show a second factor.
    Partial(String),
    /// 401.
    Refused,
}

/// What a request for a ticket carries.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    pub(super) challenge: Option<&'a str>,
}

/// Judges a request for a ticket: password, live ticket in place of it, or the second step.
pub(super) fn login(tickets: &Tickets, world: &World, given: &Credentials<'_>, now: i64) -> Login {
    let Credentials {
        user,
        password: secret,
        challenge,
    } = *given;
    let Some(known) = world.access.user(user).filter(|user| user.enabled) else {
        return Login::Refused;
    };
    if let Some(challenge) = challenge {
        let code = known.totp.as_deref().unwrap_or_default();
        let given = secret
            .split_once(':')
            .filter(|(kind, _)| matches!(*kind, "totp" | "recovery"));
        let is_right = given.is_some_and(|(_, given)| !code.is_empty() && same(given, code));
        let is_right = is_right && tickets.check_partial(challenge, user, now);
        return if is_right {
            Login::Full(user.to_owned())
        } else {
            Login::Refused
        };
    }
    if tickets.check(secret, now).is_some_and(|owner| owner == user) {
        return Login::Full(user.to_owned());
    }
    if !same(&known.password, secret) {
        return Login::Refused;
    }
    if known.totp.is_some() {
        Login::Partial(user.to_owned())
    } else {
        Login::Full(user.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_live_two_hours_and_die_together() {
        let tickets = Tickets::new().unwrap();
        let ticket = tickets.issue("root@pam", 1_000_000);
        for (now, expected) in [
            (1_000_000, true),
            (1_007_199, true),
            (1_007_200, false),
            (999_600, false),
        ] {
            assert_eq!(tickets.check(&ticket, now).is_some(), expected, "{now}");
        }
        let partial = tickets.issue_partial("root@pam", 1_000_000);
        assert_eq!(tickets.check(&partial, 1_000_000), None);
        assert!(tickets.check_partial(&partial, "root@pam", 1_000_000));
        assert!(!tickets.check_partial(&partial, "other@pam", 1_000_000));
        tickets.expire_all();
        assert_eq!(tickets.check(&ticket, 1_000_000), None);
    }

    #[test]
    fn tokens_are_read_with_both_separators_and_percent_signs() {
        let mut world = World::estate(1, 0);
        world.access.add_token("root@pam!odd", "a%b", false);
        let tickets = Tickets::new().unwrap();
        for (header, expected) in [
            ("PVEAPIToken=root@pam!odd=a%25b", Ok("root@pam!odd".to_owned())),
            ("PVEAPIToken root@pam!odd=a%25b", Ok("root@pam!odd".to_owned())),
            ("PVEAPIToken=root@pam!odd=a%25b;rest", Ok("root@pam!odd".to_owned())),
            ("PVEAPIToken=root@pam!odd=wrong", Err("invalid token value!".to_owned())),
            (
                "PVEAPIToken=root@pam!none=x",
                Err("no such token 'none' for user 'root@pam'".to_owned()),
            ),
            ("Basic abc", Err("No ticket".to_owned())),
        ] {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, header.parse().unwrap())]);
            let found = identify(&tickets, &world, &headers, 0).map(|caller| caller.identity.id());
            assert_eq!(found, expected, "{header}");
        }
    }
}

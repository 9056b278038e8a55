//! Waiting for tasks on a server that is away, forgets or says strange things.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::exchanges::session;
use super::server::{Reply, Seen, Server};
use crate::proxmox::{Error, TaskEnd, TaskProgress, Wait};

const TASK: &str = "UPID:a:00001234:0000ABCD:65000000:qmstart:100:root@pam:";
const RUNS: &str = r#"{"status":"running","upid":"x"}"#;
const ENDED: &str = r#"{"status":"stopped","exitstatus":"OK"}"#;

fn quick() -> Wait {
    Wait {
        limit: Duration::from_secs(20),
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
        ..Wait::default()
    }
}

/// A server that answers the looks at a task one after the other, the last of them for ever.
fn looks(replies: Vec<Reply>) -> Server {
    let count = AtomicUsize::new(0);
    Server::plain(move |_| {
        let look = count.fetch_add(1, Ordering::Relaxed);
        replies.get(look).or(replies.last()).unwrap().clone()
    })
}

async fn wait(server: &Server, wait: Wait) -> (Result<TaskEnd, Error>, usize) {
    let mut told = 0;
    let end = session(server)
        .wait_task(&TASK.parse().unwrap(), wait, |_| told += 1)
        .await;
    (end, told)
}

fn away() -> Reply {
    Reply::new("595 No route to host", "")
}

#[tokio::test]
async fn node_that_comes_back_within_its_grace_costs_nothing() {
    for gone in [away(), Reply::new("596 Connection timed out", ""), Reply::hang_up()] {
        let server = looks(vec![
            Reply::data(RUNS),
            gone.clone(),
            gone.clone(),
            gone,
            Reply::data(RUNS),
            Reply::data(ENDED),
        ]);
        let (end, told) = wait(&server, quick()).await;
        assert_eq!((end.unwrap(), told), (TaskEnd::Done, 2), "{:?}", server.calls());
    }
}

#[tokio::test]
async fn node_that_stays_away_is_an_error_and_never_a_task_that_runs() {
    let server = looks(vec![Reply::data(RUNS), away()]);
    let impatient = Wait {
        grace: Duration::ZERO,
        ..quick()
    };
    let (end, told) = wait(&server, impatient).await;
    assert!(matches!(end, Err(Error::NodeUnreachable { .. })), "{end:?}");
    assert_eq!(told, 1);
    let server = looks(vec![away()]);
    let short = Wait {
        limit: Duration::from_millis(10),
        ..quick()
    };
    let (end, _) = wait(&server, short).await;
    assert!(matches!(end, Err(Error::NodeUnreachable { .. })), "{end:?}");
}

#[tokio::test]
async fn task_that_the_node_has_forgotten_or_may_not_be_seen_ends_the_wait_at_once() {
    let forgotten = r#"{"data":null,"errors":{"upid":"no such task"}}"#;
    let server = looks(vec![
        Reply::data(RUNS),
        Reply::new("400 Parameter verification failed.", forgotten),
    ]);
    let (end, _) = wait(&server, quick()).await;
    assert!(matches!(end, Err(Error::NotFound { .. })), "{end:?}");
    let server = looks(vec![Reply::new(
        "403 Permission check failed (/nodes/a, Sys.Audit)",
        "",
    )]);
    let (end, _) = wait(&server, quick()).await;
    assert!(matches!(end, Err(Error::PermissionDenied { .. })), "{end:?}");
}

#[tokio::test]
async fn worker_that_died_and_every_other_end_are_told_apart() {
    for (answer, wanted) in [
        (
            r#"{"status":"stopped"}"#,
            TaskEnd::Failed("unexpected status".to_owned()),
        ),
        (
            r#"{"status":"stopped","exitstatus":"WARNINGS: 12"}"#,
            TaskEnd::Warnings(12),
        ),
        (
            r#"{"status":"stopped","exitstatus":"WARNINGS: many"}"#,
            TaskEnd::Failed("WARNINGS: many".to_owned()),
        ),
        (
            r#"{"status":"stopped","exitstatus":"interrupted by signal"}"#,
            TaskEnd::Failed("interrupted by signal".to_owned()),
        ),
    ] {
        let end = wait(&looks(vec![Reply::data(answer)]), quick()).await.0.unwrap();
        assert_eq!(end, wanted, "{answer}");
        assert_eq!(
            end.is_success(),
            matches!(end, TaskEnd::Done | TaskEnd::Warnings(_)),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn every_line_of_the_log_is_told_once_whatever_it_holds() {
    let looks = AtomicUsize::new(0);
    let server = Server::plain(move |seen: &Seen| {
        let call = seen.call();
        if call.ends_with("/status") {
            let is_over = looks.fetch_add(1, Ordering::Relaxed) == 3;
            return Reply::data(if is_over { ENDED } else { RUNS });
        }
        let body: &[u8] = match (looks.load(Ordering::Relaxed), call.contains("start=0")) {
            // What a log without lines is answered as.
            (1, true) => br#"{"data":[{"n":1,"t":"no content"}],"total":1}"#,
            (2, true) => b"{\"data\":[{\"n\":1,\"t\":\"1%\\b\\b2%\"},{\"n\":2,\"t\":\"\xFF\"}],\"total\":2}",
            (3, false) => br#"{"data":[{"n":3,"t":"done"}],"total":3}"#,
            _ => br#"{"data":[{"n":9,"t":"asked for again"}]}"#,
        };
        Reply::bytes("200 OK", "", body)
    });
    let mut told = Vec::new();
    let with_log = Wait {
        reads_log: true,
        ..quick()
    };
    let progress = |progress: TaskProgress| told.push(progress.lines);
    let end = session(&server)
        .wait_task(&TASK.parse().unwrap(), with_log, progress)
        .await;
    assert_eq!(end.unwrap(), TaskEnd::Done);
    let wanted: [Vec<&str>; 3] = [vec![], vec!["1%\u{8}\u{8}2%", "\u{FFFD}"], vec!["done"]];
    assert_eq!(told, wanted);
}

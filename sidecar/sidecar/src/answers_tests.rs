use std::io;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);

fn hub(number: u8) -> SocketAddr {
    ([10, 0, 1, number], 8080).into()
}

fn lease(routing: Routing, routers: &[&str]) -> Lease {
    let routers = routers.iter().map(ToString::to_string).collect();
    Lease { generation: 1, ttl_ms: 3000, routing, routers, expects_router: false, ticket: None }
}

fn refused() -> Routing {
    Routing::Refused { reason: "rule is taken".to_owned() }
}

fn lose(answers: &mut Answers, now: Instant, number: u8) {
    let error = HubError::Connect(Box::new(io::Error::other("connection refused")));
    answers.failed(now, hub(number), &error, format!("hub {number}: refused"));
}

fn route(answers: &mut Answers, now: Instant) -> Route {
    answers.route(now, Health::Healthy, TIMEOUT)
}

fn waiting(answers: &mut Answers, now: Instant) -> String {
    match route(answers, now) {
        Route::Waiting(reason) => reason,
        route => panic!("{route:?}"),
    }
}

/// Two hubs that have granted the lease: `a` polls the first one, `b` the second one.
fn two_hubs() -> Answers {
    let mut answers = Answers::default();
    answers.leased(hub(1), lease(Routing::Confirmed, &["a"]));
    answers.leased(hub(2), lease(Routing::Confirmed, &["b"]));
    answers
}

#[test]
fn every_hub_has_to_confirm() {
    let (now, mut answers) = (Instant::now(), Answers::default());
    assert_eq!(waiting(&mut answers, now), "no answer from the hub");
    answers.not_found("hub http://hub:80: resolving hub: no such name".to_owned());
    assert_eq!(waiting(&mut answers, now), "hub http://hub:80: resolving hub: no such name");
    answers.found(hub(1));
    answers.found(hub(2));
    answers.leased(hub(1), lease(Routing::Confirmed, &["a"]));
    assert_eq!(waiting(&mut answers, now), "connecting to a hub");
    answers.leased(hub(2), lease(Routing::Pending, &["b", "c"]));
    assert_eq!(waiting(&mut answers, now + TIMEOUT * 100), "waiting for 2 router(s) to acknowledge");
    answers.leased(hub(2), lease(Routing::Confirmed, &["b", "c"]));
    assert_eq!(route(&mut answers, now), Route::Confirmed);
}

#[test]
fn refusal_by_any_hub_is_a_refusal() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    answers.leased(hub(2), lease(refused(), &["b"]));
    assert_eq!(route(&mut answers, now), Route::Refused("rule is taken".to_owned()));
    // The hub that refused is lost. The others know their own routers only.
    lose(&mut answers, now, 2);
    assert!(waiting(&mut answers, now).contains("poll another one: b"));
}

#[test]
fn hub_that_rejects_the_token_is_not_ignored() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    answers.failed(now, hub(2), &HubError::Unauthorized, "token rejected".to_owned());
    assert_eq!(waiting(&mut answers, now + MOVE_TIMEOUT), "token rejected");
}

#[test]
fn routers_of_a_lost_hub_are_pending_until_another_hub_sees_them() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    lose(&mut answers, now, 2);
    lose(&mut answers, now + SECOND, 2);
    assert!(waiting(&mut answers, now + SECOND).contains("poll another one: b"));
    answers.leased(hub(1), lease(Routing::Pending, &["a", "b"]));
    assert_eq!(waiting(&mut answers, now + SECOND), "waiting for 2 router(s) to acknowledge");
    answers.leased(hub(1), lease(Routing::Confirmed, &["a", "b"]));
    assert_eq!(route(&mut answers, now + SECOND), Route::Confirmed);
}

#[test]
fn routers_of_a_lost_hub_are_forgotten_after_a_while() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    lose(&mut answers, now, 2);
    answers.gone(hub(2));
    assert!(waiting(&mut answers, now + MOVE_TIMEOUT - SECOND).contains("poll another one: b"));
    lose(&mut answers, now + MOVE_TIMEOUT - SECOND, 2);
    assert_eq!(route(&mut answers, now + MOVE_TIMEOUT), Route::Confirmed, "the first failure counts");
}

#[test]
fn hub_that_never_answered_is_waited_for_while_dns_lists_it() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    lose(&mut answers, now, 3);
    assert_eq!(waiting(&mut answers, now + SECOND), "hub 3: refused");
    assert_eq!(route(&mut answers, now + MOVE_TIMEOUT), Route::Confirmed);
    answers.gone(hub(3));
    assert_eq!(route(&mut answers, now + SECOND), Route::Confirmed);
}

#[test]
fn no_hub_that_answers_fails_the_check() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    lose(&mut answers, now, 1);
    lose(&mut answers, now, 2);
    for time in [now, now + MOVE_TIMEOUT, now + TIMEOUT * 100] {
        assert_eq!(waiting(&mut answers, time), "hub 1: refused");
    }
}

#[test]
fn virtual_ip_counts_only_if_no_other_address_is_a_hub() {
    let (now, mut answers) = (Instant::now(), Answers::default());
    let error = HubError::VirtualIp([10, 0, 1, 9].into());
    answers.failed(now, hub(7), &error, error.to_string());
    assert!(waiting(&mut answers, now).contains("endpoint_mode: dnsrr"));
    answers.leased(hub(9), lease(Routing::Confirmed, &["a"]));
    assert_eq!(route(&mut answers, now), Route::Confirmed);
}

#[test]
fn hub_without_routers_counts_if_another_one_has_routers() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    let without = Lease { expects_router: true, ..lease(Routing::Pending, &[]) };
    answers.leased(hub(2), without.clone());
    assert_eq!(route(&mut answers, now), Route::Confirmed);
    assert!(answers.is_idle(hub(2)) && !answers.is_idle(hub(1)));
    answers.leased(hub(1), without);
    assert_eq!(waiting(&mut answers, now), "waiting for 1 router(s) to acknowledge");
    assert!(!answers.is_idle(hub(2)));
}

#[test]
fn task_without_router_labels_needs_no_route() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    answers.leased(hub(1), lease(Routing::Unrouted, &["a"]));
    answers.leased(hub(2), lease(Routing::Unrouted, &[]));
    assert_eq!(route(&mut answers, now), Route::Unrouted);
}

#[test]
fn missing_router_fails_the_check_until_no_router_has_polled_for_the_timeout() {
    let (start, mut answers) = (Instant::now(), Answers::default());
    let alone = lease(Routing::Pending, &[]);
    for number in [1, 2] {
        answers.leased(hub(number), alone.clone());
    }
    assert!(matches!(answers.route(start, Health::Starting, TIMEOUT), Route::Waiting(_)));
    let start = start + TIMEOUT;
    assert_eq!(waiting(&mut answers, start), "no router polls the hub");
    // A router that polls in between, and hubs that do not answer, start the time again.
    answers.leased(hub(2), lease(Routing::Pending, &["b"]));
    waiting(&mut answers, start + SECOND);
    answers.leased(hub(2), alone.clone());
    assert_eq!(waiting(&mut answers, start + TIMEOUT), "no router polls the hub");
    assert_eq!(route(&mut answers, start + TIMEOUT * 2), Route::NoRouter);
    answers.leased(hub(2), lease(Routing::Confirmed, &["b"]));
    assert_eq!(route(&mut answers, start + TIMEOUT * 2), Route::Confirmed);
}

fn withdrawal(confirmed: &[&str], pending: &[&str]) -> Withdrawal {
    let names = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Withdrawal { confirmed: names(confirmed), pending: names(pending), expects_router: false }
}

#[test]
fn withdrawal_is_complete_once_all_hubs_have_no_pending_router() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    answers.withdrawn(hub(1), withdrawal(&["a"], &[]));
    assert_eq!(answers.progress(now), Progress::Incomplete(None, withdrawal(&["a"], &[])));
    answers.withdrawn(hub(2), withdrawal(&[], &["b"]));
    let problem = Some("not acknowledged by b".to_owned());
    assert_eq!(answers.progress(now), Progress::Incomplete(problem, withdrawal(&["a"], &["b"])));
    answers.withdrawn(hub(2), withdrawal(&["b"], &[]));
    assert_eq!(answers.progress(now), Progress::Complete(withdrawal(&["a", "b"], &[])));
}

#[test]
fn withdrawal_waits_for_the_routers_of_a_lost_hub() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    answers.withdrawn(hub(1), withdrawal(&["a"], &[]));
    lose(&mut answers, now, 2);
    let problem = Some("hub 2: refused".to_owned());
    assert_eq!(answers.progress(now + SECOND), Progress::Incomplete(problem, withdrawal(&["a"], &["b"])));
    assert!(matches!(answers.progress(now + MOVE_TIMEOUT), Progress::Complete(_)));
    answers.withdrawn(hub(1), withdrawal(&["a", "b"], &[]));
    assert_eq!(answers.progress(now + SECOND), Progress::Complete(withdrawal(&["a", "b"], &[])));
}

#[test]
fn withdrawal_without_any_hub_is_incomplete() {
    let (now, mut answers) = (Instant::now(), two_hubs());
    lose(&mut answers, now, 1);
    lose(&mut answers, now, 2);
    let problem = Some("hub 1: refused".to_owned());
    assert_eq!(answers.progress(now + MOVE_TIMEOUT), Progress::Incomplete(problem, Withdrawal::default()));
}

#[test]
fn server_that_is_not_a_hub_needs_no_withdrawal() {
    let (now, mut answers) = (Instant::now(), Answers::default());
    answers.failed(now, hub(1), &HubError::Unauthorized, "token rejected".to_owned());
    assert_eq!(answers.progress(now), Progress::Rejected("token rejected".to_owned()));
}

#[test]
fn new_hub_that_expects_a_router_counts_if_no_other_one_has_routers() {
    let (now, mut answers) = (Instant::now(), Answers::default());
    answers.leased(hub(1), lease(Routing::Confirmed, &["a"]));
    lose(&mut answers, now, 1);
    let new = Withdrawal { expects_router: true, ..Withdrawal::default() };
    answers.withdrawn(hub(2), new);
    assert!(matches!(answers.progress(now + MOVE_TIMEOUT), Progress::Incomplete(Some(_), _)));
    answers.withdrawn(hub(3), withdrawal(&["a"], &[]));
    assert_eq!(
        answers.progress(now + SECOND),
        Progress::Complete(Withdrawal { expects_router: true, ..withdrawal(&["a"], &[]) })
    );
}

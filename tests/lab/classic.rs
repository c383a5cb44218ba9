use std::time::Duration;

use harness::LabStack;
use harness::load::{HELLO, PONG, pass_all, wait_for_all};
use harness::{Load, LoadOptions, http};

const LONG: Duration = Duration::from_mins(1);

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn updates_of_the_classic_stack_fail_no_request() {
    let classic = LabStack::classic().unwrap();
    let leader = &classic.lab().nodes()[0];
    let loads: Vec<_> = [("/plain/ping", PONG), ("/plain/hello/viktor", HELLO)]
        .into_iter()
        .map(|(path, instance)| {
            let url = format!("http://{}:81{path}", leader.address());
            http::wait_ok(&url, LONG).unwrap();
            Load::start(url, &LoadOptions { rate: 200, instance, ..LoadOptions::default() }).unwrap()
        })
        .collect();

    wait_for_all(&loads, 100, LONG).unwrap();
    classic.stack().replace(&["ping", "hello"], LONG).unwrap();
    pass_all(loads, 100, LONG).unwrap();
}

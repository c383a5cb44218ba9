use std::time::Duration;

use anyhow::{Result, ensure};
use swarmlings_harness::load::{HELLO, PONG};
use swarmlings_harness::rehearsal::Rehearsal;
use swarmlings_harness::{Load, LoadOptions, eventually, http};

const LONG: Duration = Duration::from_mins(1);

#[test]
fn the_classic_stack_answers_and_its_updates_fail_no_request() {
    let classic = Rehearsal::classic().unwrap();
    let leader = &classic.lab().nodes()[0];
    let loads: Vec<_> = [("/plain/ping", PONG), ("/plain/hello/viktor", HELLO)]
        .into_iter()
        .map(|(path, instance)| {
            let url = format!("http://{}:81{path}", leader.address());
            eventually(LONG, || -> Result<()> {
                let answer = http::get(&url)?;
                ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
                Ok(())
            })
            .unwrap();
            Load::start(url, &LoadOptions { rate: 200, instance, ..LoadOptions::default() }).unwrap()
        })
        .collect();

    wait_for_more(&loads);
    classic.stack().replace(&["ping", "hello"], LONG).unwrap();
    wait_for_more(&loads);
    for load in loads {
        load.pass().unwrap();
    }
}

fn wait_for_more(loads: &[Load]) {
    for load in loads {
        load.wait_for_more(100, LONG).unwrap();
    }
}

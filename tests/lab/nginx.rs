//! `stacks/nginx.yml`: an image of another project, with and without a sidecar, on three hosts.

use std::time::Duration;

use harness::LabStack;
use harness::load::wait_for_all;
use harness::{Load, LoadOptions, eventually, http, images, nginx};

const LONG: Duration = Duration::from_mins(1);

#[test]
#[ignore = "slow: cargo xtask test --all runs it"]
fn updates_of_nginx_with_and_without_sidecar_fail_no_request() {
    let mut demo = LabStack::demo().unwrap();
    let docker = demo.lab().docker().clone();
    let [plain, wrapped] = nginx::build(&docker, demo.images()).unwrap();
    for image in [&plain, &wrapped] {
        images::push(&docker, image).unwrap();
    }
    demo.join("stacks/agent.yml", "agent", &[]).unwrap();
    let stack = demo.join("stacks/nginx.yml", "nginx", &[("NGINX_IMAGE", &plain)]).unwrap();

    let worker = demo.lab().node("worker-2").unwrap();
    for service in ["wrapped", "plain"] {
        let url = demo.url(worker, &format!("/{service}/"));
        let hosts: Vec<_> = stack.containers_of(service).unwrap().iter().map(|c| c.host().unwrap()).collect();
        assert_eq!(hosts.len(), 2);
        for host in hosts {
            eventually(LONG, || http::get(&url).unwrap().body == format!("nginx on {host}\n"))
                .unwrap_or_else(|error| panic!("{url} from {host}: {error}"));
        }
    }

    let loads = ["wrapped", "plain"].map(|service| {
        let options =
            LoadOptions { rate: 100, instance: r"body:^nginx on (\S+)\n$", ..LoadOptions::default() };
        Load::start(demo.url(worker, &format!("/{service}/")), &options).unwrap()
    });
    wait_for_all(&loads, 100, LONG).unwrap();
    stack.replace(&["wrapped", "plain"], LONG).unwrap();
    for load in loads {
        load.wait_for_more(100, LONG).unwrap();
        load.pass().unwrap();
    }
}

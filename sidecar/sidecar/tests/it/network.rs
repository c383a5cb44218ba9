use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use protocol::Health;
use rustix::process::Signal;

use crate::support::hub::{Answer, ScriptedHub};
use crate::support::proc::{status, with_file};
use crate::support::service::Service;
use crate::support::sidecar::{Run, TELLTALE};

#[test]
fn task_is_not_registered_at_an_address_where_the_service_refuses_connections() {
    let hub = ScriptedHub::start_at("[::1]:0".parse().unwrap(), Answer::usual);
    // It listens on IPv4 only.
    let service = Service::healthy();
    let sidecar = Run::with(&hub, &service).flags(["--port", &service.port()]).script(TELLTALE);
    sidecar.checks(1, "healthy, but not yet routed: hub ");
    let port = service.port();
    sidecar.checks(1, &format!("the service refuses connections at [::1]:{port}"));
    sidecar.checks(1, &format!("accepts them at 127.0.0.1:{port}; let it listen on all addresses"));
    assert!(hub.requests().iter().all(|request| request.health() == Some(Health::Starting)));
}

#[test]
fn port_without_a_listener_and_an_address_flag_are_not_checked() {
    let service = Service::healthy();
    let udp = UdpSocket::bind("[::1]:0").unwrap();
    let udp_port = udp.local_addr().unwrap().port().to_string();
    for flags in [["--port", &udp_port, "--label", "a=b"], ["--port", &service.port(), "--address", "::1"]] {
        let hub = ScriptedHub::start_at("[::1]:0".parse().unwrap(), Answer::usual);
        let sidecar = Run::with(&hub, &service).flags(flags).script(TELLTALE);
        sidecar.checks(0, "healthy and routed");
    }
}

#[test]
fn task_uses_the_address_of_the_hub_in_whose_family_the_service_listens() {
    let hub = ScriptedHub::start_at("[::1]:0".parse().unwrap(), Answer::usual);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, hub.address().port()));
    let same_hub = ScriptedHub::start_at(address, Answer::usual);
    let service = Service::healthy();
    let hosts = with_file("hosts", "/etc/hosts", "::1 both.test\n127.0.0.1 both.test\n");
    let sidecar = Run::with(&hub, &service)
        .hub(&format!("http://both.test:{}", address.port()))
        .flags(["--port", &service.port()])
        .under(hosts)
        .script(TELLTALE);
    let registration = same_hub.asked_with_health(Health::Healthy).registration.unwrap();
    assert_eq!(registration.address, IpAddr::from(Ipv4Addr::LOCALHOST));
    sidecar.checks(0, "healthy and routed");
}

/// Needs root, for the port of DNS.
#[test]
fn dns_server_that_does_not_respond_is_named_and_delays_neither_the_check_nor_the_stop() {
    let dns = UdpSocket::bind("127.53.53.53:53").unwrap();
    let service = Service::healthy();
    let resolv = with_file("resolv", "/etc/resolv.conf", "nameserver 127.53.53.53\n");
    let mut sidecar =
        Run::new().hub("http://hub.test:8080").probe(&service.url()).under(resolv).script(TELLTALE);
    sidecar.says("ready");
    sidecar.checks(1, "healthy, but not yet routed: resolving hub http://hub.test:8080");
    sidecar.checks(1, "hub http://hub.test:8080: resolving hub: no response within 2s");
    // The main thread, and one look-up each of hub.test and tasks.hub.test.
    assert_eq!(status(sidecar.pid(), "Threads").as_deref(), Some("3"));
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.ends().code(), Some(0));
    drop(dns);
}

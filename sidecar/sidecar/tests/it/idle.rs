use protocol::Health;

use crate::support::eventually;
use crate::support::hub::{Answer, ScriptedHub};
use crate::support::proc::status;
use crate::support::service::Service;
use crate::support::sidecar::Run;

#[test]
fn idle_sidecar_wakes_up_once_per_probe() {
    // No heartbeat is due during the test, and a TCP probe waits for no response.
    let hub = ScriptedHub::start(Answer::usual);
    let service = Service::start(0);
    let run = Run::with(&hub, &service).probe(&service.tcp_url()).flags(["--probe-interval", "100ms"]);
    let sidecar = run.command(&["sleep", "1000"]);
    hub.asked_with_health(Health::Healthy);
    sidecar.logs("routed");

    let pid = sidecar.pid();
    let woken = || status(pid, "voluntary_ctxt_switches").unwrap().parse::<usize>().unwrap();
    let probes_after =
        |count: usize| eventually("probes", || Some(service.probes()).filter(|probes| *probes >= count));
    let (first, woken_before) = (probes_after(service.probes() + 1), woken());
    let (last, woken_after) = (probes_after(first + 20), woken());
    let (probes, woken) = (last - first, woken_after - woken_before);
    // On a busy machine even connecting on loopback may need a second wake-up.
    assert!(woken <= probes * 3 / 2, "{woken} wake-ups for {probes} probes");
}

use swarmlings_harness::description::conforms;

use crate::process::Echo;

#[test]
fn it_keeps_to_its_description() {
    let echo = Echo::start(&[]);
    conforms("echo", &format!("http://{}", echo.place("address")), None).unwrap();
    assert_eq!(echo.get("/bench").code, 200);
}

use std::fs;

use super::processes::LAB;
use super::*;
use crate::{Signal, proc};

#[test]
fn dropped_lab_leaves_nothing_behind() {
    let options = LabOptions::owned(1);
    let lab = Lab::create(&options).unwrap();
    let processes = proc::with_environment(LAB, &options.directory.to_string_lossy());
    assert!(processes.len() >= 6, "shell, unshare, init, nsenter, the host's init, dockerd: {processes:?}");

    drop(lab);
    assert!(!processes.iter().any(ProcessHandle::is_alive), "{processes:?}");
    let leftovers = Leftovers::of(&options.directory);
    assert!(leftovers.is_empty(), "{leftovers}");
}

#[test]
fn lab_of_a_killed_owner_leaves_nothing_behind() {
    let options = LabOptions::owned(1);
    let mut lab = Lab::create(&options).unwrap();
    // The kernel closes this pipe when the owner dies.
    let mut owner = lab.owner.take().unwrap();
    drop(owner.stdin.take());

    eventually(START_TIMEOUT, || {
        let leftovers = Leftovers::of(&options.directory);
        if leftovers.is_empty() { Ok(()) } else { Err(leftovers) }
    })
    .unwrap();
    owner.wait().unwrap();
}

#[test]
fn directory_of_something_else_is_not_removed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("precious");
    fs::write(&file, "").unwrap();
    assert!(Leftovers::remove(directory.path()).is_empty());
    assert!(file.exists());
    let options = LabOptions { directory: directory.path().to_owned(), ..LabOptions::owned(1) };
    assert!(format!("{:#}", Lab::create(&options).unwrap_err()).contains("File exists"));
    assert!(file.exists());
}

#[test]
fn leftovers_of_a_crashed_lab_are_found_and_removed() {
    let options = LabOptions { owned: false, ..LabOptions::owned(1) };
    let lab = Lab::create(&options).unwrap();
    lab.init.signal(Signal::KILL);
    eventually(START_TIMEOUT, || !lab.init.is_alive()).unwrap();
    assert!(Lab::find(&options.directory).is_err(), "the lab no longer runs");
    assert!(Lab::create(&options).is_err(), "its leftovers block a new one");

    let leftovers = Leftovers::remove(&options.directory);
    assert!(leftovers.is_empty(), "{leftovers}");
    assert!(Lab::find(&options.directory).unwrap().is_none());
}

use std::fs;

use super::part::LAB;
use super::*;
use crate::{Signal, proc};

#[test]
fn a_lab_leaves_nothing_behind() {
    let options = LabOptions::owned(1);
    let lab = Lab::create(&options).unwrap();
    let parts = proc::with_environment(LAB, &options.directory.to_string_lossy());
    assert!(parts.len() >= 6, "a shell, unshare, the first process, nsenter, the host's, dockerd: {parts:?}");

    drop(lab);
    assert!(!parts.iter().any(Task::is_alive), "{parts:?}");
    let left = Traces::of(&options.directory);
    assert!(left.is_empty(), "{left}");
}

#[test]
fn a_lab_whose_owner_has_vanished_leaves_nothing_behind() {
    let options = LabOptions::owned(1);
    let mut lab = Lab::create(&options).unwrap();
    // What the kernel does when the owner dies.
    let mut owner = lab.owner.take().unwrap();
    drop(owner.stdin.take());

    eventually(START, || {
        let left = Traces::of(&options.directory);
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .unwrap();
    owner.wait().unwrap();
}

#[test]
fn a_directory_that_is_no_labs_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("precious");
    fs::write(&file, "").unwrap();
    assert!(Traces::remove(directory.path()).is_empty());
    assert!(file.exists());
    let options = LabOptions { directory: directory.path().to_owned(), ..LabOptions::owned(1) };
    assert!(format!("{:#}", Lab::create(&options).unwrap_err()).contains("File exists"));
    assert!(file.exists());
}

#[test]
fn what_is_left_of_a_lab_that_crashed_is_found_and_removed() {
    let options = LabOptions { owned: false, ..LabOptions::owned(1) };
    let lab = Lab::create(&options).unwrap();
    lab.init.signal(Signal::KILL);
    eventually(START, || !lab.init.is_alive()).unwrap();
    assert!(Lab::find(&options.directory).is_err(), "it is no lab any more");
    assert!(Lab::create(&options).is_err(), "and in the way of another");

    let left = Traces::remove(&options.directory);
    assert!(left.is_empty(), "{left}");
    assert!(Lab::find(&options.directory).unwrap().is_none());
}

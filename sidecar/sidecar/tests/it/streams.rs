use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;

use crate::support::sidecar::{BINARY, Run, plain};

/// Runs `command` under a sidecar that logs nothing, and returns its stdout and stderr.
fn pipe(command: &[&str], input: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut sidecar = plain(BINARY)
        .args(["run", "--hub", "http://127.0.0.1:1", "--log-level", "off", "--"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = sidecar.stdin.take().unwrap();
    let mut stderr = sidecar.stderr.take().unwrap();
    let (output, errors) = thread::scope(|scope| {
        // Dropped, and so closed, at the end of the input.
        scope.spawn(move || stdin.write_all(input).unwrap());
        let errors = scope.spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let mut bytes = Vec::new();
        sidecar.stdout.take().unwrap().read_to_end(&mut bytes).unwrap();
        (bytes, errors.join().unwrap())
    });
    assert!(sidecar.wait().unwrap().success());
    (output, errors)
}

#[test]
fn standard_streams_pass_through_unchanged() {
    let input: Vec<u8> = (0..=u8::MAX).cycle().take(1024 * 1024).collect();
    let (output, errors) = pipe(&["tee", "/dev/stderr"], &input);
    assert!(output == input, "{} bytes of stdout differ", output.len());
    assert!(errors == input, "{} bytes of stderr differ", errors.len());
}

#[test]
fn service_reads_end_of_file_from_a_closed_stdin() {
    let mut sidecar = Run::alone().under(["sh", "-c", "exec \"$@\" <&-", "sh"]).script("cat; echo end $?");
    assert_eq!(sidecar.ends().code(), Some(0));
    assert_eq!(sidecar.said(), ["end 0"]);
}

#[test]
fn service_inherits_the_open_files_and_no_others() {
    // The parent of the tests may have left files open.
    let opening = ["sh", "-c", "exec 7</dev/null; exec \"$@\"", "sh"];
    let script = "ls /proc/$$/fd";
    let given = plain(opening[0]).args(&opening[1..]).args(["sh", "-c", script]).output().unwrap().stdout;
    let given: Vec<_> = str::from_utf8(&given).unwrap().lines().map(ToOwned::to_owned).collect();
    assert!(given.contains(&"7".to_owned()));
    let mut sidecar = Run::alone().under(opening).script(script);
    sidecar.ends();
    assert_eq!(sidecar.said(), given);
}

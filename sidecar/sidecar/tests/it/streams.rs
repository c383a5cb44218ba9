use std::io::{self, PipeReader, Read, Write};
use std::process::Command;
use std::thread;

use harness::process::{self, Streams};
use harness::{Process, SpawnOptions, TIMEOUT};

use crate::support::sidecar::{BINARY, Run};

/// Runs `service` under a sidecar that logs nothing, and returns its stdout and stderr.
fn pipe(service: &[&str], input: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut command = process::command(BINARY);
    command.args(["run", "--hub", "http://127.0.0.1:1", "--log-level", "off", "--"]).args(service);
    let [(stdin, mut writer), (stdout_reader, stdout), (stderr_reader, stderr)] =
        std::array::from_fn(|_| io::pipe().unwrap());
    let streams =
        Streams { stdin: Some(stdin.into()), stdout: Some(stdout.into()), stderr: Some(stderr.into()) };
    let mut sidecar = Process::spawn_with("sidecar", &mut command, SpawnOptions::default(), streams).unwrap();
    let read = |mut reader: PipeReader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let (stdout, stderr) = thread::scope(|scope| {
        // Closes the pipe at the end of the input.
        scope.spawn(move || writer.write_all(input).unwrap());
        let stderr = scope.spawn(move || read(stderr_reader));
        (read(stdout_reader), stderr.join().unwrap())
    });
    assert!(sidecar.wait(TIMEOUT).unwrap().success());
    (stdout, stderr)
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
    let given =
        Command::new(opening[0]).args(&opening[1..]).args(["sh", "-c", script]).output().unwrap().stdout;
    let given: Vec<_> = str::from_utf8(&given).unwrap().lines().map(ToOwned::to_owned).collect();
    assert!(given.contains(&"7".to_owned()));
    let mut sidecar = Run::alone().under(opening).script(script);
    sidecar.ends();
    assert_eq!(sidecar.said(), given);
}

//! Interpreters of scripts and loaders of dynamic binaries. If one is missing, the kernel reports the program as missing.

use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Length of the start of a file, which holds an interpreter's path.
const HEAD: u64 = 4096;

/// Returns the interpreter of `program` if `program` exists and its interpreter does not.
pub(crate) fn missing(program: &OsStr) -> Option<String> {
    let mut head = Vec::new();
    File::open(find(program)?).ok()?.take(HEAD).read_to_end(&mut head).ok()?;
    let interpreter = parse(&head)?;
    (!Path::new(&interpreter).exists()).then_some(interpreter)
}

/// Finds a program as `execvp` does.
fn find(program: &OsStr) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(program.into());
    }
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Returns the interpreter that the start of a file names.
fn parse(head: &[u8]) -> Option<String> {
    let name = if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        line.trim_ascii_start().split(|byte| b" \t".contains(byte)).next()?
    } else if head.starts_with(b"\x7fELF") {
        // The only absolute path to a loader this early in the file; a text that ends with a zero.
        let mut texts = head.split(|byte| *byte == 0);
        let text = texts.find(|text| text.windows(3).any(|part| part == b"/ld"))?;
        &text[text.iter().position(|byte| *byte == b'/')?..]
    } else {
        return None;
    };
    Some(String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreter_is_read_from_scripts_and_binaries() {
        for (head, expected) in [
            (&b"#!/bin/sh\necho"[..], Some("/bin/sh")),
            (b"#! /usr/bin/env -S a\n", Some("/usr/bin/env")),
            (b"#!/bin/sh\r\n", Some("/bin/sh\r")),
            (b"\x7fELF\x02\x01\0\0\x01\0/lib64/ld-linux.so.2\0GNU\0", Some("/lib64/ld-linux.so.2")),
            (b"\x7fELF\0\0\0\x04/nix/glibc/lib/ld.so\0", Some("/nix/glibc/lib/ld.so")),
            (b"\x7fELF\0static\0", None),
            (b"echo /ld\n", None),
            (b"", None),
        ] {
            assert_eq!(parse(head).as_deref(), expected, "{}", head.escape_ascii());
        }
    }
}

//! A pseudo-terminal for programs that draw on one.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A pseudo-terminal that is no process's controlling terminal.
pub struct Pty {
    /// The terminal's end, which reads the output of programs.
    pub master: File,
    /// The programs' end.
    pub program: File,
}

impl Pty {
    /// Opens one of `width` columns and `height` lines.
    pub fn open(width: u16, height: u16) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).context("opening a pseudo-terminal")?;
        grantpt(&master).and_then(|()| unlockpt(&master)).context("unlocking a pseudo-terminal")?;
        let name = ptsname(&master, Vec::new()).context("getting the name of a pseudo-terminal")?;
        let name = name.into_string().context("decoding the name of a pseudo-terminal")?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlags::NOCTTY.bits().cast_signed());
        let program = options.open(&name).with_context(|| format!("opening {name}"))?;
        let pty = Self { master: master.into(), program };
        pty.resize(width, height)?;
        Ok(pty)
    }

    /// Changes its size.
    pub fn resize(&self, width: u16, height: u16) -> Result<()> {
        let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).context("resizing a pseudo-terminal")
    }
}

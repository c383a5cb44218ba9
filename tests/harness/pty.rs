//! A terminal for programs that draw on one.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A pseudo-terminal of the kernel's, that nobody is controlled by.
pub struct Pty {
    /// What the terminal reads of programs.
    pub master: File,
    /// What programs write to.
    pub program: File,
}

impl Pty {
    /// One of so many columns and lines.
    pub fn open(width: u16, height: u16) -> Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).context("opening a pseudo-terminal")?;
        grantpt(&master).and_then(|()| unlockpt(&master)).context("unlocking a pseudo-terminal")?;
        let name = ptsname(&master, Vec::new()).context("looking for a pseudo-terminal's name")?;
        let name = name.into_string().context("reading a pseudo-terminal's name")?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(OFlags::NOCTTY.bits().cast_signed());
        let program = options.open(&name).with_context(|| format!("opening {name}"))?;
        let pty = Self { master: master.into(), program };
        pty.resize(width, height)?;
        Ok(pty)
    }

    /// Makes it as large as that.
    pub fn resize(&self, width: u16, height: u16) -> Result<()> {
        let size = Winsize { ws_row: height, ws_col: width, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).context("resizing a pseudo-terminal")
    }
}

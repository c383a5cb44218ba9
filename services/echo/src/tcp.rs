//! TCP connections without HTTP that echo every byte.

use std::io;
use std::pin::pin;
use std::time::Duration;

use clap::{ArgAction, Args};
use cli::{parse_bool, port};
use runtime::{Limits, Upgraded};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::api::Replica;
use crate::transport::tls::Session;

/// Size of a read in bytes.
const CHUNK: usize = 8192;

/// Pause of the client after which the drain closes its connection.
const DRAIN_PAUSE: Duration = Duration::from_millis(100);

/// Time for the client to close its side of the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Flags of the TCP port.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "TCP")]
pub struct TcpArgs {
    /// Port for TCP connections that echo every byte; 0 selects a free one
    #[arg(long, env = "SERVICE_TCP_PORT", value_name = "PORT", value_parser = port)]
    pub tcp_port: Option<u16>,
    /// Send a line of JSON first on each TCP connection: the task and the address of the client
    #[arg(long, env = "SERVICE_TCP_GREETING", action = ArgAction::SetTrue, value_parser = parse_bool)]
    pub tcp_greeting: bool,
}

/// The first line of a connection.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Greeting<'a> {
    pub(crate) hostname: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
    pub(crate) remote_addr: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<&'a Session>,
    #[serde(flatten)]
    pub(crate) task: Replica<'a>,
}

/// Sends `greeting`, then every byte of the client, until the client has sent its last byte, is idle, or reads nothing.
pub(crate) async fn echo(mut stream: Upgraded, greeting: String, limits: &Limits) {
    let mut closing = pin!(stream.closing());
    let mut is_closing = false;
    let mut bytes = vec![0; CHUNK];
    if !send(&mut stream, greeting.as_bytes(), limits).await {
        return;
    }
    loop {
        let pause = if is_closing { DRAIN_PAUSE } else { limits.idle_timeout };
        let read = tokio::select! {
            read = timeout(pause, stream.read(&mut bytes)) => read,
            () = &mut closing, if !is_closing => {
                is_closing = true;
                continue;
            }
        };
        let Ok(Ok(count @ 1..)) = read else { break };
        if !send(&mut stream, &bytes[..count], limits).await {
            return;
        }
    }
    // Read what the client is still sending: the kernel resets a connection with unread bytes, and the client might lose the
    // last ones that were sent to it.
    let close = async {
        stream.shutdown().await?;
        while stream.read(&mut bytes).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(CLOSE_TIMEOUT, close).await;
}

/// Returns whether the client has taken the bytes.
async fn send(stream: &mut Upgraded, bytes: &[u8], limits: &Limits) -> bool {
    let send = async {
        stream.write_all(bytes).await?;
        // TLS has a buffer.
        stream.flush().await
    };
    timeout(limits.stall_timeout, send).await.is_ok_and(|sent| sent.is_ok())
}

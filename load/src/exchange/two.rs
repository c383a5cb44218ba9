//! HTTP/2 on a connection that several share.

use std::cell::RefCell;
use std::error::Error;
use std::future::Future;
use std::io;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;
use tokio::task::spawn_local;

use super::dial::Dialer;
use crate::fault::Fault;
use crate::instance::{Key, LOOKED_AT};
use crate::plan::Plan;
use crate::recorder::Answer;
use crate::report::Class;
use crate::target::Target;

/// A request as hyper takes it, to be copied.
#[derive(Clone)]
pub(crate) struct Template(Request<Full<Bytes>>);

impl Template {
    /// What goes to `target`.
    pub(crate) fn new(plan: &Plan, target: &Target) -> Result<Self, Fault> {
        let fault = |error: http::Error| Fault::protocol(format_args!("making a request: {error}"));
        // HTTP/2 has no such field: it is part of what is asked for.
        let is_host = |name: &str| name.eq_ignore_ascii_case("host");
        let host = plan.fields.iter().find(|(name, _)| is_host(name)).map(|(_, value)| value.as_str());
        let uri = Uri::builder()
            .scheme(if target.origin.tls { "https" } else { "http" })
            .authority(host.unwrap_or(&target.authority))
            .path_and_query(target.path.as_str());
        let mut request = Request::builder().method(plan.method.clone()).uri(uri.build().map_err(fault)?);
        for (name, value) in plan.fields.iter().filter(|(name, _)| !is_host(name)) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| fault(error.into()))?;
            request =
                request.header(name, HeaderValue::from_str(value).map_err(|error| fault(error.into()))?);
        }
        let body = Full::new(Bytes::from(plan.body.clone()));
        request.body(body).map(Self).map_err(fault)
    }
}

/// A connection that speaks HTTP/2, as one of those has it who share it.
#[derive(Clone)]
pub(crate) struct Two(SendRequest<Full<Bytes>>);

impl Two {
    async fn connect(dialer: &Dialer, number: usize) -> Result<Self, Fault> {
        let stream = dialer.connect(number).await?;
        let (sender, connection) =
            http2::handshake(Here, TokioIo::new(stream)).await.map_err(|error| fault(&error))?;
        // Whoever sends hears what goes wrong with it.
        spawn_local(async { drop(connection.await) });
        Ok(Self(sender))
    }

    /// Sends a request, and reads the answer to its end. The instance's name is put into `name`.
    pub(crate) async fn exchange(
        &mut self,
        template: &Template,
        key: &Key,
        name: &mut Vec<u8>,
    ) -> Result<Answer, Fault> {
        self.0.ready().await.map_err(|error| fault(&error))?;
        let answer = self.0.send_request(template.0.clone()).await.map_err(|error| fault(&error))?;
        name.clear();
        if let Some(value) = key.header().and_then(|name| answer.headers().get(name)) {
            name.extend_from_slice(value.as_bytes());
        }
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let (mut bytes, mut content) = (0, Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| fault(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            bytes += data.len() as u64;
            if matches!(key, Key::Body(_)) {
                let room: usize = LOOKED_AT - content.len();
                content.extend_from_slice(&data[..data.len().min(room)]);
            }
        }
        key.find(&content, name);
        Ok(Answer { status, bytes })
    }
}

/// The place of a connection that several share.
#[derive(Default)]
pub(crate) struct Shared {
    current: RefCell<Option<Two>>,
    connecting: Mutex<()>,
}

impl Shared {
    /// The connection, made anew if there is none or it is closed. `opened` hears of a new one.
    pub(crate) async fn get(
        &self,
        dialer: &Dialer,
        number: usize,
        opened: impl FnOnce(),
    ) -> Result<Two, Fault> {
        let usable = || self.current.borrow().clone().filter(|two| !two.0.is_closed());
        if let Some(two) = usable() {
            return Ok(two);
        }
        let _turn = self.connecting.lock().await;
        if let Some(two) = usable() {
            return Ok(two);
        }
        let two = Two::connect(dialer, number).await?;
        opened();
        *self.current.borrow_mut() = Some(two.clone());
        Ok(two)
    }
}

/// Runs what belongs to a connection in the thread that has it.
#[derive(Clone, Copy)]
struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        spawn_local(async { drop(future.await) });
    }
}

fn fault(error: &hyper::Error) -> Fault {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(error) = inner.downcast_ref::<h2::Error>() {
            if let Some(error) = error.get_io() {
                return Fault::io("speaking HTTP/2", error);
            }
            let class = match (error.is_reset(), error.is_go_away()) {
                (true, _) => Class::Reset,
                (_, true) => Class::Closed,
                _ => Class::Protocol,
            };
            return Fault::new(class, format_args!("speaking HTTP/2: {error}"));
        }
        if let Some(error) = inner.downcast_ref::<io::Error>() {
            return Fault::io("speaking HTTP/2", error);
        }
        source = inner.source();
    }
    let is_closed = error.is_closed() || error.is_canceled() || error.is_incomplete_message();
    let class = if is_closed { Class::Closed } else { Class::Protocol };
    Fault::new(class, format_args!("speaking HTTP/2: {error}"))
}

//! What can be changed at run time.

use std::time::Instant;

use cli::{Token, log_level, set_log_level};
use http::{HeaderValue, Method, StatusCode, header};

use super::Admin;
use crate::exchange::not_allowed;
use crate::faults::Order;
use crate::{Peer, Request, Response, status, text};

impl Admin {
    /// Answers `/log-level` and `/faults`.
    pub(super) async fn control(&self, request: Request, peer: Peer) -> Response {
        let answer = match request.uri().path() {
            "/log-level" => self.log_level(request, peer).await,
            "/faults" => self.faults(request, peer).await,
            _ => Ok(status(
                StatusCode::NOT_FOUND,
                "here are /healthz, /readyz, /metrics, /version, /log-level and /faults\n",
            )),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    async fn log_level(&self, request: Request, peer: Peer) -> Result<Response, Response> {
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::PUT => {
                self.authorize(&request, peer).map_err(|refusal| *refusal)?;
                let body = body(request).await?;
                let level = std::str::from_utf8(body.trim_ascii()).unwrap_or("no text");
                set_log_level(level).map_err(|error| refused(format_args!("{level:?}: {error}")))?;
                tracing::info!(%peer, level, "the log's level is set");
            }
            _ => return Err(not_allowed(&[Method::GET, Method::HEAD, Method::PUT])),
        }
        Ok(text(format!("{}\n", log_level())))
    }

    async fn faults(&self, request: Request, peer: Peer) -> Result<Response, Response> {
        let faults = &self.0.faults;
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::DELETE => {
                self.authorize(&request, peer).map_err(|refusal| *refusal)?;
                faults.end();
                tracing::warn!(%peer, "the fault is ended");
            }
            Method::POST => {
                self.authorize(&request, peer).map_err(|refusal| *refusal)?;
                let order = Order::parse(&body(request).await?).map_err(refused)?;
                if let Some(slot) =
                    order.slot.as_deref().filter(|slot| Some(*slot) != self.0.identity.slot.as_deref())
                {
                    let own = self.0.identity.slot.as_deref().unwrap_or("none");
                    return Ok(text(format!("this is slot {own}, not {slot}: nothing is changed\n")));
                }
                tracing::warn!(%peer, %order, "a fault begins");
                faults.begin(order, Instant::now());
            }
            _ => return Err(not_allowed(&[Method::GET, Method::HEAD, Method::POST, Method::DELETE])),
        }
        let order = faults.order(Instant::now());
        let mut response = text(order.map_or_else(|| "null\n".to_owned(), |order| format!("{order}\n")));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
    }

    /// Lets pass whoever knows the token, which is read anew each time.
    fn authorize(&self, request: &Request, peer: Peer) -> Result<(), Box<Response>> {
        let Some(path) = &self.0.token_file else {
            let why = "nothing can be changed here: that takes --admin-token-file\n";
            return Err(Box::new(status(StatusCode::FORBIDDEN, why)));
        };
        let token = Token::read(path).map_err(|failure| {
            tracing::error!("{failure}");
            Box::new(status(StatusCode::INTERNAL_SERVER_ERROR, format!("{failure}\n")))
        })?;
        let given = request.headers().get(header::AUTHORIZATION);
        token.check(given.map(HeaderValue::as_bytes)).map_err(|why| {
            tracing::warn!(%peer, "{why}");
            let mut refusal = status(StatusCode::UNAUTHORIZED, format!("{why}\n"));
            refusal.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            Box::new(refusal)
        })
    }
}

async fn body(request: Request) -> Result<bytes::Bytes, Response> {
    request.into_body().bytes().await.map_err(|error| error.response())
}

fn refused(why: impl std::fmt::Display) -> Response {
    status(StatusCode::BAD_REQUEST, format!("{why}\n"))
}

//! What a program serves on its two ports, as one type.

use http::Method;

use crate::{Admin, Connection, Request, Response, Service, Transport};

/// The service itself or its operational endpoints: were these two types, each program would contain all of its
/// server twice, a tenth of its size.
pub(crate) enum Front<S> {
    Service(S),
    Admin(Admin),
}

impl<S: Service> Service for Front<S> {
    const HTTP2: bool = S::HTTP2;

    fn methods(&self) -> Option<&[Method]> {
        match self {
            Self::Service(service) => service.methods(),
            Self::Admin(admin) => admin.methods(),
        }
    }

    fn routes(&self) -> &'static [&'static str] {
        match self {
            Self::Service(service) => service.routes(),
            Self::Admin(admin) => admin.routes(),
        }
    }

    fn route(&self, path: &str) -> usize {
        match self {
            Self::Service(service) => service.route(path),
            Self::Admin(admin) => admin.route(path),
        }
    }

    fn try_sync(&self, request: &Request) -> Option<Response> {
        match self {
            Self::Service(service) => service.try_sync(request),
            Self::Admin(admin) => admin.try_sync(request),
        }
    }

    async fn call(&self, request: Request, connection: &Connection) -> Response {
        match self {
            Self::Service(service) => service.call(request, connection).await,
            Self::Admin(admin) => admin.call(request, connection).await,
        }
    }

    fn transport(&self) -> Option<&dyn Transport> {
        match self {
            Self::Service(service) => service.transport(),
            Self::Admin(_) => None,
        }
    }

    fn on_disconnect(&self, connection: &Connection) {
        if let Self::Service(service) = self {
            service.on_disconnect(connection);
        }
    }

    fn on_drain(&self) {
        if let Self::Service(service) = self {
            service.on_drain();
        }
    }

    fn metrics(&self, out: &mut String) {
        if let Self::Service(service) = self {
            service.metrics(out);
        }
    }
}

//! Routes by path.

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/` and all other paths: server and request, as whoami shows them.
    Whoami,
    /// `/api`: server and request as JSON.
    Api,
    /// `/bench`: the smallest response.
    Bench,
    /// `/data`: text of a given size.
    Data,
    /// `/echo`: a WebSocket that echoes messages.
    Echo,
    /// `/health`: the status code that was set.
    Health,
    /// `/openapi.yaml`: the `OpenAPI` description.
    OpenApi,
    /// `/status/CODES`: one of these status codes.
    Status,
    /// `/delay/TIME`: a delayed response.
    Delay,
    /// `/bytes/N`: N random bytes.
    Bytes,
    /// `/stream/N`: N lines of JSON.
    Stream,
    /// `/sse`: server-sent events.
    Sse,
    /// `/headers`: the request headers.
    Headers,
    /// `/drip`: bytes spread over a time.
    Drip,
    /// `/close`: the connection is closed.
    Close,
    /// `/hang`: no response.
    Hang,
    /// `/hops`: the proxies that forwarded the request.
    Hops,
}

impl Route {
    /// All routes in the order of their discriminants, with their names: paths with parameters in braces.
    pub const ALL: [(Self, &'static str); 17] = [
        (Self::Whoami, "/"),
        (Self::Api, "/api"),
        (Self::Bench, "/bench"),
        (Self::Data, "/data"),
        (Self::Echo, "/echo"),
        (Self::Health, "/health"),
        (Self::OpenApi, "/openapi.yaml"),
        (Self::Status, "/status/{codes}"),
        (Self::Delay, "/delay/{time}"),
        (Self::Bytes, "/bytes/{size}"),
        (Self::Stream, "/stream/{count}"),
        (Self::Sse, "/sse"),
        (Self::Headers, "/headers"),
        (Self::Drip, "/drip"),
        (Self::Close, "/close"),
        (Self::Hang, "/hang"),
        (Self::Hops, "/hops"),
    ];

    /// Names of all routes in the same order, for metrics.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut index = 0;
        while index < names.len() {
            names[index] = Self::ALL[index].1;
            index += 1;
        }
        names
    };

    /// Returns the name of the route.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// Returns the route of a path, and its parameter, still encoded.
pub fn route(path: &str) -> (Route, &str) {
    let parameter = |name: &str| match name.split_once('{') {
        Some((prefix, _)) => path.strip_prefix(prefix),
        None => (path == name).then_some(""),
    };
    let mut routes = Route::ALL.into_iter();
    routes.find_map(|(route, name)| Some((route, parameter(name)?))).unwrap_or((Route::Whoami, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn every_route_is_found_by_its_name() {
        for (index, (each, name)) in Route::ALL.into_iter().enumerate() {
            assert_eq!(each as usize, index);
            assert_eq!(route(name).0, each, "{each:?}");
            assert_eq!(each.name(), name);
        }
    }

    #[test]
    fn other_paths_belong_to_whoami() {
        for path in ["/", "", "*", "/api/", "/API", "/status", "/statu/5", "//status/5", "/bench/x"] {
            assert_eq!(route(path).0, Route::Whoami, "{path}");
        }
        assert_eq!(route("/status/200,503:2"), (Route::Status, "200,503:2"));
        assert_eq!(route("/delay/"), (Route::Delay, ""));
        assert_eq!(route("/bytes/1/2"), (Route::Bytes, "1/2"));
    }

    #[test]
    fn arbitrary_paths_never_panic() {
        let mut random = Random::new(10);
        for _ in 0..20_000 {
            let path = gibberish(&mut random, "/statusbyedl");
            assert!(path.ends_with(route(&path).1));
        }
    }
}

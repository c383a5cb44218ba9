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
    /// All routes, each at the index that is its discriminant.
    pub const ALL: [Self; 17] = [
        Self::Whoami,
        Self::Api,
        Self::Bench,
        Self::Data,
        Self::Echo,
        Self::Health,
        Self::OpenApi,
        Self::Status,
        Self::Delay,
        Self::Bytes,
        Self::Stream,
        Self::Sse,
        Self::Headers,
        Self::Drip,
        Self::Close,
        Self::Hang,
        Self::Hops,
    ];

    /// Names of all routes in the same order, for metrics.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut place = 0;
        while place < names.len() {
            names[place] = Self::ALL[place].name();
            place += 1;
        }
        names
    };

    /// Returns its path, with parameters in braces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Whoami => "/",
            Self::Api => "/api",
            Self::Bench => "/bench",
            Self::Data => "/data",
            Self::Echo => "/echo",
            Self::Health => "/health",
            Self::OpenApi => "/openapi.yaml",
            Self::Status => "/status/{codes}",
            Self::Delay => "/delay/{time}",
            Self::Bytes => "/bytes/{size}",
            Self::Stream => "/stream/{count}",
            Self::Sse => "/sse",
            Self::Headers => "/headers",
            Self::Drip => "/drip",
            Self::Close => "/close",
            Self::Hang => "/hang",
            Self::Hops => "/hops",
        }
    }
}

/// Returns the route of a path, and its parameter, still encoded.
pub fn route(path: &str) -> (Route, &str) {
    let whole = match path {
        "/api" => Route::Api,
        "/bench" => Route::Bench,
        "/data" => Route::Data,
        "/echo" => Route::Echo,
        "/health" => Route::Health,
        "/openapi.yaml" => Route::OpenApi,
        "/sse" => Route::Sse,
        "/headers" => Route::Headers,
        "/drip" => Route::Drip,
        "/close" => Route::Close,
        "/hang" => Route::Hang,
        "/hops" => Route::Hops,
        _ => return with_more(path).unwrap_or((Route::Whoami, "")),
    };
    (whole, "")
}

fn with_more(path: &str) -> Option<(Route, &str)> {
    let (name, more) = path.strip_prefix('/')?.split_once('/')?;
    let route = match name {
        "status" => Route::Status,
        "delay" => Route::Delay,
        "bytes" => Route::Bytes,
        "stream" => Route::Stream,
        _ => return None,
    };
    Some((route, more))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn every_route_is_found_by_its_name() {
        for (place, each) in Route::ALL.into_iter().enumerate() {
            assert_eq!(each as usize, place);
            assert_eq!(route(each.name()).0, each, "{each:?}");
            assert_eq!(Route::NAMES[place], each.name());
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

//! Which path is whose.

/// What answers a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/` and every path that is nobody else's: who answers, and what was asked.
    Whoami,
    /// `/api`: the same as JSON.
    Api,
    /// `/bench`: as little as there can be.
    Bench,
    /// `/data`: so many bytes of text.
    Data,
    /// `/echo`: a WebSocket's own words.
    Echo,
    /// `/health`: what it was told to be.
    Health,
    /// `/openapi.yaml`: a description of all this.
    OpenApi,
    /// `/status/CODES`: one of these codes.
    Status,
    /// `/delay/TIME`: after that time.
    Delay,
    /// `/bytes/N`: so many bytes.
    Bytes,
    /// `/stream/N`: so many lines.
    Stream,
    /// `/sse`: server-sent events.
    Sse,
    /// `/headers`: the request's headers.
    Headers,
    /// `/drip`: so many bytes, slowly.
    Drip,
    /// `/close`: no answer, but the connection's end.
    Close,
    /// `/hang`: no answer.
    Hang,
    /// `/hops`: the way that the request came.
    Hops,
}

impl Route {
    /// All of them, each at the place that is its number.
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

    /// Their names, in the same order, as metrics show them.
    pub const NAMES: [&'static str; Self::ALL.len()] = {
        let mut names = [""; Self::ALL.len()];
        let mut place = 0;
        while place < names.len() {
            names[place] = Self::ALL[place].name();
            place += 1;
        }
        names
    };

    /// Its path; what differs from one request to the other stands in braces.
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

/// Whose a path is, and what it says behind the name, still encoded.
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
    fn each_route_is_at_its_number_and_found_by_its_name() {
        for (place, each) in Route::ALL.into_iter().enumerate() {
            assert_eq!(each as usize, place);
            assert_eq!(route(each.name()).0, each, "{each:?}");
            assert_eq!(Route::NAMES[place], each.name());
        }
    }

    #[test]
    fn what_is_nobodys_is_whoamis() {
        for path in ["/", "", "*", "/api/", "/API", "/status", "/statu/5", "//status/5", "/bench/x"] {
            assert_eq!(route(path).0, Route::Whoami, "{path}");
        }
        assert_eq!(route("/status/200,503:2"), (Route::Status, "200,503:2"));
        assert_eq!(route("/delay/"), (Route::Delay, ""));
        assert_eq!(route("/bytes/1/2"), (Route::Bytes, "1/2"));
    }

    #[test]
    fn no_path_is_too_strange() {
        let mut random = Random::new(10);
        for _ in 0..20_000 {
            let path = gibberish(&mut random, "/statusbyedl");
            assert!(path.ends_with(route(&path).1));
        }
    }
}

//! Routes by path.

/// Names of all routes, also for metrics: paths, with parameters in braces.
pub const NAMES: [&str; 18] = [
    // Server and request, as whoami shows them. Also all other paths.
    "/",
    // Server and request as JSON.
    "/api",
    // The smallest response.
    "/bench",
    // Text of a given size.
    "/data",
    // A WebSocket that echoes messages.
    "/echo",
    // The status code that was set.
    "/health",
    // The `OpenAPI` description.
    "/openapi.yaml",
    // One of these status codes.
    "/status/{codes}",
    // A delayed response.
    "/delay/{time}",
    // Random bytes.
    "/bytes/{size}",
    // Lines of JSON.
    "/stream/{count}",
    // Server-sent events.
    "/sse",
    // The request headers.
    "/headers",
    // The headers of the response.
    "/response-headers",
    // Bytes spread over a time.
    "/drip",
    // The connection is closed.
    "/close",
    // No response.
    "/hang",
    // The proxies that forwarded the request.
    "/hops",
];

/// Returns the index of a path's route in [`NAMES`], and its parameter, still encoded.
pub fn route(path: &str) -> (usize, &str) {
    let parameter = |name: &str| match name.split_once('{') {
        Some((prefix, _)) => path.strip_prefix(prefix),
        None => (path == name).then_some(""),
    };
    let mut names = NAMES.iter().enumerate();
    names.find_map(|(index, name)| Some((index, parameter(name)?))).unwrap_or((0, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Random, gibberish};

    #[test]
    fn every_route_is_found_by_its_name() {
        for (index, name) in NAMES.iter().enumerate() {
            assert_eq!(route(name).0, index, "{name}");
        }
    }

    #[test]
    fn other_paths_belong_to_whoami() {
        for path in ["/", "", "*", "/api/", "/API", "/status", "/statu/5", "//status/5", "/bench/x"] {
            assert_eq!(route(path), (0, ""), "{path}");
        }
        for (path, name, expected) in [
            ("/status/200,503:2", "/status/{codes}", "200,503:2"),
            ("/delay/", "/delay/{time}", ""),
            ("/bytes/1/2", "/bytes/{size}", "1/2"),
        ] {
            let (index, parameter) = route(path);
            assert_eq!((NAMES[index], parameter), (name, expected));
        }
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

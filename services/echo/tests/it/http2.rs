use crate::client::curl;
use crate::server::Server;

#[test]
fn http2_with_prior_knowledge_and_http1_share_a_port() {
    let server = Server::start(&[]);
    let url = server.url("http", "/api");
    let written = ["--write-out", "\n%{http_version}", &url];
    for (flag, version, said) in
        [("--http2-prior-knowledge", "2", "HTTP/2.0"), ("--http1.1", "1.1", "HTTP/1.1")]
    {
        let answer = curl(&[&[flag], &written[..]].concat());
        let (body, seen) = answer.rsplit_once('\n').unwrap();
        assert_eq!(seen, version, "curl's own view");
        assert!(body.contains(said), "{body}");
    }
    // The upgrade to HTTP/2 is deprecated: the response is HTTP/1.
    let answer = curl(&[&["--http2"], &written[..]].concat());
    assert!(answer.ends_with("\n1.1"), "{answer}");
}

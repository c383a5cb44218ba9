use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixListener;

use runtime::{Connection, Listener, Peer, Request, Response, Service, text};

use crate::client::Client;
use crate::server::Server;

/// Answers with the name of the client.
struct WhoIsThere;

impl Service for WhoIsThere {
    async fn call(&self, _: Request, connection: &Connection) -> Response {
        assert_eq!(connection.peer, Peer::Unix);
        text(format!("{}\n", connection.peer))
    }
}

#[test]
fn a_unix_socket_serves_and_is_removed_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let server = Server::on_socket(&path, 1, WhoIsThere);
    assert_eq!(Client::connect_unix(&path).get("/").body, "unix\n");
    drop(server);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_nobody_listens_on_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the file outlives its listener");
    let _server = Server::on_socket(&path, 1, WhoIsThere);
    assert_eq!(Client::connect_unix(&path).get("/").code, 200);
}

#[test]
fn a_socket_that_somebody_listens_on_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _server = Server::on_socket(&path, 1, WhoIsThere);
    assert_eq!(Listener::unix(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(Client::connect_unix(&path).get("/").code, 200);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "data").unwrap();
    assert_eq!(Listener::unix(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn a_socket_that_another_has_replaced_is_not_removed_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let first = Server::on_socket(&path, 1, WhoIsThere);
    fs::remove_file(&path).unwrap();
    let _second = Server::on_socket(&path, 1, WhoIsThere);
    drop(first);
    assert_eq!(Client::connect_unix(&path).get("/").code, 200);
}

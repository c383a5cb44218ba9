use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixListener;

use runtime::{Connection, Listener, Peer, Request, Response, Service, text};

use crate::client::Client;
use crate::server::Server;

/// Responds with the client's address.
struct ShowPeer;

impl Service for ShowPeer {
    async fn call(&self, _: Request, connection: &Connection) -> Response {
        assert_eq!(connection.peer, Peer::Unix);
        text(format!("{}\n", connection.peer))
    }
}

#[test]
fn unix_socket_serves_and_is_removed_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let server = Server::on_socket(&path, 1, ShowPeer);
    assert_eq!(Client::connect_unix(&path).get("/").body, "unix\n");
    drop(server);
    assert!(!path.exists());
}

#[test]
fn stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "the file remains after its listener is closed");
    let _server = Server::on_socket(&path, 1, ShowPeer);
    assert_eq!(Client::connect_unix(&path).get("/").code, 200);
}

#[test]
fn socket_in_use_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let _server = Server::on_socket(&path, 1, ShowPeer);
    assert_eq!(Listener::unix(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(Client::connect_unix(&path).get("/").code, 200);
}

#[test]
fn regular_file_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("precious");
    fs::write(&path, "data").unwrap();
    assert_eq!(Listener::unix(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn socket_replaced_by_another_server_is_kept_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let first = Server::on_socket(&path, 1, ShowPeer);
    fs::remove_file(&path).unwrap();
    let _second = Server::on_socket(&path, 1, ShowPeer);
    drop(first);
    assert_eq!(Client::connect_unix(&path).get("/").code, 200);
}

//! More connections than the server has slots, all from one address, as behind a proxy.

use std::io::ErrorKind;
use std::net::TcpStream;

use spanscope_tests::http::{Answer, send_as_it_is};
use spanscope_tests::{PATIENCE, skip, wait_for};

use super::support::{Folder, Serve};

/// Unix's error for a program with too many open files.
const TOO_MANY_FILES: i32 = 24;

fn ask(server: &Serve, path: &str) -> Option<Answer> {
    send_as_it_is(server.address(), "GET", path, "Host: localhost\r\n", "").ok()
}

fn is_open(connection: &TcpStream) -> bool {
    matches!(connection.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn two_thousand_idle_connections_do_not_block_a_probe_from_their_address() {
    let folder = Folder::new();
    let server = folder.serve();
    let mut crowd = Vec::new();
    for _ in 0..2_000 {
        match TcpStream::connect_timeout(&server.address(), PATIENCE) {
            Ok(connection) => {
                connection.set_nonblocking(true).unwrap();
                crowd.push(connection);
            }
            Err(error) if error.raw_os_error() == Some(TOO_MANY_FILES) => {
                return skip("this test needs 2,100 open files: ulimit -n 4096");
            }
            Err(error) => panic!("{error}"),
        }
    }
    for path in ["/health", "/ready", "/health"] {
        let answer = wait_for(path, || ask(&server, path).filter(|answer| answer.status == 200));
        assert_eq!(answer.status, 200);
    }
    // The probes were accepted while the crowd was connected, not after its timeout.
    let stayed = crowd.iter().filter(|connection| is_open(connection)).count();
    assert!(stayed > 400, "{stayed} of the crowd are still connected");
    drop(crowd);
    server.stop();
}

//! When `spanscope serve` does not start: its exit code, and the recommended fix.

use std::process::Command;

use spanscope_tests::terminal::run_piped;

use super::support::{Folder, Serve, spanscope};

/// The output of a command that did not start to serve.
#[derive(Debug)]
struct Refused {
    code: i32,
    err: String,
}

fn refused(command: Command) -> Refused {
    let ended = run_piped(command);
    assert!(ended.stdout.is_empty());
    Refused {
        code: ended.status.code().unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

impl Refused {
    fn assert_is(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {}", self.err);
        }
        assert!(
            self.err.lines().count() == 1 || self.err.contains("--help"),
            "{}",
            self.err
        );
    }
}

#[test]
fn an_address_in_use_is_named_with_the_fix() {
    let folder = Folder::new();
    let first = folder.serve();
    let address = first.address().to_string();
    // Another store, and the same one: in both cases the address is the problem.
    for second in [&Folder::new(), &folder] {
        refused(second.command(&["serve", "--listen", &address])).assert_is(
            1,
            &[
                "spanscope: ",
                &address,
                "can't be listened on",
                "--listen",
                "end the program",
            ],
        );
    }
    assert_eq!(first.get("/ready").status, 200, "the first one is not disturbed");
    first.stop();
}

#[test]
fn a_server_for_other_machines_needs_tokens() {
    let folder = Folder::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:4318"] {
        refused(folder.command(&["serve", "--listen", address])).assert_is(
            2,
            &[
                "spanscope: ",
                address,
                "--tokens FILE",
                "TOKEN TENANT",
                "127.0.0.1",
            ],
        );
        assert!(!folder.db().exists(), "no store is created");
    }
    let tokens = folder.file("tokens.txt", "of-acme-0123456789 acme\n");
    let mut command = folder.command(&["serve", "--listen", "0.0.0.0:0"]);
    command.arg("--tokens").arg(tokens);
    let server = Serve::start(command);
    assert!(
        server.first_line.ends_with(" for clients that have the token\n"),
        "{}",
        server.first_line
    );
    assert_eq!(server.get("/health").status, 200);
    server.stop();
}

#[test]
fn every_loopback_address_is_served_without_tokens() {
    for address in ["127.0.0.1:0", "127.0.0.2:0"] {
        let folder = Folder::new();
        let server = Serve::start(folder.command(&["serve", "--listen", address]));
        assert_ne!(server.address().port(), 0);
        let expected = format!(
            "spanscope: serving {} on {} for programs on this machine\n",
            folder.db().display(),
            server.url()
        );
        assert_eq!(server.first_line, expected);
        assert_eq!(server.get("/ready").status, 200);
        server.stop();
    }
}

#[test]
fn invalid_tokens_are_refused_and_not_shown() {
    const SECRET: &str = "s3cret-0123456789";
    let folder = Folder::new();
    let serve = || folder.command(&["serve", "--listen", "127.0.0.1:0"]);
    let twice = format!("{SECRET} acme\n{SECRET} other\n");
    let control = format!("{SECRET} \u{1b}[31m\n");
    for (text, words) in [
        ("", "no token"),
        ("# nothing but this\n\n", "no token"),
        (SECRET, "token 1 has no tenant"),
        ("s3cret acme\n", "token 1 is too short"),
        ("s3cr\u{e9}t-0123456789 acme\n", "no header can carry"),
        (twice.as_str(), "token 2 occurs twice"),
        (control.as_str(), "no name of a tenant"),
    ] {
        let mut of_file = serve();
        of_file.arg("--tokens").arg(folder.file("tokens.txt", text));
        let of_file = refused(of_file);
        of_file.assert_is(2, &["spanscope: ", "tokens.txt", words, "TOKEN TENANT"]);
        let mut of_variable = serve();
        of_variable.env("SPANSCOPE_TOKENS", text.replace('\n', ";"));
        // An empty variable counts as not set.
        if !text.trim().is_empty() {
            let of_variable = refused(of_variable);
            of_variable.assert_is(2, &["spanscope: ", "TOKEN TENANT"]);
            assert!(!of_variable.err.contains("s3cr"), "{}", of_variable.err);
        }
        assert!(!of_file.err.contains("s3cr"), "{}", of_file.err);
    }
    let mut command = serve();
    command.args(["--tokens", "no/such/file"]);
    refused(command).assert_is(2, &["spanscope: ", "no/such/file", "can't be read"]);
    assert!(!folder.db().exists(), "no store is created");
}

#[test]
fn an_empty_variable_of_tokens_counts_as_unset() {
    let folder = Folder::new();
    let mut command = folder.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SPANSCOPE_TOKENS", " ");
    let server = Serve::start(command);
    assert_eq!(server.get("/metrics").status, 200);
    server.stop();
}

#[test]
fn a_file_that_is_not_a_store_is_refused_and_not_changed() {
    let folder = Folder::new();
    std::fs::write(folder.db(), "dear diary\n").unwrap();
    refused(folder.command(&["serve", "--listen", "127.0.0.1:0"])).assert_is(
        1,
        &[
            "spanscope: ",
            "trace_store.db is not a database",
            "name another file",
        ],
    );
    assert_eq!(std::fs::read_to_string(folder.db()).unwrap(), "dear diary\n");

    let mut command = spanscope(&["serve", "--listen", "127.0.0.1:0", "--db"]);
    command.arg(folder.path());
    refused(command).assert_is(1, &["spanscope: ", "is a folder", "trace_store.db"]);
}

#[test]
fn invalid_values_of_flags_are_wrong_usage() {
    let folder = Folder::new();
    for (words, expected) in [
        (["--listen", "localhost:4318"], "--listen"),
        (["--listen", "4318"], "--listen"),
        (["--retention", "soon"], "soon"),
        (["--max-size", "0"], "--max-size"),
    ] {
        let mut command = folder.command(&["serve"]);
        command.args(words);
        refused(command).assert_is(2, &[expected]);
        assert!(!folder.db().exists(), "no store is created");
    }
}

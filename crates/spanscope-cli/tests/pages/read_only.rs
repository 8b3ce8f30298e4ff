//! Pages of a store that only reads, and whose values are texts: what it can't do is not offered.

use spanscope_tests::clickhouse::{Database, TRACE};

use super::browser::Browser;
use super::support::{Serve, spanscope};

#[test]
fn pages_explain_what_a_store_that_only_reads_can_t_do() {
    let Some(database) = Database::with_a_run() else {
        return;
    };
    let Some(browser) = Browser::open() else { return };
    let mut command = spanscope(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("SPANSCOPE_STORE", database.url(""));
    if let Some(password) = database.password() {
        command.env("SPANSCOPE_STORE_PASSWORD", password);
    }
    let server = Serve::start(command);
    for (path, words) in [
        ("setup", &["This server only reads its store"][..]),
        (
            "store",
            &[
                "a collector; this server only reads",
                "not stored before they end",
            ],
        ),
        ("traces", &["invoke_agent librarian"]),
        (
            &*format!("traces/{TRACE}?span=00f067aa0ba90002"),
            &["chat llama", "Values are texts in this store"],
        ),
        ("logs", &["the shelf is empty"]),
    ] {
        browser.open_page(&format!("{}/ui/{path}", server.url()));
        for word in words {
            browser.wait(
                word,
                &format!("return document.body.textContent.includes('{word}')"),
            );
        }
        if path == "setup" {
            let offers = browser.run("return document.body.textContent.includes('OTEL_EXPORTER')");
            assert_eq!(offers, false, "no address is offered that accepts nothing");
        }
        browser.assert_clean(path, &server.url());
    }
    server.stop();
}

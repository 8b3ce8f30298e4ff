//! Pages of a server with tokens: nothing is shown before the sign-in, and only the tenant's
//! records afterwards.

use super::browser::Browser;
use super::support::{Folder, send, span, traces};

const ACME: &str = "of-acme-0123456789";
const OTHER: &str = "of-other-0123456789";
const LIST: &str = "of-acme-0123456789 acme\nof-other-0123456789 other\n";
const ENTER: &str = "\u{e007}";
const OF_ACME: &str = "0af7651916cd43dd8448eb211c80319c";
const OF_OTHER: &str = "0af7651916cd43dd8448eb211c8031aa";

#[test]
fn a_tenant_signs_in_sees_only_its_records_and_signs_out() {
    let Some(browser) = Browser::open() else { return };
    let folder = Folder::new();
    let server = folder.serve_with_tokens(LIST);
    for (token, trace, name) in [(ACME, OF_ACME, "of acme"), (OTHER, OF_OTHER, "of the other")] {
        let body = traces(&[span(trace, "00000000000000a1", name)]);
        let answer = send(server.address(), "POST", "/v1/traces", Some(token), Some(&body)).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let page = format!("{}/ui/traces?since=1h", server.url());
    browser.go(&page);
    browser.wait("the sign-in", "return document.activeElement.id === 'token'");
    assert!(
        !browser
            .text("return document.body.textContent")
            .contains("of acme")
    );
    assert_eq!(browser.axe(), [""; 0]);
    browser.type_text("not a token");
    browser.press(&[ENTER]);
    browser.wait(
        "that it is wrong",
        "return document.querySelector('[role=alert]')",
    );
    assert_eq!(browser.axe(), [""; 0]);
    browser.run("document.getElementById('token').value = ''");
    browser.type_text(ACME);
    browser.press(&[ENTER]);
    // The requested page.
    browser.wait(
        "its own trace",
        "return document.querySelector('.row-link')?.textContent === 'of acme'",
    );
    assert_eq!(browser.url(), page);
    assert!(
        !browser
            .text("return document.body.textContent")
            .contains("of the other")
    );
    assert_eq!(browser.run("return document.cookie"), "");
    // The refused requests before the sign-in are in the log, and nothing else.
    let log = browser.log();
    assert!(log.iter().all(|line| line.contains("401")), "{log:?}");
    browser.assert_clean("a tenant", &server.url());

    for (path, sees) in [("spans", "of acme"), ("store", "spans1")] {
        browser.open_page(&format!("{}/ui/{path}", server.url()));
        let text = browser.text("return document.querySelector('main').textContent");
        assert!(text.contains(sees) && !text.contains("of the other"), "{text}");
        browser.assert_clean(path, &server.url());
    }
    browser.go(&format!("{}/ui/traces/{OF_OTHER}", server.url()));
    browser.wait(
        "nothing of others",
        "return document.querySelector('h1')?.textContent.startsWith('No trace begins with')",
    );

    browser.wait(
        "the way out",
        "return [...document.querySelectorAll('button')].some((b) => b.textContent === 'Sign out')",
    );
    browser.run("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Sign out').click()");
    browser.wait("the sign-in", "return document.getElementById('token')");
    browser.go(&page);
    browser.wait("the sign-in", "return document.getElementById('token')");
}

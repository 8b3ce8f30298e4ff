//! Every page on the demo's store: its contents, the command at its foot, and that it is clean.

use serde_json::Value as Json;
use spanscope_tests::terminal::run_piped;

use super::browser::Browser;
use super::made;
use super::support::{Folder, Serve, json_of};

/// The id of the demo's trace.
fn trace_of(server: &Serve) -> String {
    let list = json_of(&server.get("/ui/api/traces"));
    list["traces"][0]["trace_id"].as_str().unwrap().to_owned()
}

/// Runs the command at the foot of the page with more options, and returns its output.
fn command_of(browser: &Browser, folder: &Folder, more: &str) -> String {
    let command = browser.wait(
        "the command",
        "return document.getElementById('command')?.textContent",
    );
    let command = command.as_str().unwrap().strip_prefix("$ ").unwrap().to_owned();
    let program = env!("CARGO_BIN_EXE_spanscope");
    let mut shell = spanscope_tests::program_without_settings("sh");
    shell.arg("-c").arg(format!(
        "spanscope() {{ \"{program}\" \"$@\"; }}; {command} {more}"
    ));
    shell.current_dir(folder.path());
    let ran = run_piped(shell);
    assert!(ran.status.success(), "{command}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// Returns the JSON that the command prints.
fn json_of_command(browser: &Browser, folder: &Folder) -> Json {
    // First without `--json`, as a reader copies it.
    command_of(browser, folder, "");
    serde_json::from_str(&command_of(browser, folder, "--json")).unwrap()
}

/// Returns the list of texts that a script returns.
fn texts_of(browser: &Browser, script: &str) -> Vec<String> {
    let found = browser.run(script);
    let found = found.as_array().unwrap_or_else(|| panic!("{script}: {found}"));
    found
        .iter()
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

/// The ids in the links of a list: the last part of the path, and the query.
const LINKS: &str =
    "return [...document.querySelectorAll('.row-link')].map((link) => link.href.split('/').pop())";

#[test]
fn lists_show_the_ids_and_numbers_that_their_commands_print() {
    let Some(browser) = Browser::open() else { return };
    let (folder, server) = made::demo();
    // A second trace, so that the order is tested.
    made::send(&server, &super::support::one_span(7));

    browser.open_page(&format!("{}/ui/traces", server.url()));
    assert_eq!(browser.text("return document.title"), "Traces · Spanscope");
    let printed = json_of_command(&browser, &folder);
    let printed = printed.as_array().unwrap();
    let ids: Vec<&str> = printed
        .iter()
        .map(|trace| trace["trace_id"].as_str().unwrap())
        .collect();
    assert_eq!(texts_of(&browser, LINKS), ids);
    for (column, key) in [("spans", "span_count"), ("errors", "error_count")] {
        let shown = texts_of(
            &browser,
            &format!(
                "return [...document.querySelectorAll('.row:not(.row-head) .c-{column}')].map((cell) => cell.innerText)"
            ),
        );
        let numbers: Vec<String> = printed.iter().map(|trace| number_text(&trace[key])).collect();
        assert_eq!(shown, numbers, "{column}");
    }
    browser.wait(
        "the histogram",
        "return document.querySelectorAll('.histogram rect').length",
    );
    browser.assert_clean("traces", &server.url());

    browser.open_page(&format!("{}/ui/spans", server.url()));
    let printed = json_of_command(&browser, &folder);
    let links: Vec<String> = printed
        .as_array()
        .unwrap()
        .iter()
        .map(|span| {
            format!(
                "{}?span={}",
                span["trace_id"].as_str().unwrap(),
                span["span_id"].as_str().unwrap()
            )
        })
        .collect();
    assert!(links.len() > 10, "{links:?}");
    assert_eq!(texts_of(&browser, LINKS), links);
    browser.assert_clean("spans", &server.url());

    browser.open_page(&format!("{}/ui/logs", server.url()));
    let printed = json_of_command(&browser, &folder);
    let mut messages: Vec<String> = printed
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["message"].as_str().unwrap().replace('\n', "↵"))
        .collect();
    // The page shows the newest first, the command shows it last.
    messages.reverse();
    let shown = texts_of(
        &browser,
        "return [...document.querySelectorAll('.message > bdi')].map((message) => message.textContent)",
    );
    assert_eq!(shown, messages);
    browser.run("document.querySelector('.c-message .row-link').click()");
    browser.wait("the opened row", "return document.querySelector('.opened')");
    browser.run("[...document.querySelectorAll('.opened button')].find((b) => b.textContent === 'in context').click()");
    browser.wait("the context", "return document.querySelector('.context .row-at')");
    browser.settled();
    browser.assert_clean("logs", &server.url());

    browser.open_page(&format!("{}/ui/store", server.url()));
    browser.wait(
        "names",
        "return document.querySelectorAll('table.data tbody tr').length",
    );
    let printed = json_of_command(&browser, &folder);
    let cards = browser.text("return document.querySelector('.cards').textContent");
    for key in ["spans", "traces", "events", "offered", "stored"] {
        let shown = format!("{key}{}", number_text(&printed[key]));
        assert!(cards.contains(&shown), "{shown}: {cards}");
    }
    browser.assert_clean("store", &server.url());

    browser.open_page(&format!("{}/ui/setup", server.url()));
    let text = browser.text("return document.querySelector('main').textContent");
    assert!(
        text.contains(&format!("OTEL_EXPORTER_OTLP_ENDPOINT={}", server.url())),
        "{text}"
    );
    let printed = json_of_command(&browser, &folder);
    assert!(
        printed["spans"].as_u64().unwrap() > 10 && text.contains("already has traces"),
        "{text}"
    );
    browser.assert_clean("set up", &server.url());
}

/// A number as lists show it.
fn number_text(number: &Json) -> String {
    match number.as_u64().unwrap() {
        0 => "–".to_owned(),
        number => number.to_string(),
    }
}

#[test]
fn each_view_of_a_trace_shows_the_records_that_its_command_prints() {
    let Some(browser) = Browser::open() else { return };
    let (folder, server) = made::demo();
    let trace = trace_of(&server);

    browser.open_page(&format!("{}/ui/traces/{trace}", server.url()));
    let printed = json_of_command(&browser, &folder);
    let mut ahead: Vec<&Json> = printed["roots"].as_array().unwrap().iter().rev().collect();
    let mut names = Vec::new();
    while let Some(span) = ahead.pop() {
        names.push(span["name"].as_str().unwrap());
        ahead.extend(span["children"].as_array().unwrap().iter().rev());
    }
    let shown = "return [...document.querySelectorAll('.wrows .wrow:not([hidden])')]\
                 .sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => row.querySelector('bdi').textContent)";
    assert_eq!(texts_of(&browser, shown), names);
    let head = browser.text("return document.querySelector('.trace-head').textContent");
    for text in [format!("{} spans", printed["span_count"]), "2 errors".to_owned()] {
        assert!(head.contains(&text), "{text}: {head}");
    }
    browser.assert_clean("trace", &server.url());

    browser.open_page(&format!("{}/ui/traces/{trace}?path=1", server.url()));
    browser.press(&["e"]);
    browser.wait(
        "the details of the first error",
        "return document.querySelector('.details [role=tab]')?.textContent === 'Error'",
    );
    let details = browser.text("return document.querySelector('.details').textContent");
    assert!(details.contains("weather"), "{details}");
    browser.assert_clean("details", &server.url());
    browser.run("document.getElementById('details-about').click()");
    browser.wait(
        "the command of the span",
        "return [...document.querySelectorAll('.details code')].some((code) => code.textContent.startsWith('spanscope span '))",
    );
    browser.assert_clean("about", &server.url());

    browser.open_page(&format!("{}/ui/traces/{trace}?view=log", server.url()));
    let printed = json_of_command(&browser, &folder);
    let events = printed.as_array().unwrap().len();
    browser.wait(
        "starts, ends and events",
        &format!(
            "return document.querySelector('.view [role=status]')?.textContent === '{} lines'",
            2 * names.len() + events
        ),
    );
    browser.assert_clean("log", &server.url());

    browser.open_page(&format!("{}/ui/traces/{trace}?view=json", server.url()));
    browser.wait(
        "the spans",
        "return document.querySelector('.view')?.textContent.includes('resourceSpans')",
    );
    // One request per line, as the collector's file exporter writes it.
    let printed = command_of(&browser, &folder, "");
    let ids = printed.matches("\"spanId\"").count();
    let lines = printed.lines().map(serde_json::from_str::<Json>);
    assert!(lines.into_iter().all(|line| line.unwrap().is_object()));
    assert!(printed.contains(&trace) && ids >= names.len(), "{ids}: {printed}");
    browser.assert_clean("json", &server.url());

    browser.open_page(&format!("{}/ui/traces/{trace}?view=table", server.url()));
    let counts = browser.run(
        "return [...document.querySelectorAll('.view tbody tr')].map((row) => [row.cells[0].textContent, row.cells[2].textContent])",
    );
    let counts = counts.as_array().unwrap();
    for row in counts {
        let (name, count) = (row[0].as_str().unwrap(), row[1].as_str().unwrap());
        let known = names.iter().filter(|known| **known == name).count();
        assert_eq!(count, known.to_string(), "{name}");
    }
    let printed = command_of(&browser, &folder, "");
    assert!(
        counts
            .iter()
            .all(|row| printed.contains(row[0].as_str().unwrap()))
    );
    browser.assert_clean("table", &server.url());
}

#[test]
fn a_chart_has_a_table_with_its_numbers() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    made::send(&server, &super::support::one_span(7));
    for (page, path) in [("traces", "traces"), ("logs", "logs")] {
        let data = json_of(&server.get(&format!("/ui/api/{path}/histogram?since=1h&buckets=60")));
        let sum: u64 = data["series"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|series| series["counts"].as_array().unwrap())
            .map(|count| count.as_u64().unwrap())
            .sum();
        browser.open_page(&format!("{}/ui/{page}?since=1h", server.url()));
        browser.wait(
            "the histogram",
            "return document.querySelectorAll('.histogram rect').length",
        );
        let cells = "[...document.querySelectorAll('.histogram table tbody td')]";
        let shown = browser.number(&format!(
            "return {cells}.reduce((sum, cell) => sum + Number(cell.textContent), 0)"
        ));
        assert!(sum > 1, "{data}");
        assert_eq!(shown, sum, "{page}");
    }
}

#[test]
fn a_list_that_no_command_prints_names_its_request() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    browser.open_page(&format!("{}/ui/traces?running=1", server.url()));
    let command = browser.wait(
        "the request",
        "return document.getElementById('command')?.textContent",
    );
    let quoted = command.as_str().unwrap().strip_prefix("$ curl '").unwrap();
    let path = quoted
        .strip_prefix(&server.url())
        .unwrap()
        .strip_suffix('\'')
        .unwrap();
    assert_eq!(json_of(&server.get(path))["traces"], serde_json::json!([]));
    browser.assert_clean("running traces", &server.url());
}

#[test]
fn missing_pages_and_traces_are_reported_and_a_prefix_is_enough() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::demo();
    let trace = trace_of(&server);
    let wait_text = |text: &str| {
        browser.wait(
            text,
            &format!(
                "return document.querySelector('main').textContent.includes({:?})",
                text
            ),
        );
    };

    browser.go(&format!("{}/ui/nowhere", server.url()));
    wait_text("There is no page at this address");
    browser.go(&format!("{}/ui/traces/dead", server.url()));
    wait_text("No trace begins with dead");
    browser.go(&format!("{}/ui/traces/{}", server.url(), "d".repeat(32)));
    wait_text("No trace begins with dddd");
    // A prefix of an id is enough, and the address then has the complete id.
    browser.go(&format!("{}/ui/traces/{}", server.url(), &trace[..10]));
    browser.wait(
        "the whole id",
        &format!("return location.pathname.endsWith('{trace}')"),
    );

    browser.open_page(&format!("{}/ui/traces?q=name=nothing_has_it", server.url()));
    wait_text("No traces match");
    browser.run("[...document.querySelectorAll('main button')].find((b) => b.textContent === 'remove the filter').click()");
    browser.wait("all traces", "return document.querySelector('.row-link')");

    // An invalid filter keeps the list and shows the error.
    browser.run("const field = document.getElementById('filter'); field.focus()");
    browser.type_text("name=");
    browser.press(&["\u{e007}"]);
    browser.wait(
        "the reason",
        "return document.querySelector('.problem[role=alert]')?.textContent",
    );
    assert!(browser.number("return document.querySelectorAll('.row-link').length") > 0);
}

#[test]
fn an_empty_store_shows_set_up_which_opens_the_first_trace() {
    let Some(browser) = Browser::open() else { return };
    let (_folder, server) = made::empty();
    browser.go(&format!("{}/", server.url()));
    browser.wait("the page of set up", "return location.pathname === '/ui/setup'");
    browser.wait("that it waits", "return document.querySelector('.waiting')");
    browser.assert_clean("empty", &server.url());
    for page in ["spans", "logs", "store"] {
        browser.open_page(&format!("{}/ui/{page}", server.url()));
        browser.assert_clean(&format!("empty {page}"), &server.url());
    }
    browser.go(&format!("{}/ui/traces", server.url()));
    browser.wait("the page of set up", "return location.pathname === '/ui/setup'");
    browser.wait("that it waits", "return document.querySelector('.waiting')");
    made::send(&server, &super::support::one_span(7));
    browser.wait(
        "the first trace",
        "return location.pathname.startsWith('/ui/traces/0000')",
    );
    browser.wait(
        "its rows",
        "return document.querySelector('.wrows .wrow bdi')?.textContent === 'by hand'",
    );
}

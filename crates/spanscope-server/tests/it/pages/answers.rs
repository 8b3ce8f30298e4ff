//! The responses that the pages are made of, over a store with records.

use serde_json::{Value, json};
use spanscope_model::PriceTable;
use spanscope_server::PageSettings;

use super::{AGENT, PLAIN, all, filled, filled_with, large, records};

#[test]
fn a_list_of_traces_has_usage_error_and_run_of_each() {
    let open = filled();
    let page = open.get("/traces?since=1h");
    assert_eq!(
        all(&page["traces"], "root"),
        ["POST /v1/chat", "invoke_agent librarian"]
    );
    let agent = &page["traces"][1];
    let expected = json!({
        "trace_id": AGENT, "service": "library", "state": "ended", "status": "error", "spans": 3, "errors": 1, "calls": 1,
        "input": 396, "output": 29, "cost": null, "unpriced": ["tiny"], "models": ["tiny"], "agent": "librarian",
        "session": "s-1", "user": "ann",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&agent[key], value, "{key}");
    }
    assert_eq!(agent["error"]["name"], "execute_tool weather");
    assert_eq!(
        agent["error"]["text"],
        "weather_unavailable: no report for \"Skagen\""
    );
    assert_eq!(page["traces"][0]["error"], Value::Null);
    assert_eq!(page["next"], Value::Null);
    assert_eq!(page["command"], "spanscope traces --since 1h --limit 100");
}

#[test]
fn costs_come_from_the_price_table_and_are_null_without_a_price() {
    let prices = |pattern: &str| -> PriceTable {
        let text = format!(r#"{{"model": [{{"match": "{pattern}", "input": 1000, "output": 1000}}]}}"#);
        serde_json::from_str(&text).unwrap()
    };
    let open = filled_with(records(), PageSettings::default().prices(prices("ti*")));
    let agent = &open.get("/traces?q=librarian")["traces"][0];
    let is_price = |cost: &Value| (cost.as_f64().unwrap() - 0.425).abs() < 1e-9;
    assert!(is_price(&agent["cost"]) && agent["unpriced"] == json!([]));
    let shape = open.get(&format!("/traces/{AGENT}"));
    assert!(is_price(&shape["tokens"]["cost"][0]));
    assert_eq!(shape["currency"], "USD");
    let span = open.get(&format!("/traces/{AGENT}/spans/0000000000000002"));
    assert!(is_price(&span["usage"]["cost"]));
    let open = filled_with(records(), PageSettings::default().prices(prices("gpt*")));
    assert_eq!(open.get("/traces?q=librarian")["traces"][0]["cost"], Value::Null);
    assert_eq!(
        open.get(&format!("/traces/{AGENT}"))["tokens"]["cost"],
        json!([null])
    );
}

#[test]
fn the_pages_of_a_list_have_every_row_once_in_every_order() {
    let open = filled();
    for sort in ["-start", "start", "-duration", "duration", "-spans", "spans"] {
        let whole = open.get(&format!("/traces?sort={sort}"));
        let whole: Vec<String> = all(&whole["traces"], "trace_id")
            .into_iter()
            .map(Into::into)
            .collect();
        assert_eq!(whole.len(), 3);
        let (mut paged, mut next) = (Vec::new(), Value::Null);
        loop {
            let before = next
                .as_str()
                .map(|next| format!("&before={next}"))
                .unwrap_or_default();
            let page = open.get(&format!("/traces?sort={sort}&limit=1{before}"));
            paged.extend(all(&page["traces"], "trace_id").into_iter().map(String::from));
            next = page["next"].clone();
            if next.is_null() {
                break;
            }
        }
        assert_eq!(paged, whole, "{sort}");
    }
    for sort in [
        "",
        "&sort=-start",
        "&sort=start",
        "&sort=-duration",
        "&sort=duration",
    ] {
        let page = |before: &Value| {
            let before = before.as_str().map(|next| format!("&before={next}"));
            open.get(&format!("/spans?limit=4{sort}{}", before.unwrap_or_default()))
        };
        let whole = open.get(&format!("/spans?{}", sort.trim_start_matches('&')));
        let first = page(&Value::Null);
        let rest = page(&first["next"]);
        let ids = |page: &Value| all(&page["spans"], "span_id").join(" ");
        assert_eq!(format!("{} {}", ids(&first), ids(&rest)), ids(&whole), "{sort}");
        assert_eq!(rest["next"], Value::Null);
        assert!(first["command"].is_string() && rest["command"].is_null());
    }
}

#[test]
fn a_list_that_has_not_changed_is_not_sent_again() {
    let open = filled();
    let first = open.ask("/ui/api/traces?q=librarian");
    let etag = first.header("etag").unwrap();
    let known = format!("if-none-match: {etag}\r\n");
    let second = open.with_headers("GET", "/ui/api/traces?q=librarian", &known, "");
    // The clock may have gone on between the two.
    assert!(
        second.status == 304 || second.header("etag") != Some(etag),
        "{}",
        second.status
    );
    let other = open.with_headers("GET", "/ui/api/traces?q=chat", &known, "");
    assert_eq!(other.status, 200, "another question");
}

#[test]
fn filters_and_flags_select_traces_and_an_invalid_filter_is_refused_with_its_position() {
    let open = filled();
    for (query, expected) in [
        ("q=status%3Derror", vec!["invoke_agent librarian"]),
        ("errors=1", vec!["invoke_agent librarian"]),
        (
            "errors=0&since=1h",
            vec!["POST /v1/chat", "invoke_agent librarian"],
        ),
        ("running=1", vec![]),
        (
            "service=library&q=gen_ai.request.model%3Dtiny",
            vec!["invoke_agent librarian"],
        ),
        ("service=nothing", vec![]),
    ] {
        assert_eq!(
            all(&open.get(&format!("/traces?{query}"))["traces"], "root"),
            expected,
            "{query}"
        );
    }
    let answer = open.ask("/ui/api/traces?q=status%3Deror");
    let error: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer.status, 400);
    assert_eq!(
        (&error["error"]["at"], &error["error"]["did_you_mean"]),
        (&json!(7), &json!(["error"]))
    );
    let without = open.get("/traces/without?q=status%3Dok%20librarian&errors=1&service=nothing&since=1h");
    let terms = all(&without["terms"], "term");
    assert_eq!(terms.len(), 4);
    assert!(terms.contains(&"errors") && terms.contains(&"service") && terms.contains(&"librarian"));
}

#[test]
fn a_filter_is_returned_as_terms_with_probable_corrections() {
    let open = filled();
    let parsed = open.get("/filter?q=status%3Derror%20-gen_ai.request.modle%3D%2A%20whale");
    assert_eq!(
        all(&parsed["terms"], "text"),
        ["status=error", "-gen_ai.request.modle=*", "whale"]
    );
    assert_eq!(
        all(&parsed["terms"], "key"),
        ["status", "gen_ai.request.modle", "-"]
    );
    assert_eq!(parsed["terms"][1]["negated"], true);
    assert_eq!(parsed["warnings"][0]["did_you_mean"], "gen_ai.request.model");
    assert_eq!(
        (&parsed["warnings"][0]["from"], &parsed["warnings"][0]["to"]),
        (&json!(13), &json!(36))
    );
    assert_eq!(parsed["warnings"].as_array().unwrap().len(), 1);
    assert_eq!(open.get("/filter"), json!({"terms": [], "warnings": []}));
}

#[test]
fn completions_come_from_stored_spans() {
    let open = filled();
    let texts = |query: &str| {
        let found = open.get(&format!("/complete?{query}"));
        all(&found["items"], "text")
            .into_iter()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(texts("prefix=gen_ai.req"), ["gen_ai.request.model"]);
    assert_eq!(texts("of=value&key=gen_ai.request.model"), ["tiny"]);
    assert_eq!(texts("of=value&key=status"), ["ok", "error"]);
    assert_eq!(texts("of=value&key=kind&prefix=cl"), ["client"]);
    assert_eq!(texts("of=value&key=name&prefix=post"), ["POST /v1/chat"]);
    assert_eq!(texts("of=service"), ["library"]);
    assert_eq!(texts("of=value&key=__proto__"), ["<img src=x onerror=alert(1)>"]);
    assert_eq!(texts("of=value&key=a%22b%27c"), Vec::<String>::new());
    assert_eq!(open.refused("/complete?of=key&key=x"), "400 invalid_input");
    assert_eq!(open.refused("/complete?of=nothing"), "400 invalid_input");
}

#[test]
fn histograms_count_what_the_lists_show() {
    let open = filled();
    let sums = |path: &str| -> Value {
        let found = open.get(path);
        let series = found["series"].as_array().unwrap().iter().map(|series| {
            let counts = series["counts"].as_array().unwrap();
            let sum: u64 = counts.iter().map(|count| count.as_u64().unwrap()).sum();
            (series["name"].as_str().unwrap().to_owned(), json!(sum))
        });
        Value::Object(series.collect())
    };
    let found = open.get("/traces/histogram?buckets=7");
    assert_eq!(found["series"][0]["counts"].as_array().unwrap().len(), 7);
    assert_eq!(found["total"], json!({"count": 3, "exact": true}));
    assert_eq!(
        sums("/traces/histogram?since=1h"),
        json!({"ok": 1, "error": 1, "running": 0})
    );
    // Without a time the list has all that is stored, and so has the histogram.
    for path in ["/traces/histogram", "/traces/histogram?since=2h"] {
        assert_eq!(sums(path), json!({"ok": 2, "error": 1, "running": 0}), "{path}");
    }
    assert_eq!(
        sums("/traces/histogram?q=librarian&since=2h"),
        json!({"ok": 0, "error": 1, "running": 0})
    );
    let logs = sums("/logs/histogram?since=2h&category=tools");
    assert_eq!((&logs["error"], &logs["info"]), (&json!(1), &json!(0)));
    let range = "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z";
    assert_eq!(
        open.refused(&format!("/traces/histogram?{range}")),
        "400 invalid_input"
    );
}

#[test]
fn a_shape_has_rows_in_depth_first_order_and_names_missing_parents() {
    let open = filled();
    let shape = open.get(&format!("/traces/{AGENT}"));
    assert_eq!((&shape["n"], &shape["stored"]), (&json!(3), &json!(3)));
    assert_eq!(shape["ids"], "000000000000000100000000000000020000000000000003");
    assert_eq!(shape["parent"], json!([-1, 0, 0]));
    assert_eq!(
        (&shape["step"], &shape["state_of"], &shape["kind"]),
        (&json!("alt"), &json!("eee"), &json!("iii"))
    );
    assert_eq!(shape["errors"], json!([2]));
    assert_eq!(shape["tokens"]["at"], json!([1]));
    assert_eq!(
        (&shape["tokens"]["input"], &shape["models"]),
        (&json!([396]), &json!(["tiny"]))
    );
    assert_eq!(
        (&shape["dots"]["at"], &shape["dots"]["severity"]),
        (&json!([2]), &json!("e"))
    );
    assert_eq!(
        shape["names"][shape["name"][2].as_u64().unwrap() as usize],
        "execute_tool weather"
    );
    assert_eq!(shape["services"], json!(["library"]));
    let path: i64 = shape["critical"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|part| part[0] != -1)
        .map(|part| part[2].as_i64().unwrap() - part[1].as_i64().unwrap())
        .sum();
    assert_eq!(shape["critical_sum"]["duration"], json!(path));
    assert_eq!(shape["command"], format!("spanscope tree {AGENT}"));
    let plain = open.get(&format!("/traces/{PLAIN}"));
    assert_eq!(plain["missing"], json!([[1, "0000000000000063"]]));
    let below = open.get(&format!("/traces/{AGENT}?below=0000000000000003"));
    assert_eq!((&below["n"], &below["stored"]), (&json!(1), &json!(3)));
    assert_eq!(
        open.refused(&format!("/traces/{AGENT}?below=0000000000000099")),
        "404 not_found"
    );
    assert_eq!(
        open.refused("/traces/0000000000000000000000000000dead"),
        "404 not_found"
    );
    assert_eq!(open.refused("/traces/4bf9"), "400 invalid_input");
    assert_eq!(
        open.refused(&format!("/traces/{AGENT}?limit=0")),
        "400 invalid_input"
    );
}

#[test]
fn a_large_trace_is_folded_and_each_part_can_be_opened() {
    let open = filled_with(large(3_000), PageSettings::default());
    let trace = "00000000000000000000000000000007";
    let whole = open.get(&format!("/traces/{trace}"));
    assert_eq!((&whole["n"], &whole["folded"]), (&json!(3000), &json!([])));
    let bytes = open.ask(&format!("/ui/api/traces/{trace}")).body.len();
    assert!(bytes < 3000 * 70, "{bytes} bytes");
    let cut = open.get(&format!("/traces/{trace}?limit=100"));
    assert_eq!((&cut["n"], &cut["stored"]), (&json!(100), &json!(3000)));
    assert_eq!(
        cut["errors"].as_array().unwrap().len(),
        1,
        "the error has its row"
    );
    let folded: u64 = cut["folded"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part[1].as_u64().unwrap())
        .sum();
    assert_eq!(folded, 2900);
    let row = cut["folded"][0][0].as_u64().unwrap() as usize;
    let id = &cut["ids"].as_str().unwrap()[row * 16..(row + 1) * 16];
    let below = open.get(&format!("/traces/{trace}?below={id}"));
    assert!(below["n"].as_u64().unwrap() > cut["folded"][0][1].as_u64().unwrap());
    let found = open.get(&format!("/traces/{trace}/find?q=status%3Derror"));
    assert_eq!(found["total"], 1);
    let steps = whole["number_steps"].as_array().unwrap().iter();
    let mut numbers = steps.scan(0, |number, step| {
        *number += step.as_i64().unwrap();
        Some(*number)
    });
    let row = numbers.position(|number| json!(number) == found["numbers"][0]);
    assert_eq!(json!([row.unwrap()]), whole["errors"]);
}

#[test]
fn a_span_has_typed_attributes_events_errors_and_truncated_values() {
    let open = filled();
    let call = open.get(&format!("/traces/{AGENT}/spans/0000000000000002"));
    let attributes = call["attributes"].as_array().unwrap();
    assert!(attributes.contains(&json!(["gen_ai.usage.input_tokens", "i", "396"])));
    assert!(attributes.contains(&json!(["__proto__", "s", "<img src=x onerror=alert(1)>"])));
    // The store cuts longer values, and says how long they were.
    assert_eq!(call["recorded_cut"], json!([["long", 40_000]]));
    assert_eq!(call["cut"], json!([]));
    assert_eq!(call["usage"]["input"], 396);
    assert_eq!(call["errors"], json!([]));
    let value = open.ask(&format!(
        "/ui/api/traces/{AGENT}/spans/0000000000000002/value?key=long"
    ));
    assert_eq!(value.body.len(), 16_384);
    assert_eq!(value.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(
        value.header("content-disposition"),
        Some("attachment; filename=\"value-0000000000000002.txt\"")
    );
    let tool = open.get(&format!("/traces/{AGENT}/spans/0000000000000003"));
    assert_eq!(tool["events"][0]["message"], "no weather today");
    assert_eq!(tool["events"][0]["ns"], 3_000_000);
    let error = json!({"type": "WeatherError", "message": "no report", "causes": ["nothing listens", "port 9"], "stack": null});
    assert_eq!(tool["errors"], json!([error]));
    assert_eq!((&tool["status"], &tool["usage"]), (&json!("error"), &Value::Null));
    assert_eq!(tool["command"], "spanscope span 0000000000000003");
    let among = open.get(&format!("/traces/{AGENT}/spans/0000000000000003/among"));
    assert_eq!((&among["count"], &among["slower_than"]), (&json!(1), &json!(0.0)));
    for path in [
        format!("/traces/{AGENT}/spans/0000000000000099"),
        format!("/traces/{PLAIN}/spans/0000000000000002"),
        format!("/traces/{AGENT}/spans/0000000000000002/value?key=nothing"),
        format!("/traces/{AGENT}/spans/0000000000000099/among"),
    ] {
        assert_eq!(open.refused(&path), "404 not_found", "{path}");
    }
    assert_eq!(
        open.refused(&format!("/traces/{AGENT}/spans/xyz")),
        "400 invalid_input"
    );
}

#[test]
fn a_trace_is_exported_as_a_document_of_otlp() {
    let open = filled();
    let document = open.get(&format!("/traces/{AGENT}/export"));
    let spans = &document["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans.as_array().unwrap().len(), 3);
    assert_eq!(spans[2]["events"][0]["name"], "exception");
    let read = spanscope_server::read_otlp_json(document.to_string().as_bytes());
    assert!(read.is_ok());
    assert_eq!(
        open.refused("/traces/0000000000000000000000000000dead/export"),
        "404 not_found"
    );
}

#[test]
fn logs_are_paged_newest_first_and_shown_in_their_context() {
    let mut records = records();
    let made = (0..20).map(|number| {
        let mut one = spanscope_store_tests::made::event(None, &format!("line {number}"));
        // Some happened at the same time.
        one.event.timestamp = spanscope_store_tests::made::ago(100_000 - number / 6);
        one
    });
    let same = spanscope_model::Timestamp::now();
    let mut made: Vec<_> = made.collect();
    for (number, one) in made.iter_mut().enumerate() {
        let step = i64::try_from(number / 6).unwrap();
        one.event.timestamp =
            spanscope_model::Timestamp::from_nanos(same.as_nanos() - 100_000_000_000 + step);
    }
    records.sources[0].events = made;
    let open = filled_with(records, PageSettings::default());
    let whole = open.get("/logs");
    assert_eq!(whole["logs"].as_array().unwrap().len(), 21);
    let whole: Vec<String> = all(&whole["logs"], "id").into_iter().map(String::from).collect();
    for limit in [1, 4, 7] {
        let (mut paged, mut next) = (Vec::new(), Value::Null);
        loop {
            let before = next
                .as_str()
                .map(|next| format!("&before={next}"))
                .unwrap_or_default();
            let page = open.get(&format!("/logs?limit={limit}{before}"));
            paged.extend(all(&page["logs"], "id").into_iter().map(String::from));
            next = page["next"].clone();
            if next.is_null() {
                break;
            }
        }
        assert_eq!(paged, whole, "pages of {limit}");
    }
    let one = open.get("/logs?q=%22line%209%22");
    assert_eq!(all(&one["logs"], "message"), ["line 9"]);
    let (time, id) = (
        one["logs"][0]["time"].as_str().unwrap(),
        one["logs"][0]["id"].as_str().unwrap(),
    );
    let context = open.get(&format!("/logs/context?time={time}&id={id}&service=library"));
    let at = context["at"].as_u64().unwrap() as usize;
    assert_eq!(context["logs"][at]["message"], "line 9");
    assert_eq!(context["logs"].as_array().unwrap().len(), 21);
    let of_trace = open.get(&format!("/logs?trace={AGENT}&severity=warn"));
    assert_eq!(all(&of_trace["logs"], "message"), ["no weather today"]);
    for path in [
        "/logs?before=x",
        "/logs?trace=x",
        "/logs?severity=loud",
        "/logs/context",
        "/logs?limit=1001",
    ] {
        assert_eq!(open.refused(path), "400 invalid_input", "{path}");
    }
}

#[test]
fn the_store_is_counted_and_ids_resolve_to_their_traces() {
    let open = filled();
    let store = open.get("/store");
    assert_eq!(
        (&store["traces"], &store["spans"], &store["events"]),
        (&json!(3), &json!(6), &json!(1))
    );
    assert_eq!(
        store["services"],
        json!([{"service": "library", "spans": 6, "errors": 1}])
    );
    assert!(store["file"]["bytes"].as_u64().unwrap() > 0);
    let names = open.get("/store/names?since=1h");
    assert_eq!(names["names"].as_array().unwrap().len(), 5);
    assert_eq!(names["command"], "spanscope stats --by name --since 1h");
    let status = open.get("/status");
    assert_eq!(
        (&status["store"], &status["db"]),
        (&json!("trace_store.db"), &json!(" --db x.db"))
    );
    assert_eq!(
        (&status["is_empty"], &status["spans"]),
        (&json!(false), &json!(6))
    );
    assert_eq!(
        open.get("/id/0000000000000003"),
        json!({"trace_id": AGENT, "span_id": "0000000000000003"})
    );
    assert_eq!(
        open.get(&format!("/id/{AGENT}")),
        json!({"trace_id": AGENT, "span_id": null})
    );
    let to = open.ask("/ui/id/0000000000000003");
    assert_eq!(
        to.header("location"),
        Some(&*format!("/ui/traces/{AGENT}?span=0000000000000003"))
    );
    assert_eq!(
        status["can"],
        json!({"write": true, "run": true, "types": true, "around": true})
    );
    assert_eq!(open.refused("/id/ffff"), "404 not_found");
    assert_eq!(open.refused("/id/xy"), "400 invalid_input");
}

#[test]
fn invalid_parameters_are_refused() {
    let open = filled();
    for path in [
        "/traces?page=2",
        "/traces?limit=0",
        "/traces?limit=1001",
        "/traces?since=1y",
        "/traces?since=1h&from=2026-01-01T00:00:00Z",
        "/traces?from=yesterday",
        "/traces?errors=yes",
        "/traces?sort=name",
        "/traces?before=7",
        "/traces?sort=duration&before=7.x",
        "/traces?q=a&q=b",
        "/traces/histogram?buckets=1001",
        "/spans?sort=-spans",
        "/spans?before=7",
        "/spans?offset=1",
        "/spans?sort=start&before=a.b",
        "/store?x=1",
        "/status?x=1",
    ] {
        assert_eq!(open.refused(path), "400 invalid_input", "{path}");
    }
    let post = open.with_headers("POST", "/ui/api/traces", "content-length: 0\r\n", "");
    assert_eq!(post.status, 405);
}

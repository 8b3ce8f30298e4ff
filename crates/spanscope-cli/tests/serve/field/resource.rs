//! A program's resource is searched and shown like attributes.

use serde_json::Value as Json;

use super::super::support::{Folder, finished};
use super::{command_json, remark, send};

#[test]
fn attributes_of_a_resource_are_found_and_shown() {
    let folder = Folder::new();
    let server = folder.serve();
    assert_eq!(
        remark(&send(&server, "/v1/traces", "77-resource-attributes/traces.json")),
        ""
    );
    for condition in [
        "deployment.environment.name=prod",
        "resource.deployment.environment.name=prod",
        "resource.service.version=1.2*",
        "host.name~BOX a=1",
        "-host.name=other",
        "service.name=c77",
        "resource.service.name=c77",
    ] {
        for command in ["spans", "traces"] {
            let found = command_json(&folder, &[command, "--where", condition]);
            assert_eq!(found.as_array().unwrap().len(), 1, "{command} {condition}");
        }
    }
    for (path, condition) in [
        (
            "/v1/telemetry/traces",
            r#"{"attribute_filters": [{"key": "host.name", "op": "eq", "value": "box"}]}"#,
        ),
        (
            "/v1/telemetry/traces",
            r#"{"attribute_filters": [{"key": "service.name", "op": "eq", "value": "c77"}]}"#,
        ),
        ("/v1/telemetry/traces?filter=resource.host.name%3Dbox", "{}"),
    ] {
        let answer: Json =
            serde_json::from_str(&server.post(path, &serde_json::from_str(condition).unwrap()).body).unwrap();
        assert_eq!(answer["data"].as_array().unwrap().len(), 1, "{path}: {answer}");
    }
    let span = finished(folder.command(&["span", "c0de000000001e15"]));
    assert!(
        span.contains("resource\n") && span.contains("deployment.environment.name"),
        "{span}"
    );
    let span = command_json(&folder, &["span", "c0de000000001e15"]);
    assert_eq!(span["resource"]["service.version"], "1.2.3");
    server.stop();
}

//! The route whose response lasts as long as a run.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use spanscope_model::text::first_chars;

use super::followed::Ending;
use super::handlers::{Parameters, check_events, info_of};
use super::position::{StreamPosition, Within};
use super::query_params::QueryParams;
use super::state::Runs;
use super::watcher::{Watcher, Watching};
use crate::answer::ApiError;
use crate::api::{Parameter, Takes};
use crate::caller::{Caller, ScopedStore};
use crate::store_log::StoreLog;
use crate::stream_shutdown::Ends;

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// The header by which a client resumes a stream.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The header, as the document describes it.
pub(super) const LAST_EVENT: Parameter = Parameter::header(
    "last-event-id",
    Takes::Pattern("^[0-9]+[.][0-9]+[.][0-9]+-(end|done|[0-9]+[.][0-9]+[.][0-9]+-[0-9A-Za-z:._]{1,128})$"),
    "The id of the last received event: the stream continues after it.",
);

pub(super) async fn stream_run(
    State(runs): State<Runs>,
    ScopedStore(store): ScopedStore,
    task_id: Parameters<String>,
    params: QueryParams,
    request: Request,
) -> Result<Response, ApiError> {
    let Path(task_id) = task_id?;
    let shape = params.shape()?;
    let after = position_in(request.headers())?;
    let tenant = match request.extensions().get::<Caller>() {
        Some(Caller::Tenant(tenant)) => Some(tenant.clone()),
        Some(Caller::Administrator) | None => None,
    };
    let info = match runs.hub.info(tenant.as_ref(), &task_id) {
        Some(info) => info,
        None => info_of(&runs, &store, &task_id).await?,
    };
    check_events(&runs, &info)?;
    let permit = runs.permits.take(tenant.clone());
    let permit = permit.map_err(|_| ApiError::overloaded("too many streams are open"))?;
    let run = runs.hub.follow(tenant, &task_id, &store, runs.settings);
    if let Some(StreamPosition {
        upto,
        within: Within::Done,
        ..
    }) = &after
    {
        // An `EventSource` reconnects even after the final message, unless the response is 204.
        let (read, ending) = run.read_once().await;
        if upto.covers(&read) && matches!(ending, Some(Ending::Over(_))) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    let watcher = Watcher::new(Watching {
        run,
        store,
        task_id,
        format: shape.format,
        level: shape.level_of(&info.trace_level),
        after,
        replays: Arc::clone(&runs.replays),
        ends: request.extensions().get::<Ends>().map(Ends::receiver),
        log: request.extensions().get::<StoreLog>().cloned(),
        permit,
    });
    let pieces = stream::unfold(watcher, async |mut watcher| {
        let piece = watcher.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), watcher))
    });
    let headers = [
        (CONTENT_TYPE, EVENT_STREAM),
        (CACHE_CONTROL, "no-cache"),
        // Proxies that buffer a response before they pass it on would delay live events.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

fn position_in(headers: &HeaderMap) -> Result<Option<StreamPosition>, ApiError> {
    let Some(id) = headers.get(LAST_EVENT_ID) else {
        return Ok(None);
    };
    let text = id.to_str().unwrap_or("?");
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(position) => Ok(Some(position)),
        Err(_) => Err(ApiError::invalid(format!(
            "last-event-id is {:?}, which is not the id of an event of this server: send the id of the last received event, or none",
            first_chars(text, 80)
        ))),
    }
}

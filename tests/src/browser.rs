//! A minimal WebDriver client for tests and benchmarks of the web pages: sessions, scripts, keys,
//! the browser's log, commands of Chromium's own protocol.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::{PATIENCE, tool_is_here, wait_for};

/// One browser at a time: several would compete for the processors and the focus.
static ONE: Mutex<()> = Mutex::new(());

/// Without these Chromium connects to its vendor's hosts, and needs a sandbox, which root can't
/// use.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--lang=en-US",
];

/// The two colour schemes.
pub const THEMES: [&str; 2] = ["light", "dark"];

/// A browser with an empty profile and one tab; it is closed when this is dropped.
pub struct Browser {
    driver: Child,
    address: SocketAddr,
    session: String,
    pictures: PathBuf,
    _alone: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts a browser; screenshots of failed tests are written to the folder `pictures`. Returns
    /// `None`, with a message, if a required program is missing.
    ///
    /// # Panics
    /// Panics like [`tool_is_here`], and if the driver does not start.
    pub fn open(pictures: impl Into<PathBuf>) -> Option<Self> {
        let from = "Debian's packages are chromium and chromium-driver";
        if !tool_is_here("chromium", from) || !tool_is_here("chromedriver", from) {
            return None;
        }
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let (driver, address) = started_driver();
        let mut browser = Self {
            driver,
            address,
            session: String::new(),
            pictures: pictures.into(),
            _alone: alone,
        };
        let options = json!({"args": FLAGS, "binary": "/usr/bin/chromium"});
        let wanted = json!({
            "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"},
            "unhandledPromptBehavior": "ignore",
        });
        let body = json!({"capabilities": {"alwaysMatch": wanted}});
        let made = browser.ask("POST", "/session", Some(&body)).unwrap();
        made["sessionId"]
            .as_str()
            .unwrap()
            .clone_into(&mut browser.session);
        browser.size(1280, 800);
        Some(browser)
    }

    /// Sends a request to the driver. Returns its value, or its error message.
    fn ask(&self, method: &str, path: &str, body: Option<&Json>) -> Result<Json, String> {
        let text = body.map(Json::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(self.address).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            text.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).map_err(|error| error.to_string())?;
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        reader
            .read_exact(&mut answer)
            .map_err(|error| error.to_string())?;
        let mut answer: Json = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
        let value = answer["value"].take();
        match value.get("error") {
            Some(error) if value.get("message").is_some() => Err(format!("{error}: {}", value["message"])),
            _ => Ok(value),
        }
    }

    fn send(&self, path: &str, body: &Json) -> Json {
        let path = format!("/session/{}{path}", self.session);
        self.ask("POST", &path, Some(body))
            .unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Sets the size of the viewport.
    pub fn size(&self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.cdp("Emulation.setDeviceMetricsOverride", &params);
    }

    /// Sends a command of Chromium's own protocol.
    pub fn cdp(&self, command: &str, params: &Json) -> Json {
        self.send("/goog/cdp/execute", &json!({"cmd": command, "params": params}))
    }

    /// Sets the system's colour scheme, as far as pages see it.
    pub fn theme(&self, name: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": name}]);
        self.cdp("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// Goes to an address, and returns when the browser has loaded it.
    pub fn go(&self, url: &str) {
        self.send("/url", &json!({"url": url}));
    }

    /// Goes there and waits until the page has shown its rows.
    pub fn open_page(&self, url: &str) {
        self.go(url);
        self.wait(
            "the rows of the page",
            "return performance.getEntriesByName('ss:rows').length > 0",
        );
        // Parts that are loaded after the rows.
        self.wait(
            "the bar",
            "return !document.querySelector('.filter-form input').disabled",
        );
        self.settled();
    }

    /// Waits until no request of the page runs.
    pub fn settled(&self) {
        self.wait(
            "the end of all requests",
            "return document.querySelector('main').ariaBusy !== 'true'",
        );
    }

    /// Runs a script, and returns its result.
    pub fn run(&self, script: &str) -> Json {
        self.send("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a script, and returns its text, or its value as JSON.
    pub fn text(&self, script: &str) -> String {
        let value = self.run(script);
        value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned)
    }

    /// Runs a script, and returns its whole number.
    pub fn number(&self, script: &str) -> u64 {
        let value = self.run(script);
        value.as_u64().unwrap_or_else(|| panic!("{script}: {value}"))
    }

    /// Waits until a script returns a truthy value, and returns it.
    pub fn wait(&self, what: &str, script: &str) -> Json {
        let look = || {
            let path = format!("/session/{}/execute/sync", self.session);
            // A script fails during a navigation.
            let value = self
                .ask("POST", &path, Some(&json!({"script": script, "args": []})))
                .ok()?;
            let is_true =
                !matches!(&value, Json::Null | Json::Bool(false)) && value != json!(0) && value != json!("");
            is_true.then_some(value)
        };
        wait_for(&format!("{what} at {}", self.url()), || {
            let found = look();
            if found.is_none() {
                std::thread::sleep(Duration::from_millis(20));
            }
            found
        })
    }

    /// The address of the page.
    pub fn url(&self) -> String {
        let path = format!("/session/{}/url", self.session);
        self.ask("GET", &path, None)
            .map_or_else(|error| error, |url| url.as_str().unwrap_or_default().to_owned())
    }

    /// Presses keys in turn: characters, or WebDriver's codes of other keys.
    pub fn press(&self, keys: &[&str]) {
        let strokes: Vec<Json> = keys
            .iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        self.send(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}),
        );
    }

    /// Presses keys together.
    pub fn chord(&self, keys: &[&str]) {
        let down = keys.iter().map(|key| json!({"type": "keyDown", "value": key}));
        let up = keys
            .iter()
            .rev()
            .map(|key| json!({"type": "keyUp", "value": key}));
        let strokes: Vec<Json> = down.chain(up).collect();
        self.send(
            "/actions",
            &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}),
        );
    }

    /// Types a text, character by character.
    pub fn type_text(&self, text: &str) {
        let characters: Vec<String> = text.chars().map(String::from).collect();
        self.press(&characters.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// The lines of the browser's log since it was read last: messages of the console, refused
    /// requests, violations of the policy.
    pub fn log(&self) -> Vec<String> {
        let entries = self.send("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().unwrap();
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }

    /// Returns the absolute URLs of all requests of the page.
    pub fn requested(&self) -> Vec<String> {
        let entries = self.run(
            "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]\
             .map((entry) => entry.name)",
        );
        let entries = entries.as_array().unwrap();
        entries
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    }

    /// Writes a screenshot to the folder of pictures.
    pub fn picture(&self, name: &str) {
        let path = format!("/session/{}/screenshot", self.session);
        let Ok(Json::String(text)) = self.ask("GET", &path, None) else {
            return;
        };
        let name: String = name
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '-' })
            .collect();
        let _ = std::fs::create_dir_all(&self.pictures);
        let _ = std::fs::write(self.pictures.join(format!("{name}.png")), from_base64(&text));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = std::thread::current().name().unwrap_or("test").to_owned();
            self.picture(&name);
            eprintln!(
                "at {}: {:?}",
                self.url(),
                self.ask(
                    "POST",
                    &format!("/session/{}/se/log", self.session),
                    Some(&json!({"type": "browser"}))
                )
            );
        }
        let _ = self.ask("DELETE", &format!("/session/{}", self.session), None);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Starts the driver. Returns it with the address that it listens on.
///
/// The driver lets the system choose a port for IPv6, and exits if the same port is in use for
/// IPv4, even by a connection that was closed within the last minute. The requests of earlier tests
/// leave thousands of these, so an exit is followed by another start.
///
/// # Panics
/// Panics with the output of the last driver if each of 20 exits.
fn started_driver() -> (Child, SocketAddr) {
    let mut output = String::new();
    for _ in 0..20 {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        output.clear();
        for line in lines.by_ref().map_while(Result::ok) {
            if let Some(port) = printed_port(&line) {
                // Reads further lines, because the driver would block on a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return (driver, ([127, 0, 0, 1], port).into());
            }
            output.push_str(&line);
            output.push('\n');
        }
        driver.wait().unwrap();
    }
    panic!("chromedriver exits: {output}");
}

/// Returns the port that a line of the driver's output names.
fn printed_port(line: &str) -> Option<u16> {
    let (_, port) = line.split_once("successfully on port ")?;
    port.trim_end_matches('.').parse().ok()
}

fn from_base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0_u32;
    let mut held = 0;
    for c in text.bytes() {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    bytes
}

//! A YAML text as a tree with line numbers.
//!
//! Scalars stay text, because their meaning depends on the key: `off` is a level here and not
//! `false`. For that, for line numbers, and so that aliases can't multiply, this reads the events
//! of a parser instead of deserializing. `serde-saphyr` would add a dozen crates on top of this
//! parser, and `yaml_serde` uses C that was translated to unsafe Rust.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, options};

/// Maximum nesting of lists and mappings. A run.yaml needs about eight.
const MAX_DEPTH: usize = 64;

/// Maximum number of aliases (`*name`). They are shared, not copied, but each may be read again.
const MAX_ALIASES: usize = 100;

/// A value and its position.
#[derive(Debug)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    Text(String),
    List(Vec<Rc<Node>>),
    /// In the order of the text; a key may be repeated.
    Map(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Value {
    /// Returns its kind, for error messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "empty",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// An error in a text, and its line.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) problem: String,
}

/// Parses a text with one document; returns `None` if it has only white space and comments.
pub(super) fn read(text: &str) -> Result<Option<Rc<Node>>, Wrong> {
    let limits = options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    let mut builder = Builder::default();
    for next in Parser::new_from_str_with_options(text, limits) {
        let (event, span) = next.map_err(|error| Wrong {
            line: error.marker().line(),
            problem: format!("this is not YAML: {}", error.info()),
        })?;
        let line = span.start.line();
        builder
            .take(event, line)
            .map_err(|problem| Wrong { line, problem })?;
    }
    Ok(builder.root)
}

#[derive(Default)]
struct Builder {
    root: Option<Rc<Node>>,
    /// Open lists and mappings, the outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Rc<Node>>,
    aliases: usize,
}

struct Open {
    line: usize,
    anchor: usize,
    is_map: bool,
    /// Of a mapping: keys and values alternate.
    parts: Vec<Rc<Node>>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                return Err("a second document begins here; one is accepted".to_owned());
            }
            Event::Scalar(text, style, anchor, _) => self.put(line, anchor, scalar(&text, style)),
            Event::SequenceStart(_, anchor, _) => self.begin(line, anchor, false)?,
            Event::MappingStart(_, anchor, _) => self.begin(line, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.put_alias(anchor)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, line: usize, anchor: usize, is_map: bool) -> Result<(), String> {
        // The parser counts both kinds of nesting separately.
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("this is nested deeper than {MAX_DEPTH} levels"));
        }
        self.open.push(Open {
            line,
            anchor,
            is_map,
            parts: Vec::new(),
        });
        Ok(())
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let value = if open.is_map {
            let mut parts = open.parts.into_iter();
            Value::Map(std::iter::from_fn(|| parts.next().zip(parts.next())).collect())
        } else {
            Value::List(open.parts)
        };
        self.put(open.line, open.anchor, value);
    }

    fn put(&mut self, line: usize, anchor: usize, value: Value) {
        let node = Rc::new(Node { line, value });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        self.put_node(node);
    }

    fn put_alias(&mut self, anchor: usize) -> Result<(), String> {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return Err(format!("there are more than {MAX_ALIASES} aliases"));
        }
        let node = self.anchors.get(&anchor).map(Rc::clone);
        self.put_node(node.ok_or("an alias is inside the value that it names")?);
        Ok(())
    }

    fn put_node(&mut self, node: Rc<Node>) {
        match self.open.last_mut() {
            Some(open) => open.parts.push(node),
            None => self.root = Some(node),
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain => Value::Null,
        _ => Value::Text(text.to_owned()),
    }
}

//! Renders the picture of the README: an SVG of coloured text, as a terminal shows it. Reads stdin,
//! writes stdout.
//!
//! ```text
//! FORCE_COLOR=1 cargo run -p spanscope-examples --bin categories 2>&1 | cargo run -p spanscope-examples --bin picture
//! ```
//!
//! `.ci/picture` writes `docs/console.svg` with it.

use std::io::{self, Read as _, Write as _};

use anstyle::RgbColor;
use anstyle_svg::{Palette, Term};
use anyhow::Context as _;

const BACKGROUND: RgbColor = rgb(0x0d1117);
const TEXT: RgbColor = rgb(0xc9d1d9);

/// The sixteen colours of a terminal, light enough for the background: black, red, green, yellow,
/// blue, magenta, cyan, white, and the bright ones in the same order.
const PALETTE: Palette = Palette([
    rgb(0x484f58),
    rgb(0xff7b72),
    rgb(0x3fb950),
    rgb(0xd29922),
    rgb(0x58a6ff),
    rgb(0xbc8cff),
    rgb(0x39c5cf),
    rgb(0xb1bac4),
    rgb(0x6e7681),
    rgb(0xffa198),
    rgb(0x56d364),
    rgb(0xe3b341),
    rgb(0x79c0ff),
    rgb(0xd2a8ff),
    rgb(0x56d4dd),
    rgb(0xffffff),
]);

const fn rgb(code: u32) -> RgbColor {
    let [_, red, green, blue] = code.to_be_bytes();
    RgbColor(red, green, blue)
}

fn main() -> anyhow::Result<()> {
    let mut text = String::new();
    io::stdin()
        .read_to_string(&mut text)
        .context("can't read the text from stdin")?;
    let picture = Term::new()
        .palette(PALETTE)
        .fg_color(TEXT.into())
        .bg_color(BACKGROUND.into())
        .render_svg(&text)
        // Browsers and viewers support no opacity of a piece of text, but that of its fill.
        .replace(".dimmed { opacity: 0.4", ".dimmed { fill-opacity: 0.6");
    io::stdout()
        .write_all(picture.as_bytes())
        .context("can't write the picture to stdout")
}

//! Lists the files of `ui/` that browsers load, so that a new module needs no line of Rust.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Folders and files that browsers never load.
const NOT_SERVED: [&str; 4] = ["node_modules", "tests", "test", "entry.js"];
const ENDINGS: [&str; 3] = [".js", ".css", ".svg"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=ui");
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("ui");
    let mut files = Vec::new();
    collect(&folder, "", &mut files)?;
    files.sort();
    let mut list = String::from("&[\n");
    // FNV-1a: the digest distinguishes the files of two builds. It is not a security measure.
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for path in &files {
        let whole = folder.join(path);
        let bytes = fs::read(&whole)?;
        for byte in path.bytes().chain([0]).chain(bytes) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        writeln!(
            list,
            "    File {{ path: {path:?}, bytes: include_bytes!({:?}) }},",
            whole.to_str().ok_or("the path of a file is not UTF-8")?
        )?;
    }
    list.push(']');
    let out = env::var("OUT_DIR")?;
    fs::write(Path::new(&out).join("files.rs"), list)?;
    println!("cargo::rustc-env=SPANSCOPE_UI_DIGEST={digest:016x}");
    Ok(())
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().ok_or("the name of a file is not UTF-8")?;
        if NOT_SERVED.contains(&name) || name.starts_with('.') {
            continue;
        }
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) && !name.ends_with(".test.js") {
            files.push(path);
        }
    }
    Ok(())
}

//! Tests of the log file: its creation, errors and retries, and files that are renamed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;

fn file(path: impl Into<PathBuf>) -> Sink {
    Sink::File(AppendFile::new(path))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// Accepts these numbers of bytes at its first calls; then it reports a full disk.
struct Room {
    calls: Vec<usize>,
    taken: Vec<u8>,
    writes: Vec<usize>,
}

impl Room {
    fn of(calls: &[usize]) -> Self {
        let calls = calls.iter().rev().copied().collect();
        Self {
            calls,
            taken: Vec::new(),
            writes: Vec::new(),
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.taken).unwrap()
    }
}

impl Write for Room {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.writes.push(bytes.len());
        let room = self.calls.pop().ok_or(ErrorKind::StorageFull)?;
        let taken = bytes.len().min(room);
        self.taken.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

#[test]
fn the_folder_is_created_and_lines_are_appended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/c.log");
    file(&path).write_lines("one\n").unwrap();
    file(&path).write_lines("two\nthree\n").unwrap();
    assert_eq!(read(&path), "one\ntwo\nthree\n");
}

#[test]
fn nothing_is_touched_before_the_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b.log");
    drop(file(&path));
    assert!(!folder.path().join("a").exists());
}

#[test]
fn a_folder_in_its_place_is_an_error_and_the_sink_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = file(folder.path()).write_lines("one\ntwo\n").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::IsADirectory);
    let message = file(folder.path()).to_string();
    assert!(
        message.contains(&folder.path().display().to_string()),
        "{message}"
    );
}

#[test]
fn a_folder_that_can_not_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for below in ["file/x.log", "file/deeper/x.log", "nul\0.log"] {
        file(folder.path().join(below)).write_lines("one\n").unwrap_err();
    }
    file("").write_lines("one\n").unwrap_err();
}

#[test]
fn opening_is_tried_again_after_a_second_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    fs::create_dir(&path).unwrap();
    let mut sink = AppendFile::new(&path);
    let start = Instant::now();
    let first = sink.write_lines("one\n", start).unwrap_err();
    fs::remove_dir(&path).unwrap();
    let second = sink
        .write_lines("two\n", start + Duration::from_millis(999))
        .unwrap_err();
    assert_eq!(second.to_string(), first.to_string());
    sink.write_lines("three\n", start + Duration::from_secs(1))
        .unwrap();
    sink.write_lines("four\n", start + Duration::from_secs(1))
        .unwrap();
    assert_eq!(read(&path), "three\nfour\n");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_each_time_and_never_a_panic() {
    let mut sink = file("/dev/full");
    for _ in 0..3 {
        let error = sink.write_lines("one\ntwo\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("No space left"), "{error}");
    }
    file("/proc/spanscope/x.log").write_lines("one\n").unwrap_err();
}

#[test]
#[cfg(unix)]
fn a_renamed_file_gets_no_further_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (path, old) = (folder.path().join("x.log"), folder.path().join("x.log.1"));
    let mut sink = file(&path);
    sink.write_lines("one\n").unwrap();
    fs::rename(&path, &old).unwrap();
    sink.write_lines("two\n").unwrap();
    // The rotation may also create the new file at once.
    fs::rename(&path, folder.path().join("x.log.2")).unwrap();
    fs::write(&path, "").unwrap();
    sink.write_lines("three\n").unwrap();
    assert_eq!((read(&old), read(&path)), ("one\n".into(), "three\n".into()));
}

#[test]
fn a_removed_file_and_a_removed_folder_are_created_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs/x.log");
    let mut sink = file(&path);
    sink.write_lines("one\n").unwrap();
    fs::remove_file(&path).unwrap();
    sink.write_lines("two\n").unwrap();
    assert_eq!(read(&path), "two\n");
    fs::remove_dir_all(folder.path().join("logs")).unwrap();
    sink.write_lines("three\n").unwrap();
    assert_eq!(read(&path), "three\n");
}

#[test]
fn a_truncated_file_restarts_without_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.log");
    let mut sink = file(&path);
    sink.write_lines("one\nno end").unwrap();
    File::create(&path).unwrap();
    sink.write_lines("two\n").unwrap();
    assert_eq!(read(&path), "two\n");
}

#[test]
fn lines_of_many_writers_stay_whole() {
    const LINES: usize = 10_000;
    let folder = tempfile::tempdir().unwrap();
    let path = &folder.path().join("x.log");
    // Each thread has its own file, as each process would; two of them write batches, two write
    // line by line.
    std::thread::scope(|scope| {
        for writer in 0..4 {
            scope.spawn(move || {
                let mut sink = file(path);
                let mut batch = String::new();
                for index in 0..LINES {
                    let tail = "x".repeat(index % 97);
                    batch.push_str(&format!("{writer} {index} {tail}.\n"));
                    if writer % 2 == 0 || index % 1500 == 0 || index + 1 == LINES {
                        sink.write_lines(&batch).unwrap();
                        batch.clear();
                    }
                }
            });
        }
    });
    let mut next = [0; 4];
    for line in read(path).lines() {
        let mut words = line.split(' ');
        let mut number = || words.next().unwrap().parse::<usize>().unwrap();
        let (writer, index) = (number(), number());
        assert_eq!(index, next[writer], "{line}");
        assert_eq!(words.next().unwrap().len(), index % 97 + 1, "{line}");
        next[writer] += 1;
    }
    assert_eq!(next, [LINES; 4]);
}

#[test]
fn pieces_end_at_line_ends_and_a_long_line_is_one_piece() {
    let short = "s".repeat(40_000) + "\n";
    let long = "l".repeat(3 * MAX_PIECE) + "\n";
    let text = [short.as_str(), &short, &long, "after\n"].concat();
    let mut room = Room::of(&[usize::MAX; 9]);
    append(&mut room, text.as_bytes(), &mut false).unwrap();
    assert_eq!(room.text(), text);
    assert_eq!(room.writes, [short.len(), short.len(), long.len(), 6]);
}

#[test]
fn a_line_that_was_cut_short_is_never_continued() {
    let mut torn = false;
    let mut room = Room::of(&[6]);
    let error = append(&mut room, b"one\ntwo\nthree\n", &mut torn).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert_eq!((room.text(), torn), ("one\ntw", true));
    room.calls = vec![usize::MAX];
    append(&mut room, b"four\n", &mut torn).unwrap();
    assert_eq!((room.text(), torn), ("one\ntw\nfour\n", false));
}

#[test]
fn a_line_that_never_fits_is_abandoned() {
    let mut torn = false;
    let mut room = Room::of(&[2, 0, 1, 3]);
    for text in ["li", "li\nlin"] {
        let error = append(&mut room, b"line\n", &mut torn).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
        assert_eq!((room.text(), torn), (text, true));
    }
    // The second try reveals the reason, and the messages about a full disk are identical.
    room.calls = vec![2];
    let error = append(&mut room, b"line\n", &mut torn).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

#[test]
fn a_writer_gets_everything_and_its_panic_is_an_error() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut sink = Sink::Writer(Box::new(writer), Torn::default());
    sink.write_lines("one\ntwo\n").unwrap();
    drop(sink);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n");

    struct Panics;
    impl Write for Panics {
        fn write(&mut self, _: &[u8]) -> Result<usize> {
            panic!("as the test wants it")
        }
        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let error = Sink::Writer(Box::new(Panics), Torn::default())
        .write_lines("one\ntwo\n")
        .unwrap_err();
    assert_eq!(error.to_string(), "the writer panicked");
}

#[test]
fn a_closed_pipe_is_an_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let error = Sink::Writer(Box::new(writer), Torn::default())
        .write_lines("one\n")
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_slow_output_gets_everything_in_parts() {
    #[derive(Clone, Default)]
    struct Shy(Arc<Mutex<(u32, Vec<u8>)>>);
    impl Write for Shy {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            let mut state = self.0.lock().unwrap();
            state.0 += 1;
            match state.0 % 3 {
                0 => Err(ErrorKind::WouldBlock.into()),
                1 => Err(ErrorKind::Interrupted.into()),
                _ => {
                    state.1.push(bytes[0]);
                    Ok(1)
                }
            }
        }
        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let shy = Shy::default();
    Sink::Writer(Box::new(shy.clone()), Torn::default())
        .write_lines("one\ntwo\n")
        .unwrap();
    assert_eq!(shy.0.lock().unwrap().1, b"one\ntwo\n");
}

/// Accepts a few bytes, then nothing for a while, then everything.
#[derive(Clone, Default)]
struct Stalling {
    taken: Arc<Mutex<Vec<u8>>>,
    first: usize,
    refuses: Arc<AtomicBool>,
}

impl Write for Stalling {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut taken = self.taken.lock().unwrap();
        if !self.refuses.load(Ordering::Relaxed) {
            taken.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let room = self.first.saturating_sub(taken.len()).min(bytes.len());
        if room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        taken.extend_from_slice(&bytes[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_abandoned_entry_is_closed_before_the_next() {
    for (entry, closed) in [
        ("\x1b[1mfirst\x1b[0m\n", "\x1b[1mfi\x1b\\\x1b[0m\nnext\n"),
        ("first entry\n", "first \nnext\n"),
    ] {
        let writer = Stalling {
            first: 6,
            refuses: Arc::new(AtomicBool::new(true)),
            ..Stalling::default()
        };
        let mut sink = Sink::Writer(Box::new(writer.clone()), Torn::default());
        assert!(sink.write_lines(entry).is_err());
        writer.refuses.store(false, Ordering::Relaxed);
        sink.write_lines("next\n").unwrap();
        assert_eq!(
            String::from_utf8(writer.taken.lock().unwrap().clone()).unwrap(),
            closed
        );
    }
}

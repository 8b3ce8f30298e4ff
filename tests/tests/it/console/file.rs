//! The log file: the console's text without colour, shared, rotated, or unwritable.

use std::fs;
use std::path::Path;

use super::{Program, program};

fn logging_to(program: Program, path: &Path) -> Program {
    program.env("LLAMA_STACK_LOG_FILE", path)
}

/// The text of a line, from its target on.
fn texts(text: &str) -> Vec<String> {
    let whole = |line: &str| {
        let time = line.find(" console::").unwrap_or_else(|| panic!("{line:?}"));
        line[time..].to_owned()
    };
    let entries = text.lines().filter(|line| !line.starts_with(' '));
    entries.map(whole).collect()
}

#[test]
fn the_log_file_has_the_consoles_text_without_colour_and_markup_and_with_the_date() {
    let program = program(&["story"]).env("FORCE_COLOR", "1");
    let path = program.path("new/folder/agent.log");
    let ended = logging_to(program, &path).run();
    let text = ended.read("new/folder/agent.log");
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(ended.console.contains('\x1b'));
    assert!(
        text.contains("planning the answer, see the plan model=tiny\n"),
        "{text}"
    );
    assert!(text.contains("│ caused by"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with(' ')) {
        let date = &line[9..19];
        assert!(
            date.starts_with("20") && date.as_bytes()[4] == b'-' && date.as_bytes()[7] == b'-',
            "{line}"
        );
    }
    assert!(text.lines().any(|line| line.len() > 400), "lines are not wrapped");
    assert_eq!(texts(&text).len(), 7, "{text}");
}

#[test]
fn the_log_file_works_with_any_sinks() {
    for sinks in ["sqlite", "console", "console,sqlite"] {
        let program = program(&["story"]).env("TELEMETRY_SINKS", sinks);
        let path = program.path("agent.log");
        let ended = logging_to(program, &path).run();
        assert_eq!(texts(&ended.read("agent.log")).len(), 7, "{sinks}");
        assert_eq!(ended.console.is_empty(), sinks == "sqlite", "{}", ended.console);
    }
}

#[test]
fn the_log_file_has_the_same_levels_as_the_console() {
    let program = program(&["levels"]).env("LLAMA_STACK_LOGGING", "all=error,agents=debug");
    let path = program.path("agent.log");
    let ended = logging_to(program, &path).run();
    let text = ended.read("agent.log");
    assert_eq!(text.lines().count(), ended.console.lines().count(), "{text}");
    assert!(text.contains("agents at debug") && !text.contains("own at warn"));
}

#[test]
fn an_unwritable_file_is_reported_once_and_the_program_continues() {
    let occupied = tempfile::tempdir().unwrap();
    let file = occupied.path().join("file");
    fs::write(&file, "not a folder").unwrap();
    let folder = occupied.path().join("folder");
    fs::create_dir(&folder).unwrap();
    for path in [&folder, &file.join("below"), Path::new("/dev/full")] {
        for sinks in ["sqlite", "console,sqlite"] {
            let program =
                program(&["story", "flush", "dozen", "flush", "levels"]).env("TELEMETRY_SINKS", sinks);
            let ended = logging_to(program, path).run();
            let path = path.display().to_string();
            assert_eq!(ended.count(&path), 1, "{path} with {sinks}: {}", ended.console);
            assert!(
                ended.line(&path).contains("can't be written"),
                "{}",
                ended.console
            );
            assert_eq!(ended.store().spans.len(), 2);
            assert_eq!(ended.count("[END] agent_run"), usize::from(sinks != "sqlite"));
        }
    }
}

#[test]
fn two_processes_append_whole_lines_to_one_file() {
    let shared = tempfile::tempdir().unwrap();
    let path = shared.path().join("shared.log");
    let often = ["dozen", "flush"].repeat(8);
    let mut work = vec!["worked", "wait"];
    work.extend(often);
    let start = || logging_to(program(&work), &path).start();
    let mut both = [start(), start()];
    for running in &mut both {
        running.wait_worked();
    }
    for running in &mut both {
        running.release();
    }
    for running in both {
        assert!(running.read_to_end().status.success());
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 2 * 8 * 12);
    let end = " ".to_owned() + &"x".repeat(200);
    for line in text.lines() {
        assert!(
            line.starts_with("INFO     20") && line.ends_with(&end) && line.matches("process").count() == 1,
            "{line:?}"
        );
    }
}

#[test]
fn a_file_that_is_renamed_or_removed_while_it_is_written_is_recreated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.log");
    let old = folder.path().join("agent.log.1");
    let work = [
        "dozen", "flush", "worked", "wait", "dozen", "flush", "worked", "wait", "dozen",
    ];
    let mut running = logging_to(program(&work), &path).start();
    running.wait_worked();
    fs::rename(&path, &old).unwrap();
    running.release();
    running.wait_worked();
    let lines = |path: &Path| fs::read_to_string(path).unwrap().lines().count();
    assert_eq!((lines(&old), lines(&path)), (12, 12));
    fs::remove_file(&path).unwrap();
    running.release();
    assert!(running.read_to_end().status.success());
    assert_eq!((lines(&old), lines(&path)), (12, 12));
}

#[test]
fn a_file_that_becomes_writable_names_the_number_of_missing_lines() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::write(&logs, "not a folder yet").unwrap();
    let path = logs.join("agent.log");
    let work = ["dozen", "flush", "worked", "wait", "until-logged"];
    let mut running = logging_to(program(&work), &path).start();
    running.wait_worked();
    fs::remove_file(&logs).unwrap();
    running.release();
    let ended = running.read_to_end();
    assert!(ended.status.success(), "{}", ended.console);
    assert_eq!(ended.count("can't be written"), 1, "{}", ended.console);
    assert_eq!(ended.count("is written again"), 1, "{}", ended.console);
    let text = fs::read_to_string(&path).unwrap();
    let lost = text.lines().find(|line| line.contains("lost here")).unwrap();
    let number = lost.split_once(" spanscope: ").unwrap().1.split(' ').next();
    let number: usize = number.unwrap().parse().unwrap();
    let on_console = ended.count("still here");
    let shown = text.matches("still here").count();
    assert_eq!(number + shown, 12 + on_console, "{text}");
}

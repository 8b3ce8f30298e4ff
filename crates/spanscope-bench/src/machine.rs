//! The kernel's data about this machine and this process. Linux only; elsewhere the results are
//! `None`.

use std::fs;

/// One line about the machine: cores, processor, kernel.
#[must_use]
pub fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| field(&text, "model name").map(str::to_owned))
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{cores} cores, {model}, {} {}",
        std::env::consts::OS,
        kernel.trim()
    )
}

/// Bytes that this process has made the kernel write to disk.
#[must_use]
pub fn bytes_written() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/io").ok()?;
    field(&text, "write_bytes")?.parse().ok()
}

/// The peak memory of this process, in bytes.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let kib = field(&text, "VmHWM")?.split_whitespace().next()?;
    kib.parse::<u64>().ok().map(|kib| kib * 1024)
}

fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "cancelled_write_bytes: 1\nwrite_bytes: 42\nVmHWM:\t  12 kB\n";
        assert_eq!(field(text, "write_bytes"), Some("42"));
        assert_eq!(field(text, "VmHWM"), Some("12 kB"));
        assert_eq!(field(text, "bytes"), None);
    }
}

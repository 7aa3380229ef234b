//! What the operating system knows of this process, read at each scrape.
//!
//! Written into the exposition by hand: the recorder's counters are whole numbers, and processor
//! time is not. Memory and processor time are read from `/proc`, so they are there on Linux only.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use super::names::{
    CATALOGUE, DATA_DIR_FREE_BYTES, DATA_DIR_SIZE_BYTES, PROCESS_CPU_SECONDS_TOTAL,
    PROCESS_MAX_FDS, PROCESS_OPEN_FDS, PROCESS_RESIDENT_MEMORY_BYTES, PROCESS_START_TIME_SECONDS,
};
use crate::clock::Clock;

/// Linux shows processor time to programs in hundredths of a second, whatever its own tick is.
const TICK_MS: u64 = 10;

/// Since 1970.
static START: OnceLock<Duration> = OnceLock::new();

/// The folder whose file system is looked at.
static DATA_DIR: OnceLock<PathBuf> = OnceLock::new();

/// Looks at the file system of this folder from now on, unless it looks at another.
pub(super) fn watch_data_dir(folder: &Path) {
    DATA_DIR.get_or_init(|| folder.to_owned());
}

/// Takes the time of the first call for the start of the process.
pub(super) fn remember_start() {
    START.get_or_init(|| {
        let micros = Clock::system().now().timestamp_micros();
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    });
}

/// Appends the process's own metrics, as of now, to `text`.
pub(super) fn render(text: &mut String) {
    remember_start();
    let disk = DATA_DIR
        .get()
        .and_then(|folder| rustix::fs::statvfs(folder).ok());
    let readings = [
        (
            PROCESS_START_TIME_SECONDS,
            START.get().map(|start| start.as_secs_f64().to_string()),
        ),
        (
            PROCESS_CPU_SECONDS_TOTAL,
            cpu_time().map(|time| time.as_secs_f64().to_string()),
        ),
        (
            PROCESS_RESIDENT_MEMORY_BYTES,
            resident_bytes().map(|bytes| bytes.to_string()),
        ),
        (
            PROCESS_OPEN_FDS,
            open_files().map(|count| count.to_string()),
        ),
        (
            PROCESS_MAX_FDS,
            getrlimit(Resource::Nofile)
                .current
                .map(|count| count.to_string()),
        ),
        (
            DATA_DIR_FREE_BYTES,
            disk.as_ref()
                .map(|it| it.f_bavail.saturating_mul(it.f_frsize).to_string()),
        ),
        (
            DATA_DIR_SIZE_BYTES,
            disk.as_ref()
                .map(|it| it.f_blocks.saturating_mul(it.f_frsize).to_string()),
        ),
    ];
    for (name, value) in readings {
        let metric = CATALOGUE.iter().find(|metric| metric.name == name);
        if let (Some(metric), Some(value)) = (metric, value) {
            let (help, kind) = (metric.help, metric.kind.as_str());
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n"
            );
        }
    }
}

fn cpu_time() -> Option<Duration> {
    cpu_time_in(&read_proc("stat")?)
}

/// The listing has itself open meanwhile.
fn open_files() -> Option<usize> {
    let listed = std::fs::read_dir("/proc/self/fd").ok()?.count();
    listed.checked_sub(1)
}

fn resident_bytes() -> Option<u64> {
    resident_bytes_in(&read_proc("status")?)
}

fn read_proc(file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/self/{file}")).ok()
}

/// User and system time, the 14th and 15th fields of `stat`. The second field is the program's name
/// in parentheses, which may itself hold spaces and parentheses, so counting starts behind its last
/// one, at the third.
fn cpu_time_in(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields
        .split_ascii_whitespace()
        .skip(11)
        .map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    let ticks = user.checked_add(system)?;
    Some(Duration::from_millis(ticks.checked_mul(TICK_MS)?))
}

/// The line `VmRSS:     1234 kB` of `status`.
fn resident_bytes_in(status: &str) -> Option<u64> {
    let amount = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = amount.trim().strip_suffix(" kB")?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_program_name() {
        let stat = "42 (a) b (c) S 1 2 3 0 -1 4194560 100 0 0 0 250 75 0 0 20 0 4 0 1000 1 1";
        assert_eq!(cpu_time_in(stat), Some(Duration::from_millis(3_250)));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(
            resident_bytes_in("Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t4\n"),
            Some(1_263_616)
        );
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        for text in ["", ")", "1 (x) S 1", "VmRSS: many kB", "VmRSS: 5 MB"] {
            assert_eq!(
                (cpu_time_in(text), resident_bytes_in(text)),
                (None, None),
                "{text}"
            );
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_a_start() {
        let mut text = String::new();
        render(&mut text);
        assert!(resident_bytes().unwrap() > 0);
        assert!(
            text.contains("# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total "),
            "{text}"
        );
        assert!(text.contains("\nprocess_start_time_seconds 1"), "{text}");
    }
}

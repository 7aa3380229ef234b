//! What is counted: written down for operators, and shown by the process.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use tempfile::TempDir;
use wealth_companion::telemetry::metrics::{CATALOGUE, Kind, Metric};

use crate::support::{Process, is_up_to_date, stack};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

const HEAD: &str = "# Metrics

What `/metrics` of the internal listener tells, in Prometheus' text format. This page is made from
[src/telemetry/metrics/names.rs](../src/telemetry/metrics/names.rs) by `make generated`; a test fails when they differ.

Labels whose values are known are shown with them. None ever holds an id, a name or an amount: what a label can
say is bounded by the code. Each process tells of itself: sum counters over replicas, and take the largest of
ages and depths that all of them tell of the same log. Buckets are in the metric's unit.

";

fn labels(metric: &Metric) -> String {
    let told = metric.labels.iter().map(|label| match label.values {
        [] => format!("`{}`", label.name),
        values => format!("`{}` ({})", label.name, values.join(", ")),
    });
    told.collect::<Vec<_>>().join(", ")
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| metric | type | labels | what it says |\n|---|---|---|---|\n");
    for metric in CATALOGUE {
        let (name, kind, help) = (metric.name, metric.kind.as_str(), metric.help);
        let buckets = match metric.kind {
            Kind::Histogram(bounds) => {
                let bounds = bounds.iter().map(ToString::to_string);
                format!(". Buckets: {}", bounds.collect::<Vec<_>>().join(", "))
            }
            Kind::Counter | Kind::Gauge => String::new(),
        };
        writeln!(
            page,
            "| `{name}` | {kind} | {} | {help}{buckets} |",
            labels(metric)
        )
        .expect("a string");
    }
    page
}

#[test]
fn the_page_of_metrics_is_up_to_date() {
    is_up_to_date(Path::new(FILE), &page());
}

/// Nothing is told that is not written down, under another label, or without its help and type.
#[tokio::test]
async fn what_is_shown_is_what_is_written_down() {
    let folder = TempDir::new().expect("a folder");
    let process = Process::start(folder.path(), &[]).await;
    let ada = process.register("ada").await;
    ada.wallet("Checking", "USD", "0").await;
    let text = process.internal_text("/metrics").await;
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(said) = line.strip_prefix("# TYPE ") {
            let (name, kind) = said.split_once(' ').expect(line);
            let metric = CATALOGUE.iter().find(|metric| metric.name == name);
            let metric = metric.unwrap_or_else(|| panic!("{name} is nowhere written down"));
            assert_eq!(metric.kind.as_str(), kind, "{name}");
            seen.insert(name.to_owned());
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().expect(line);
            let of = CATALOGUE.iter().find(|metric| {
                let end = name.strip_prefix(metric.name);
                end.is_some_and(|end| ["", "_bucket", "_sum", "_count"].contains(&end))
            });
            let of = of.unwrap_or_else(|| panic!("{line} is nowhere written down"));
            let labels = line.split_once('{').map_or("", |(_, rest)| rest);
            let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
            for label in labels.split("\",").filter(|label| !label.is_empty()) {
                let (label, value) = label.split_once("=\"").expect(line);
                let known = of.labels.iter().find(|known| known.name == label);
                let is_bucket = label == "le" && matches!(of.kind, Kind::Histogram(_));
                assert!(known.is_some() || is_bucket, "{line}");
                let values = known.map_or(&[][..], |known| known.values);
                let value = value.trim_end_matches('"');
                assert!(values.is_empty() || values.contains(&value), "{line}");
            }
        }
    }
    for name in [
        "wealth_ready",
        "process_open_fds",
        "wealth_job_last_success_timestamp_seconds",
    ] {
        assert!(seen.contains(name), "{name} is not shown: {seen:?}");
    }
    // With PostgreSQL the folder is of no interest.
    let is_of_folder = seen.contains("wealth_data_dir_free_bytes");
    assert_eq!(is_of_folder, !stack::on_postgres(), "{seen:?}");
}

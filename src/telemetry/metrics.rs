//! Metrics: recorded with the `metrics` crate, shown in Prometheus' text format.
//!
//! The composition root installs the recorder before any part asks for a metric; parts count; the
//! scrape endpoint calls [`render`]. Names are in [`names`], and nowhere else.

pub mod handles;
pub mod names;
mod process;

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

pub use names::{CATALOGUE, Kind, Metric};

/// The `Content-Type` of what [`render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How often samples of histograms are folded into their buckets, which bounds the memory they hold
/// between scrapes.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the recorder for the whole process, describes every metric to it and sets what never
/// changes. A second call gives the same handle, so several applications in one test process share
/// their metrics.
///
/// What is counted before the first call is lost, and a handle made before it counts nothing ever.
pub fn install() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE.get_or_init(install_once).clone()
}

/// Tells the recorder the type, unit and help text of every metric in the catalogue, and shows those at
/// zero whose series are known beforehand.
pub fn describe_all() {
    for metric in CATALOGUE {
        match metric.kind {
            Kind::Counter => {
                metrics::describe_counter!(metric.name, metric.unit, metric.help);
                for labels in metric.series() {
                    if !metric.read_at_scrape() {
                        metrics::counter!(metric.name, &labels).increment(0);
                    }
                }
            }
            Kind::Gauge => {
                metrics::describe_gauge!(metric.name, metric.unit, metric.help);
                if metric.labels.is_empty() && !metric.read_at_scrape() {
                    metrics::gauge!(metric.name).increment(0.0);
                }
            }
            Kind::Histogram(_) => {
                metrics::describe_histogram!(metric.name, metric.unit, metric.help);
            }
        }
    }
}

/// Every metric recorded so far and the process's own, read as of now, in Prometheus' text format.
#[must_use]
pub fn render(handle: &PrometheusHandle) -> String {
    let mut text = handle.render();
    process::render(&mut text);
    text
}

/// Tells of the room on the file system of this folder from now on; of the first folder that is named.
pub fn watch_data_dir(folder: &Path) {
    process::watch_data_dir(folder);
}

/// Keeps the memory of histograms bounded until `stop` is cancelled.
pub async fn run_upkeep(handle: PrometheusHandle, stop: CancellationToken) {
    let mut ticks = interval(UPKEEP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => handle.run_upkeep(),
            () = stop.cancelled() => return,
        }
    }
}

fn install_once() -> PrometheusHandle {
    let recorder = builder().build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_err() {
        tracing::error!(
            "another metrics recorder is installed in this process: metrics will be missing"
        );
    }
    describe_all();
    process::remember_start();
    metrics::gauge!(names::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1);
    handle
}

fn builder() -> PrometheusBuilder {
    CATALOGUE.iter().fold(PrometheusBuilder::new(), |builder, metric| match metric.kind {
        Kind::Histogram(buckets) => builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)
            .expect("only an empty list of buckets is refused, and a test finds those in the catalogue"),
        Kind::Counter | Kind::Gauge => builder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records one value of every metric the recorder keeps, with no labels.
    fn record_all() {
        for metric in CATALOGUE.iter().filter(|metric| !metric.read_at_scrape()) {
            match metric.kind {
                Kind::Counter => metrics::counter!(metric.name).increment(1),
                Kind::Gauge => metrics::gauge!(metric.name).set(1),
                Kind::Histogram(_) => metrics::histogram!(metric.name).record(1),
            }
        }
    }

    #[test]
    fn every_metric_is_shown_with_its_help_and_its_type() {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe_all();
            record_all();
        });
        watch_data_dir(Path::new("."));
        let text = render(&handle);
        for metric in CATALOGUE
            .iter()
            .filter(|metric| cfg!(target_os = "linux") || !metric.read_at_scrape())
        {
            let help = format!("# HELP {} {}\n", metric.name, metric.help);
            let kind = format!("# TYPE {} {}\n", metric.name, metric.kind.as_str());
            assert_eq!(text.matches(&help).count(), 1, "{help}{text}");
            assert_eq!(text.matches(&kind).count(), 1, "{kind}{text}");
        }
    }

    #[test]
    fn a_histogram_has_the_buckets_of_the_catalogue() {
        let recorder = builder().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!(names::DB_COMMIT_DURATION_SECONDS).record(Duration::from_millis(7));
        });
        let text = handle.render();
        assert!(
            text.contains("wealth_db_commit_duration_seconds_bucket{le=\"0.005\"} 0"),
            "{text}"
        );
        assert!(
            text.contains("wealth_db_commit_duration_seconds_bucket{le=\"0.01\"} 1"),
            "{text}"
        );
    }

    #[test]
    fn a_second_install_gives_the_same_metrics() {
        let (first, second) = (install(), install());
        metrics::counter!(names::RATE_LIMITED_TOTAL).increment(3);
        for handle in [first, second] {
            let text = render(&handle);
            assert!(text.contains("\nwealth_rate_limited_total 3\n"), "{text}");
            assert!(text.contains(concat!(
                "wealth_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\"} 1"
            )));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn upkeep_goes_on_until_it_is_stopped() {
        let handle = builder().build_recorder().handle();
        let stop = CancellationToken::new();
        let upkeep = tokio::spawn(run_upkeep(handle, stop.clone()));
        tokio::time::sleep(UPKEEP_INTERVAL * 3).await;
        assert!(!upkeep.is_finished());
        stop.cancel();
        upkeep.await.unwrap();
    }
}

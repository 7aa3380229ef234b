//! The order and the bounds of shutdown, in paused time: tokio moves the clock only when every task
//! waits.

use std::sync::Mutex;

use anyhow::anyhow;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;

const PAUSE: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(20);

fn lifecycle() -> Lifecycle {
    Lifecycle::new(PAUSE, DEADLINE)
}

fn ended(name: &'static str, cause: &str) -> Result<(), LifecycleError> {
    Err(LifecycleError::TaskEnded {
        name,
        cause: cause.to_owned(),
    })
}

fn still_running(names: &[&'static str]) -> Result<(), LifecycleError> {
    Err(LifecycleError::StillRunning {
        names: names.to_vec(),
    })
}

/// A well-behaved role: takes work until the drain, then ends.
fn spawn_role(lifecycle: &Lifecycle, name: &'static str) {
    let draining = lifecycle.draining();
    lifecycle.spawn(name, async move {
        draining.cancelled().await;
        Ok(())
    });
}

#[tokio::test(start_paused = true)]
async fn readiness_fails_first_then_work_drains_then_all_stops() {
    let lifecycle = lifecycle();
    lifecycle.readiness().started();
    let start = Instant::now();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut watches = JoinSet::new();
    for (step, token) in [
        ("shutting down", lifecycle.shutting_down()),
        ("draining", lifecycle.draining()),
        ("stop now", lifecycle.stop_now()),
    ] {
        let seen = Arc::clone(&seen);
        watches.spawn(async move {
            token.cancelled().await;
            seen.lock().unwrap().push((step, start.elapsed().as_secs()));
        });
    }
    let draining = lifecycle.draining();
    lifecycle.spawn("role", async move {
        draining.cancelled().await;
        sleep(Duration::from_secs(3)).await;
        Ok(())
    });

    lifecycle.trigger("test");
    assert!(lifecycle.readiness().check().is_err());
    assert!(!lifecycle.draining().is_cancelled());
    assert_eq!(lifecycle.run_until_stopped().await, Ok(()));
    watches.join_all().await;

    assert_eq!(
        *seen.lock().unwrap(),
        [("shutting down", 0), ("draining", 5), ("stop now", 8)]
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_happens_until_shutdown_is_asked_for() {
    let lifecycle = lifecycle();
    spawn_role(&lifecycle, "role");
    assert!(
        timeout(Duration::from_hours(1), lifecycle.run_until_stopped())
            .await
            .is_err()
    );
    assert!(!lifecycle.shutting_down().is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_second_request_skips_the_pause_and_the_drain() {
    let lifecycle = lifecycle();
    let stop_now = lifecycle.stop_now();
    lifecycle.spawn("slow", async move {
        stop_now.cancelled().await;
        Ok(())
    });
    lifecycle.trigger("first");
    lifecycle.trigger("second");
    let start = Instant::now();
    assert_eq!(lifecycle.run_until_stopped().await, Ok(()));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_will_not_stop_when_told_to_is_cut_off_and_named() {
    let lifecycle = lifecycle();
    let held = Arc::new(());
    let in_task = Arc::clone(&held);
    lifecycle.spawn("deaf", async move {
        let _in_task = in_task;
        std::future::pending().await
    });
    lifecycle.trigger("first");
    lifecycle.trigger("second");
    let start = Instant::now();
    assert_eq!(
        lifecycle.run_until_stopped().await,
        still_running(&["deaf"])
    );
    assert_eq!(start.elapsed(), STOP_GRACE);
    lifecycle.all_ended().await;
    assert_eq!(Arc::strong_count(&held), 1, "the task was dropped");
}

#[tokio::test(start_paused = true)]
async fn tasks_past_the_deadline_are_named_even_if_they_then_stop() {
    let lifecycle = lifecycle();
    spawn_role(&lifecycle, "quick");
    let stop_now = lifecycle.stop_now();
    lifecycle.spawn("slow", async move {
        stop_now.cancelled().await;
        Ok(())
    });
    lifecycle.trigger("test");
    let start = Instant::now();
    let result = lifecycle.run_until_stopped().await;
    assert_eq!(result, still_running(&["slow"]));
    assert_eq!(
        result.unwrap_err().to_string(),
        "background tasks still running when told to stop: slow"
    );
    assert_eq!(start.elapsed(), PAUSE + DEADLINE);
}

#[tokio::test(start_paused = true)]
async fn a_failing_task_ends_the_process_with_its_error_and_its_causes() {
    let lifecycle = lifecycle();
    spawn_role(&lifecycle, "other");
    lifecycle.spawn("relay", async {
        Err(anyhow!("disk full").context("cannot publish"))
    });
    let result = lifecycle.run_until_stopped().await;
    assert_eq!(result, ended("relay", "cannot publish: disk full"));
    assert_eq!(
        result.unwrap_err().to_string(),
        "background task `relay` ended: cannot publish: disk full"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panicking_task_ends_the_process_with_the_panic() {
    let lifecycle = lifecycle();
    let broken = "index";
    lifecycle.spawn("projector", async move { panic!("bad {broken}") });
    assert_eq!(
        lifecycle.run_until_stopped().await,
        ended("projector", "it panicked: bad index")
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_early_ends_the_process() {
    let lifecycle = lifecycle();
    lifecycle.spawn("notifier", async { Ok(()) });
    let expected = ended("notifier", "it finished before the process was draining");
    assert_eq!(lifecycle.run_until_stopped().await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_fails_while_draining_is_still_a_failure() {
    let lifecycle = lifecycle();
    let draining = lifecycle.draining();
    lifecycle.spawn("writer", async move {
        draining.cancelled().await;
        Err(anyhow!("last batch lost"))
    });
    lifecycle.trigger("test");
    assert_eq!(
        lifecycle.run_until_stopped().await,
        ended("writer", "last batch lost")
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_task_and_then_one_signal_still_drain() {
    let lifecycle = lifecycle();
    spawn_role(&lifecycle, "other");
    lifecycle.spawn("relay", async { Err(anyhow!("gone")) });
    lifecycle.shutting_down().cancelled().await;
    lifecycle.trigger("SIGTERM");
    assert!(!lifecycle.stop_now().is_cancelled());
    let start = Instant::now();
    assert_eq!(lifecycle.run_until_stopped().await, ended("relay", "gone"));
    assert_eq!(start.elapsed(), PAUSE);
}

#[tokio::test(start_paused = true)]
async fn ending_because_told_to_stop_now_is_not_ending_early() {
    let lifecycle = lifecycle();
    let stop_now = lifecycle.stop_now();
    lifecycle.spawn("worker", async move {
        stop_now.cancelled().await;
        Ok(())
    });
    lifecycle.trigger("first");
    lifecycle.trigger("second");
    lifecycle.all_ended().await;
    assert_eq!(lifecycle.run_until_stopped().await, Ok(()));
}

//! Where log lines go: a bounded queue with a thread of its own that writes them out.
//!
//! Comes after the formatting of a line and before stdout or stderr. A full queue drops lines and
//! counts them; a broken output loses them. Neither stops the process, which can do its work
//! without a reader of its log.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::telemetry::metrics::names;

/// The most bytes waiting to be written.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;
/// Room that is kept for lines, when a flood of them is over.
const KEPT_BYTES: usize = 256 * 1024;
/// How long lines wait for others, to be written with them: to wake for each would cost more than the
/// line itself.
const LINGER: Duration = Duration::from_millis(5);

/// The way to the writing thread. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Output(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    /// One after the other.
    lines: Vec<u8>,
    /// Somebody waits until they are written.
    is_urgent: bool,
    writing: bool,
}

impl Output {
    /// Starts the thread that writes to `sink` for the rest of the process's life.
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let output = Self(Arc::clone(&shared));
        thread::Builder::new()
            .name("log-output".to_owned())
            .spawn(move || shared.write_to(sink))?;
        Ok(output)
    }

    /// Puts `line`, with its line feed, in the queue; drops it if the queue is full. Never waits
    /// for the sink.
    pub(super) fn push(&self, line: &[u8]) {
        let mut queue = self.0.lock();
        if queue.lines.len().saturating_add(line.len()) > QUEUE_BYTES {
            drop(queue);
            dropped(1);
            return;
        }
        let was_empty = queue.lines.is_empty();
        queue.lines.extend_from_slice(line);
        drop(queue);
        if was_empty {
            self.0.filled.notify_one();
        }
    }

    /// Waits until all lines pushed so far are written, at most for `limit`; whether they were.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let busy = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        let mut queue = self.0.lock();
        queue.is_urgent = true;
        self.0.filled.notify_one();
        let waited = self.0.written.wait_timeout_while(queue, limit, busy);
        let (_queue, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }
}

/// One call is one line: that is how the readable format writes.
impl Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn dropped(lines: u64) {
    metrics::counter!(names::LOG_LINES_DROPPED_TOTAL, "output" => "stream").increment(lines);
}

impl Shared {
    fn write_to(&self, mut sink: impl Write) {
        let mut lines = Vec::new();
        loop {
            self.take_lines(&mut lines);
            // There is nowhere left to tell of a failure to write the log, but in a number.
            if sink.write_all(&lines).and_then(|()| sink.flush()).is_err() {
                dropped(lines.iter().filter(|byte| **byte == b'\n').count() as u64);
            }
            self.lock().writing = false;
            self.written.notify_all();
        }
    }

    /// Waits for lines, then a little for more, and takes all there are. Their place is taken by what was
    /// written before: room for as many as came lately.
    fn take_lines(&self, written: &mut Vec<u8>) {
        written.clear();
        written.shrink_to(KEPT_BYTES);
        let waited = self
            .filled
            .wait_while(self.lock(), |queue| queue.lines.is_empty());
        let queue = waited.unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .filled
            .wait_timeout_while(queue, LINGER, |queue| !queue.is_urgent);
        let (mut queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.is_urgent = false;
        queue.writing = true;
        mem::swap(&mut queue.lines, written);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    /// Hands every write to the test, and waits in each until the test lets it go on.
    struct Stalling {
        written: mpsc::Sender<Vec<u8>>,
        go_on: mpsc::Receiver<()>,
    }

    impl Write for Stalling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.written
                .send(bytes.to_vec())
                .map_err(io::Error::other)?;
            self.go_on.recv().map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    fn stalling() -> (Output, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
        let (written, lines) = mpsc::channel();
        let (release, go_on) = mpsc::channel();
        (
            Output::start(Stalling { written, go_on }).unwrap(),
            lines,
            release,
        )
    }

    #[test]
    fn lines_are_written_in_order_and_flush_waits_for_them() {
        let (output, lines, release) = stalling();
        for line in ["one\n", "two\n", "three\n"] {
            output.push(line.as_bytes());
            release.send(()).unwrap();
        }
        assert!(output.flush(LONG));
        let written: Vec<u8> = lines.try_iter().flatten().collect();
        assert_eq!(written, b"one\ntwo\nthree\n");
    }

    #[test]
    fn a_stalled_reader_costs_lines_but_never_holds_up_the_caller() {
        let (output, lines, release) = stalling();
        output.push(b"held\n");
        lines.recv_timeout(LONG).unwrap();
        for _ in 0..5 {
            output.push(&[b'x'; QUEUE_BYTES / 4]);
        }
        assert!(!output.flush(Duration::from_millis(1)));
        let waiting = output.0.lock().lines.len();
        assert_eq!(waiting, QUEUE_BYTES, "the fifth line did not fit");
        drop(release);
        assert!(output.flush(LONG));
    }

    #[test]
    fn a_closed_pipe_is_survived() {
        let output = Output::start(Broken).unwrap();
        output.push(b"lost\n");
        assert!(output.flush(LONG));
        output.push(b"lost too\n");
        assert!(output.flush(LONG));
    }
}

//! Load for an HTTP server, without any code of this product: what `make bench` measures with.
//!
//! `load ADDRESS FILE CONNECTIONS SECONDS [RATE]`: sends the requests of a file over and over, each a
//! line of JSON (`method`, `path`, `token`, `body`). With a rate each request has its moment, whether or
//! not those before it were answered, and its latency counts from that moment: a server that stops for a
//! second is charged for all that should have been sent meanwhile (no coordinated omission). Without
//! one, each connection sends when it has its answer. Prints a line of JSON.
//!
//! A thread for each connection: they sleep to within 0.1 ms, and take less of the processor than the
//! server does.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    token: Option<String>,
    body: Option<String>,
}

impl Request {
    fn bytes(&self, address: &str) -> Vec<u8> {
        let (method, path) = (&self.method, &self.path);
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
        if let Some(token) = &self.token {
            text.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let body = self.body.as_deref().unwrap_or_default();
        if self.body.is_some() {
            let length = body.len();
            text.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            ));
        }
        format!("{text}\r\n{body}").into_bytes()
    }
}

/// What one connection has seen.
#[derive(Default)]
struct Seen {
    latencies: Vec<Duration>,
    statuses: BTreeMap<u16, u64>,
}

/// When requests are sent.
struct Schedule {
    begun: Instant,
    length: Duration,
    /// From one request to the next; none: as soon as there is an answer.
    every: Option<Duration>,
    next: AtomicU64,
}

impl Schedule {
    /// Waits for the moment of the next request; gives it with the request's number.
    fn next(&self) -> Option<(u64, Instant)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let moment = match self.every {
            None => Instant::now(),
            Some(every) => self.begun + every.mul_f64(number as f64),
        };
        if moment >= self.begun + self.length {
            return None;
        }
        thread::sleep(moment.saturating_duration_since(Instant::now()));
        Some((number, moment))
    }
}

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (address, file, connections, seconds, rate) = match *args {
        [address, file, connections, seconds] => (address, file, connections, seconds, None),
        [address, file, connections, seconds, rate] => {
            (address, file, connections, seconds, Some(rate))
        }
        _ => {
            println!("load: skipped; `make bench` tells it what to send");
            return Ok(());
        }
    };
    let mut requests = Vec::new();
    for line in std::fs::read_to_string(file)?.lines() {
        requests.push(serde_json::from_str::<Request>(line)?.bytes(address));
    }
    let rate: Option<f64> = rate.map(str::parse).transpose()?;
    let schedule = Schedule {
        begun: Instant::now() + Duration::from_millis(50),
        length: Duration::from_secs_f64(seconds.parse()?),
        every: rate.map(|rate| Duration::from_secs(1).div_f64(rate)),
        next: AtomicU64::new(0),
    };
    let connections: usize = connections.parse()?;
    let all: Vec<Seen> = thread::scope(|scope| {
        let run = || scope.spawn(|| send_all(address, &requests, &schedule));
        let running: Vec<_> = (0..connections).map(|_| run()).collect();
        let ended = running.into_iter().map(|it| it.join().expect("no panic"));
        ended.collect::<Outcome<_>>()
    })?;
    tell(&schedule, all);
    Ok(())
}

fn send_all(address: &str, requests: &[Vec<u8>], schedule: &Schedule) -> Outcome<Seen> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut seen = Seen::default();
    let mut buffer = Vec::with_capacity(1 << 16);
    thread::sleep(schedule.begun.saturating_duration_since(Instant::now()));
    while let Some((number, moment)) = schedule.next() {
        let which = usize::try_from(number)? % requests.len();
        stream.write_all(&requests[which])?;
        let status = answer(&mut stream, &mut buffer)?;
        seen.latencies.push(moment.elapsed());
        *seen.statuses.entry(status).or_default() += 1;
    }
    Ok(seen)
}

/// Reads an answer to its end; gives its status.
fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Outcome<u16> {
    buffer.clear();
    let mut chunk = [0; 1 << 14];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err("the server has closed the connection".into());
        }
        buffer.extend_from_slice(&chunk[..count]);
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(head) = response.parse(buffer)? else {
            continue;
        };
        let named =
            |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("content-length");
        let length: usize = match response.headers.iter().find(named) {
            Some(header) => std::str::from_utf8(header.value)?.parse()?,
            None => 0,
        };
        let status = response.code.unwrap_or_default();
        // The rest of the body, whose length is known now.
        let missing = (head + length).saturating_sub(buffer.len());
        let have = buffer.len();
        buffer.resize(have + missing, 0);
        stream.read_exact(&mut buffer[have..])?;
        return Ok(status);
    }
}

fn tell(schedule: &Schedule, all: Vec<Seen>) {
    let seconds = schedule.begun.elapsed().as_secs_f64();
    let mut latencies = Vec::new();
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for seen in all {
        latencies.extend(seen.latencies);
        for (status, count) in seen.statuses {
            *statuses.entry(status.to_string()).or_default() += count;
        }
    }
    latencies.sort_unstable();
    let at = |per_mille: usize| {
        let index = (latencies.len() * per_mille / 1_000).min(latencies.len().saturating_sub(1));
        latencies.get(index).map(Duration::as_micros)
    };
    let told = json!({
        "answers": latencies.len(), "seconds": seconds,
        "statuses": statuses, "p50_us": at(500), "p95_us": at(950), "p99_us": at(990), "max_us": at(1_000)
    });
    println!("{told}");
}

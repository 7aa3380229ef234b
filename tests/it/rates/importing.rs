use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use wealth_companion::clock::Clock;
use wealth_companion::domain::exchange::PublicRate;
use wealth_companion::operator::rates::ecb::{self, BadSheet, Format, Sheet};
use wealth_companion::store::rates::public;

use super::{bring_in, file, quote};
use crate::support::chain::noon;
use crate::support::process::Process;
use crate::support::{Rows, World};

const FILES: [&str; 4] = [
    "eurofxref.csv",
    "eurofxref-hist.csv",
    "eurofxref-daily.xml",
    "eurofxref-hist-90d.xml",
];

fn read(bytes: &[u8]) -> Result<Sheet, BadSheet> {
    ecb::read(bytes, Format::of(bytes), noon().date_naive())
}

/// The rates of a day, in one line each.
fn of_day(sheet: &Sheet, date: &str) -> Vec<String> {
    let on_day = |it: &&PublicRate| it.date.to_string() == date;
    let rates = sheet.rates().iter().filter(on_day);
    rates
        .map(|it| format!("{} {}", it.currency, it.rate))
        .collect()
}

#[test]
fn every_file_of_the_bank_says_the_same_of_a_day() {
    let day = "2026-02-10";
    for name in FILES {
        let sheet = read(&file(name)).expect(name);
        let of_day = of_day(&sheet, day);
        assert_eq!(of_day[..2], ["USD 1.25", "JPY 187.5"], "{name}");
    }
    let history = read(&file("eurofxref-hist.csv")).expect("good");
    assert_eq!(
        of_day(&history, "1999-01-04"),
        ["USD 1.1789", "JPY 133.73", "IDR 9433.61"]
    );
    let past: Vec<&str> = history.not_in_use().iter().map(String::as_str).collect();
    assert_eq!(past, ["CYP", "SIT"]);
    // As Windows may have saved it.
    let text = String::from_utf8(file("eurofxref-hist.csv")).expect("UTF-8");
    let saved = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(read(saved.as_bytes()), Ok(history));
}

/// What is told of a bad file, in one line.
#[track_caller]
fn told(bytes: &[u8]) -> String {
    let bad = read(bytes).expect_err("it is bad");
    bad.to_string().replace('\n', "; ")
}

#[test]
fn what_is_wrong_with_a_file_is_told_by_its_lines() {
    let csv = |lines: &str| told(format!("Date,USD,JPY,\n{lines}").as_bytes());
    for (lines, expected) in [
        ("", "line 1: there are no rates in this file"),
        (
            "2026-02-10,0,187.5,\n",
            "line 2: \"0\": a rate must be greater than zero",
        ),
        (
            "2026-02-10,1.25,-1,\n",
            "line 2: \"-1\": a rate must be greater than zero",
        ),
        (
            "2026-02-10,1.25,187.5,\n2026-02-09,1e5,N/A,\n",
            "line 3: \"1e5\": malformed rate: send decimal digits, optionally with a fraction after a point, such as 1.0842",
        ),
        (
            "0000-01-01,1,1,\n",
            "line 2: 0000-01-01 is no day of rates: they are from 1999-01-01 to 2026-02-10",
        ),
        (
            "9999-12-31,1,1,\n",
            "line 2: 9999-12-31 is no day of rates: they are from 1999-01-01 to 2026-02-10",
        ),
        (
            "2026-02-11,1,1,\n",
            "line 2: 2026-02-11 is no day of rates: they are from 1999-01-01 to 2026-02-10",
        ),
        ("2026-02-30,1,1,\n", "line 2: \"2026-02-30\" is no day"),
        ("10.02.2026,1,1,\n", "line 2: \"10.02.2026\" is no day"),
        (
            "2026-02-10,1.25,187\n",
            "line 2: 3 columns, and 4 in the first line",
        ),
        (
            "2026-02-10,1.25,187,1\n",
            "line 2: \"1\" stands in a column without a name",
        ),
        (
            "2026-02-10,1,1,\n2026-02-10,N/A,1,\n",
            "line 3: JPY of 2026-02-10 stands here twice",
        ),
        // Several, and an empty line is counted.
        (
            "\nyesterday,1,1,\n2026-02-10,x,0,\n",
            "line 3: \"yesterday\" is no day; line 4: \"x\": malformed rate: send decimal digits, optionally with a \
             fraction after a point, such as 1.0842; line 4: \"0\": a rate must be greater than zero",
        ),
    ] {
        assert_eq!(csv(lines), expected, "{lines}");
    }
    for (bytes, expected) in [
        (&b""[..], "line 1: there are no rates in this file"),
        (
            b"hello",
            "line 1: the first column is not Date: this is no file of rates",
        ),
        (
            b"PK\x03\x04rest",
            "line 1: this is a zip file: unzip it first",
        ),
        (b"Date,USD,USD\n", "line 1: two columns are \"USD\""),
        (b"Date,dollars\n", "line 1: \"dollars\" is no currency"),
        (
            b"Date,EUR\n",
            "line 1: rates of the euro are of other currencies",
        ),
        (b"Date,USD\n\xff\xfe,1\n", "line 2: it is no text"),
        (
            b"<html><body>no</body></html>",
            "line 1: there are no rates in this file",
        ),
    ] {
        assert_eq!(told(bytes), expected);
    }
    let many = format!("Date,USD\n{}", "2026-02-10,0\n".repeat(30));
    let many = told(many.as_bytes());
    assert!(
        many.starts_with("line 2: ")
            && many.ends_with("line 21: \"0\": a rate must be greater than zero; and 10 more"),
        "{many}"
    );
    let long = told(format!("Date,USD\n{},1\n", "x\u{1b}".repeat(50_000)).as_bytes());
    assert!(long.len() < 300 && !long.contains('\u{1b}'), "{long}");
}

#[test]
fn the_same_of_xml() {
    let good = String::from_utf8(file("eurofxref-daily.xml")).expect("UTF-8");
    for (good_part, bad_part, expected) in [
        (
            "rate='1.25'",
            "rate='0'",
            "line 9: \"0\": a rate must be greater than zero",
        ),
        (
            "currency='USD'",
            "currency='US'",
            "line 9: \"US\" is no currency",
        ),
        (
            "currency='USD' ",
            "",
            "line 9: a rate without a currency, or the other way round",
        ),
        (
            "currency='USD'",
            "currency='JPY'",
            "line 10: JPY of 2026-02-10 stands here twice",
        ),
        (
            "2026-02-10",
            "9999-12-31",
            "line 8: 9999-12-31 is no day of rates: they are from 1999-01-01 to 2026-02-10",
        ),
        (
            "time='2026-02-10'",
            "time='now'",
            "line 8: \"now\" is no day",
        ),
        (
            "rate='1.25'",
            "rate='1.25' rate='1.3'",
            "line 9: an attribute is malformed",
        ),
    ] {
        let bad = good.replacen(good_part, bad_part, 1);
        assert_ne!(bad, good);
        assert_eq!(told(bad.as_bytes()), expected, "{bad_part}");
    }
    let no_day = good.replace(" time='2026-02-10'", "");
    assert!(told(no_day.as_bytes()).starts_with("line 9: a rate without a day; line 10: "));
    // A download that broke off, wherever it did.
    let whole = good.trim_end();
    for length in 1..whole.len() {
        assert!(
            read(&whole.as_bytes()[..length]).is_err(),
            "{length} bytes were taken"
        );
    }
    assert!(read(whole.as_bytes()).is_ok());
}

#[tokio::test]
async fn the_same_file_changes_nothing_and_a_correction_what_it_corrects() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let ada = world.register("ada").await;
    let store = world.store().await;
    let counted = |done: &wealth_companion::operator::rates::Imported| {
        let it = done.rates;
        (done.days, done.currencies, it.new, it.changed, it.same)
    };
    let first = bring_in(&store, &file("eurofxref-hist.csv")).await;
    assert_eq!(counted(&first), (5, 5, 22, 0, 0));
    assert_eq!(
        (first.first.to_string(), first.last.to_string()),
        ("1999-01-04".to_owned(), "2026-02-10".to_owned())
    );
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    let again = bring_in(&store, &file("eurofxref-hist.csv")).await;
    assert_eq!(counted(&again), (5, 5, 0, 0, 22));
    for name in FILES {
        let done = bring_in(&store, &file(name)).await;
        assert_eq!((done.rates.new, done.rates.changed), (0, 0), "{name}");
    }
    rows.unchanged(&before, "files that say the same").await;

    let corrected = String::from_utf8(file("eurofxref-daily.xml")).expect("UTF-8");
    let corrected = corrected.replace("'1.25'", "'1.26'");
    let done = bring_in(&store, corrected.as_bytes()).await;
    assert_eq!(counted(&done), (1, 4, 0, 1, 3));
    assert_eq!(
        quote(&ada, "to=USD").await,
        "1 EUR = 1.26 USD of 2026-02-10 ecb"
    );
    let kept = public::kept(store.reads()).await.expect("rates");
    let told: Vec<String> = kept
        .iter()
        .map(|it| {
            format!(
                "{} {} {} {} {}",
                it.currency, it.first, it.last, it.days, it.rate
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "BRL 2025-12-31 2026-02-10 4 6.25",
            "IDR 1999-01-04 2026-02-10 5 20937.5",
            "ILS 2025-12-31 2026-02-09 3 3.7",
            "JPY 1999-01-04 2026-02-10 5 187.5",
            "USD 1999-01-04 2026-02-10 5 1.26",
        ]
    );
}

/// More rates than one unit of work writes.
#[tokio::test]
async fn a_long_history_is_brought_in_piece_by_piece() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let mut text = "Date,USD,JPY,BRL\n".to_owned();
    let last = noon().date_naive();
    for day in last.iter_days().rev().take(1_700) {
        text.push_str(&format!("{day},1.1,180.5,6.1\n"));
    }
    let store = world.store().await;
    for (new, same) in [(5_100, 0), (0, 5_100)] {
        let done = bring_in(&store, text.as_bytes()).await;
        assert_eq!(
            (done.rates.new, done.rates.same, done.days),
            (new, same, 1_700)
        );
    }
}

/// The real binary on the database of a world.
fn run(world: &World, args: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Process::command(world.data_dir.path(), &[]);
    command.args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    // Whoever reads a file reads no pipe.
    let _ = pipe.write_all(input.unwrap_or_default());
    drop(pipe);
    child.wait_with_output().expect("it ends")
}

#[track_caller]
fn said(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_brings_rates_in_beside_a_running_server() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let ada = world.register("ada").await;
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| {
        let path = folder.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    };
    assert_eq!(
        said(&run(&world, &["rates", "list"], None)),
        "0 currencies\n"
    );

    // A bad file first: nothing of it is there.
    let bad = path("bad.csv");
    std::fs::write(&bad, "Date,USD,JPY\n2026-02-10,1.25,187.5\n2026-02-09,0,\n").expect("a file");
    let rows = Rows::of(&world).await;
    let before = rows.all().await;
    let told = refused(&run(&world, &["rates", "import", &bad], None));
    assert_eq!(
        told,
        format!(
            "wealth-companion: {bad}: nothing was written: line 3: \"0\": a rate must be greater than zero\n"
        )
    );
    for (args, word) in [
        (
            &["rates", "import", "none.csv"][..],
            "none.csv: No such file",
        ),
        (&["rates", "import", "/"], "/: Is a directory"),
        (
            &["rates", "import", "-"],
            "standard input: nothing was written: line 1: there are no rates",
        ),
        (
            &["rates", "import", "ftp://127.0.0.1/x"],
            "ftp is not known",
        ),
        (&["rates", "import", "http://127.0.0.1/x"], "--allow-http"),
        (
            &["rates", "import", "--format", "xml", &bad],
            "nothing was written",
        ),
    ] {
        let told = refused(&run(&world, args, None));
        assert!(told.contains(word), "{args:?}: {told}");
    }
    rows.unchanged(&before, "bad files").await;

    let good = path("hist.csv");
    std::fs::write(&good, file("eurofxref-hist.csv")).expect("a file");
    assert_eq!(
        said(&run(&world, &["rates", "import", &good], None)),
        "5 currencies, 5 days from 1999-01-04 to 2026-02-10: 22 rates new, 0 changed, 0 the same\n\
         in use no more, and passed over: CYP, SIT\n"
    );
    assert_eq!(
        quote(&ada, "to=USD").await,
        "1 EUR = 1.25 USD of 2026-02-10 ecb"
    );
    let piped = file("eurofxref-daily.xml");
    let piped = said(&run(
        &world,
        &["rates", "import", "-", "--json"],
        Some(&piped),
    ));
    let piped: Value = serde_json::from_str(&piped).expect("JSON");
    assert_eq!(
        piped,
        json!({
            "days": 1, "first": "2026-02-10", "last": "2026-02-10", "currencies": 4,
            "new": 0, "changed": 0, "same": 4, "not_in_use": []
        })
    );
    let table = said(&run(&world, &["rates", "list"], None));
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(
        lines[0],
        "currency  days  first       last        a euro then"
    );
    assert_eq!(lines[5], "USD          5  1999-01-04  2026-02-10  1.25");
    assert_eq!(lines[6], "5 currencies");
    let listed = said(&run(&world, &["rates", "list", "--json"], None));
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(
        listed[4],
        json!({"currency": "USD", "first": "1999-01-04", "last": "2026-02-10", "days": 5, "rate": "1.25"})
    );
}

/// A web server that gives each who asks one of these answers, in turn.
fn serve(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("somebody asks");
            asked(&mut stream);
            // Whoever has heard enough goes away.
            let _ = stream.write_all(&answer);
        }
    });
    url
}

/// Reads a request to its end.
fn asked(stream: &mut TcpStream) {
    let mut request = Vec::new();
    let mut part = [0; 1_024];
    while !request.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut part).expect("a request");
        assert!(count > 0, "it breaks off");
        request.extend_from_slice(&part[..count]);
    }
}

fn answer(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_has_them_or_it_is_said_what_it_has() {
    let world = World::with(&[], Clock::fixed(noon())).await;
    let good = file("eurofxref-hist-90d.xml");
    let mut torn = answer("200 OK", &good);
    torn.truncate(torn.len() - 20);
    let endless = {
        let mut head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
        head.resize(head.len() + (65 << 20), b' ');
        head
    };
    let url = serve(vec![
        answer("404 Not Found", b"no"),
        answer("200 OK", b"<html><body>Please sign in</body></html>"),
        torn,
        endless,
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        answer("200 OK", &good),
    ]);
    let import = || run(&world, &["rates", "import", "--allow-http", &url], None);
    for word in [
        "the server answers 404",
        "there are no rates in this file",
        "",
        "more than 64 MiB",
    ] {
        let told = refused(&import());
        assert!(told.contains(&url) && told.contains(word), "{word}: {told}");
    }
    assert_eq!(
        said(&run(&world, &["rates", "list"], None)),
        "0 currencies\n"
    );
    assert_eq!(
        said(&import()),
        "2 currencies, 2 days from 2026-02-09 to 2026-02-10: 4 rates new, 0 changed, 0 the same\n"
    );
    // Nobody is there any more.
    let told = refused(&import());
    assert!(told.contains(&url), "{told}");
}

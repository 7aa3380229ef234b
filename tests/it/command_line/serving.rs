use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use super::{binary, folder, refused, run};

/// A server that runs as a process of its own; it is killed when the test is over.
struct Server {
    child: Child,
    /// The line of the log that says where it listens.
    ready: Value,
}

impl Server {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = binary(folder, &[], args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("its stdout");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let ready = lines
            .find(|line| line.contains("\"ready\""))
            .expect("it says that it is ready");
        // Its log must have a reader until the end.
        std::thread::spawn(move || lines.count());
        let ready = serde_json::from_str(&ready).expect("JSON");
        Self { child, ready }
    }

    /// Where it listens, `IP:PORT`.
    fn address(&self, listener: &str) -> String {
        let url = self.ready[listener]
            .as_str()
            .unwrap_or_else(|| panic!("{}", self.ready));
        url.strip_prefix("http://").expect("a URL").to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const FREE_PORTS: [&str; 4] = [
    "--set",
    "http.public_addr=127.0.0.1:0",
    "--set",
    "http.internal_addr=127.0.0.1:0",
];

/// One line that names the key.
#[track_caller]
fn assert_one_line(errors: &str, key: &str) {
    assert_eq!(errors.lines().count(), 1, "{errors}");
    assert!(
        errors.starts_with(&format!("wealth-companion: {key}: ")),
        "{errors}"
    );
}

#[test]
fn a_port_in_use_is_named() {
    let here = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    for key in ["http.public_addr", "http.internal_addr"] {
        let set = format!("{key}={address}");
        let args = [&FREE_PORTS[..], &["--set", &set]].concat();
        let errors = refused(&run(here.path(), &[], &args), 1);
        assert_one_line(&errors, key);
        assert!(
            errors.contains(&address) && errors.contains("another port"),
            "{errors}"
        );
    }
}

#[test]
fn a_data_folder_that_cannot_be_is_named() {
    let here = folder();
    std::fs::write(here.path().join("file"), "").expect("a file");
    let args = [&FREE_PORTS[..], &["--data-dir", "file/below"]].concat();
    let errors = refused(&run(here.path(), &[], &args), 1);
    assert_one_line(&errors, "data_dir");
    assert!(errors.contains("file/below"), "{errors}");
    // A folder in which nothing can be made, whoever runs the test.
    std::fs::create_dir_all(here.path().join("data/wealth.db")).expect("a folder in the way");
    let errors = refused(&run(here.path(), &[], &FREE_PORTS), 1);
    assert_one_line(&errors, "database.url");
}

#[tokio::test]
async fn a_second_instance_on_the_same_ports_leaves_the_first_alone() {
    let here = folder();
    let first = Server::start(here.path(), &FREE_PORTS);
    let (public, internal) = (first.address("api"), first.address("internal"));
    let sets = [
        format!("http.public_addr={public}"),
        format!("http.internal_addr={internal}"),
    ];
    let args = ["--set", &sets[0], "--set", &sets[1]];
    let errors = refused(&run(here.path(), &[], &args), 1);
    assert_one_line(&errors, "http.internal_addr");
    assert!(errors.contains("another instance"), "{errors}");

    let ready = reqwest::get(format!("http://{internal}/readyz"))
        .await
        .expect("an answer");
    assert_eq!(ready.status(), 200, "the first still serves");
    drop(first);

    // The same folder again, after a sudden end.
    let again = Server::start(here.path(), &args);
    assert_eq!(again.address("api"), public);
    let document = reqwest::get(format!("http://{public}/openapi.json"))
        .await
        .expect("an answer");
    assert_eq!(document.status(), 200);
}

#[tokio::test]
async fn a_role_alone_opens_only_what_it_needs() {
    let here = folder();
    let args = [&FREE_PORTS[..], &["--role", "projector"]].concat();
    let server = Server::start(here.path(), &args);
    assert_eq!(server.ready["api"], Value::Null, "{}", server.ready);
    let url = format!("http://{}/livez", server.address("internal"));
    assert_eq!(reqwest::get(url).await.expect("an answer").status(), 200);
    assert!(
        !here.path().join("data/jwt_secret_key").exists(),
        "it signs nothing"
    );
}

#[test]
fn a_demo_that_forgets_leaves_nobody_behind() {
    let here = folder();
    let server = Server::start(here.path(), &FREE_PORTS);
    let url = format!("http://{}", server.address("api"));
    let played = run(here.path(), &[], &["demo", "--forget", "--url", &url]);
    let told = String::from_utf8_lossy(&played.stdout);
    assert!(played.status.success(), "{told}");
    assert!(
        told.contains("the household and its books are deleted"),
        "{told}"
    );
    for line in [
        "350.00 go from Checking to Credit card, and are not spent",
        "64.80 at Elm Street Pharmacy, Health 24.90 and Shopping 39.90",
        "from Checking to Cash: today's is booked, the next comes on 20",
        "450.00 of 1800.00 put aside, 25 %",
        "bookings would change; now they have",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert!(!told.contains("password"), "{told}");
    drop(server);
    let verified = run(here.path(), &[], &["verify"]);
    let told = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{told}");
    assert!(told.contains("0 users"), "{told}");
}

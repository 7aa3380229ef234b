//! Somebody who uses the API.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use wealth_companion::store::event_log::LogPosition;

use super::world::PASSWORD;
use super::{Stack, World, mailbox, until};

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The JSON of the body; a string for what is no JSON, null for nothing.
    pub(crate) body: Value,
}

impl Answer {
    /// Sends the request.
    pub(crate) async fn to(request: RequestBuilder) -> Self {
        Self::read(request.send().await.expect("an answer")).await
    }

    /// Reads an answer to its end.
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        Self::try_read(response).await.expect("a body")
    }

    /// The same; none where it breaks off.
    pub(crate) async fn try_read(response: reqwest::Response) -> Option<Self> {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let text = response.text().await.ok()?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        };
        Some(Self {
            status,
            headers,
            body,
        })
    }

    /// A header, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// How many requests are left, as the headers tell.
    #[track_caller]
    pub(crate) fn requests_left(&self) -> u32 {
        let state = self.header("ratelimit");
        let left = state.strip_prefix("\"user\";r=").expect(state);
        left.split(';')
            .next()
            .expect("a number")
            .parse()
            .expect(state)
    }

    /// A text of the body.
    pub(crate) fn text(&self, key: &str) -> String {
        self.body[key]
            .as_str()
            .unwrap_or_else(|| panic!("no {key} in {self:?}"))
            .to_owned()
    }

    /// The id of what was created.
    pub(crate) fn id(&self) -> String {
        self.text("id")
    }

    /// Asserts the status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Asserts a problem+json with this status and the last word of its type.
    #[track_caller]
    pub(crate) fn problem(self, status: u16, slug: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(
            answer.body["type"],
            format!("urn:wealth-companion:problem:{slug}")
        );
        assert_eq!(answer.body["status"], status);
        assert_eq!(answer.body["instance"], answer.header("x-request-id"));
        answer
    }
}

/// Somebody with a session.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
    url: String,
    http: reqwest::Client,
}

impl Person {
    /// Whose session the answer of a sign-in carries.
    pub(crate) fn new(world: &World, session: &Value) -> Self {
        Self::signed_in(&world.url, &world.http, session)
    }

    /// The same, at this address.
    pub(crate) fn signed_in(url: &str, http: &reqwest::Client, session: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Self {
            id: text(&session["user"]["id"]),
            email: text(&session["user"]["email"]),
            token: text(&session["access_token"]),
            refresh_token: text(&session["refresh_token"]),
            url: url.to_owned(),
            http: http.clone(),
        }
    }

    /// The same person, who signs in once more: from elsewhere, or since access has run out.
    pub(crate) async fn signed_in_again(&self, world: &World) -> Self {
        let login = json!({"email": self.email, "password": PASSWORD});
        let session = world.post("/v1/auth/login", &login).await.expect(200);
        Self::new(world, &session.body)
    }

    /// A script of this person, which comes in with this token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }

    /// The same person after the server has come back at another address.
    pub(crate) fn follows(&self, url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ..self.clone()
        }
    }

    /// The same person and session at another server.
    pub(crate) fn at(&self, world: &World) -> Self {
        Self {
            url: world.url.clone(),
            http: world.http.clone(),
            ..self.clone()
        }
    }

    /// A request of this person, to be completed.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.url))
            .bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(Method::POST, path).json(body)).await
    }

    /// With an Idempotency-Key.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("Idempotency-Key", key)
            .json(body);
        Answer::to(request).await
    }

    /// Of any version.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        Answer::to(
            self.request(Method::PATCH, path)
                .header("If-Match", "*")
                .json(body),
        )
        .await
    }

    /// Of any version.
    pub(crate) async fn delete(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::DELETE, path).header("If-Match", "*")).await
    }

    /// Shows that the address is theirs: waits for the mail of the stack's server that asks, and presses the button
    /// behind its link. Gives the answer.
    pub(crate) async fn confirms(&self) -> Answer {
        let asked = || {
            let letters = mailbox::came_for(Stack::get(), &self.email);
            let asked = letters.iter().rev().find_map(|letter| letter.question());
            asked.map(ToOwned::to_owned)
        };
        until("the address is asked for", || async { asked().is_some() }).await;
        let path = asked().expect("a link");
        Answer::to(self.http.post(format!("{}{path}", self.url))).await
    }

    /// A bank wallet; gives its id.
    pub(crate) async fn wallet(&self, name: &str, currency: &str, opening: &str) -> String {
        let body =
            json!({"name": name, "type": "bank", "currency": currency, "opening_balance": opening});
        self.post("/v1/wallets", &body).await.expect(201).id()
    }

    /// The id of a usual category.
    pub(crate) async fn category(&self, name: &str) -> String {
        let list = self.get("/v1/categories?limit=200").await.expect(200);
        let items = list.body["items"].as_array().expect("items");
        let found = items.iter().find(|item| item["name"] == name);
        found.unwrap_or_else(|| panic!("no category {name}"))["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    }

    /// A monthly budget in US dollars, told at 80 and 100 percent; gives its id.
    pub(crate) async fn budget(&self, categories: &[&str], amount: &str) -> String {
        let body = json!({
            "name": "Budget", "category_ids": categories, "amount": amount, "currency": "USD",
            "period": "monthly"
        });
        self.post("/v1/budgets", &body).await.expect(201).id()
    }

    /// Books an expense.
    pub(crate) async fn spend(
        &self,
        wallet: &str,
        category: &str,
        amount: &str,
        date: &str,
    ) -> Answer {
        let body = json!({
            "wallet_id": wallet, "category_id": category, "type": "expense", "amount": amount, "date": date
        });
        self.post("/v1/transactions", &body).await.expect(201)
    }

    /// All items of a list, page by page.
    pub(crate) async fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let join = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{join}limit={limit}");
        let (mut items, mut next) = (Vec::new(), first.clone());
        loop {
            let page = self.get(&next).await.expect(200);
            let on_page = page.body["items"].as_array().expect("items");
            assert!(on_page.len() <= limit, "{page:?}");
            items.extend(on_page.iter().cloned());
            assert!(items.len() <= 1_000, "{path} has no end");
            match page.body["next_cursor"].as_str() {
                Some(cursor) => next = format!("{first}&cursor={cursor}"),
                None => return items,
            }
        }
    }

    /// What the read models show once they have reached the position of a write.
    pub(crate) async fn get_after(&self, path: &str, write: &Answer) -> Answer {
        let position = write.header("x-log-position");
        let join = if path.contains('?') { '&' } else { '?' };
        self.get(&format!("{path}{join}wait_for={position}"))
            .await
            .expect(200)
    }

    /// Waits until the read models show a write. Fails after ten seconds.
    pub(crate) async fn sees(&self, write: &Answer) {
        let place = |answer: &Answer| -> LogPosition {
            let text = answer.header("x-log-position");
            text.parse().expect("a place in the log")
        };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            // One request waits for two seconds, which a busy machine may take.
            let shown = self.get_after("/v1/budgets", write).await;
            if place(&shown) >= place(write) {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{shown:?}");
        }
    }

    /// Waits until as many alerts are listed; gives them, newest first. Fails after ten seconds.
    pub(crate) async fn alerts(&self, count: usize) -> Vec<Value> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        loop {
            let list = self.get("/v1/alerts?limit=200").await.expect(200);
            let items = list.body["items"].as_array().expect("items").clone();
            if items.len() >= count || tokio::time::Instant::now() > deadline {
                assert_eq!(items.len(), count, "{items:?}");
                return items;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Opens the live stream, from after an event if one is given.
    pub(crate) async fn follow(&self, last_event_id: Option<&str>) -> Stream {
        let response = self.stream(last_event_id).send().await;
        let response = response.expect("an answer");
        assert_eq!(response.status(), 200, "{:?}", response.text().await);
        let mut stream = Stream::of(response);
        let hello = stream.block().await.expect("a first block");
        assert!(hello.contains(": connected"), "{hello}");
        stream
    }

    /// The same; none where nobody answers, or not now.
    pub(crate) async fn try_to_follow(&self, last_event_id: Option<&str>) -> Option<Stream> {
        let response = self.stream(last_event_id).send().await.ok()?;
        (response.status() == 200).then(|| Stream::of(response))
    }

    fn stream(&self, last_event_id: Option<&str>) -> RequestBuilder {
        let request = self.request(Method::GET, "/v1/alerts/stream");
        match last_event_id {
            Some(id) => request.header("Last-Event-ID", id),
            None => request,
        }
    }
}

/// An open stream of server-sent events.
pub(crate) struct Stream {
    chunks: futures_util::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    read: String,
}

impl Stream {
    fn of(response: reqwest::Response) -> Self {
        Self {
            chunks: response.bytes_stream().boxed(),
            read: String::new(),
        }
    }

    /// A block that is read to its end.
    fn whole(&mut self) -> Option<String> {
        let end = self.read.find("\n\n")?;
        let rest = self.read.split_off(end + 2);
        Some(std::mem::replace(&mut self.read, rest))
    }

    fn take(&mut self, chunk: &[u8]) {
        self.read
            .push_str(std::str::from_utf8(chunk).expect("UTF-8"));
    }

    /// The next block, up to an empty line; none at the end. Fails after ten seconds.
    pub(crate) async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(block) = self.whole() {
                return Some(block);
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.chunks.next())
                .await
                .expect("something within ten seconds")?;
            self.take(&chunk.expect("the stream is whole"));
        }
    }

    /// The next alert with its event id, passing over heartbeats; none at the end.
    pub(crate) async fn alert(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some(alert) = alert_of(&self.block().await?) {
                return Some(alert);
            }
        }
    }

    /// The same, however long it takes; none also where the stream breaks off.
    pub(crate) async fn alert_or_end(&mut self) -> Option<(String, Value)> {
        loop {
            while let Some(block) = self.whole() {
                if let Some(alert) = alert_of(&block) {
                    return Some(alert);
                }
            }
            let chunk = self.chunks.next().await?.ok()?;
            self.take(&chunk);
        }
    }
}

/// An alert with its event id; none of a heartbeat.
fn alert_of(block: &str) -> Option<(String, Value)> {
    let field = |name: &str| {
        let value = block.lines().find_map(|line| line.strip_prefix(name));
        value.map(str::trim)
    };
    let (id, data) = (field("id:")?, field("data:")?);
    Some((id.to_owned(), serde_json::from_str(data).expect("JSON")))
}

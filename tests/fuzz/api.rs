//! The API in this process, and somebody who asks it.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use actix_web::middleware::from_fn;
use actix_web::test::{self, TestRequest};
use actix_web::{App, web};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wealth_companion::api::{self, Api};
use wealth_companion::http::request::{self, Leaving};

use crate::Ground;

/// How often somebody new is registered before the database is emptied.
const PEOPLE_MAX: u32 = 10_000;

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub media_type: String,
    pub location: Option<String>,
    pub body: String,
}

impl Answer {
    /// The body, which is JSON.
    ///
    /// # Panics
    /// It is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that it is a problem as the API describes them.
    ///
    /// # Panics
    /// It is none.
    pub fn is_problem(&self) {
        let problem = self.json();
        assert_eq!(self.media_type, "application/problem+json", "{self:?}");
        assert_eq!(problem["status"], json!(self.status), "{self:?}");
        for member in ["type", "title", "detail", "instance"] {
            assert!(
                problem[member].as_str().is_some_and(|it| !it.is_empty()),
                "{member}: {self:?}"
            );
        }
        for error in problem["errors"].as_array().into_iter().flatten() {
            let pointer = error["pointer"].as_str().expect("a pointer");
            assert!(
                pointer.is_empty() || pointer.starts_with(['/', '?']),
                "{self:?}"
            );
            assert!(
                error["detail"].as_str().is_some_and(|it| !it.is_empty()),
                "{self:?}"
            );
        }
    }
}

type Server = Box<dyn Fn(TestRequest) -> Pin<Box<dyn Future<Output = Answer>>>>;

/// Somebody who is signed in, with nothing but what everybody has and a wallet.
pub struct Person {
    ground: Ground,
    server: Server,
    token: String,
    pub refresh_token: String,
    pub email: String,
    pub wallet: Value,
    pub category: Value,
    registered: u32,
}

pub const PASSWORD: &str = "correct horse battery";

impl Person {
    #[must_use]
    pub fn new() -> Self {
        let ground = Ground::new();
        let config = Arc::new(ground.config.clone());
        let (store, clock, ids) = (
            ground.store.clone(),
            ground.clock.clone(),
            ground.ids.clone(),
        );
        let api =
            Api::new(store, config, clock, ids, CancellationToken::new(), None).expect("the API");
        let server = server(&ground, web::Data::new(api));
        let mut person = Self {
            ground,
            server,
            token: String::new(),
            refresh_token: String::new(),
            email: String::new(),
            wallet: Value::Null,
            category: Value::Null,
            registered: 0,
        };
        person.renew();
        person
    }

    /// Somebody new, so that nothing is left of what was done.
    pub fn renew(&mut self) {
        if self.registered >= PEOPLE_MAX {
            *self = Self::new();
            return;
        }
        self.registered += 1;
        self.email = format!("ada{}@example.com", self.registered);
        self.token.clear();
        let made = self.made(
            "/v1/auth/register",
            &json!({"email": self.email, "password": PASSWORD, "currency": "USD"}),
        );
        made["access_token"]
            .as_str()
            .expect("a token")
            .clone_into(&mut self.token);
        made["refresh_token"]
            .as_str()
            .expect("a token")
            .clone_into(&mut self.refresh_token);
        self.wallet = self.made(
            "/v1/wallets",
            &json!({"name": "Checking", "type": "bank", "currency": "USD"}),
        );
        self.category = self.made(
            "/v1/categories",
            &json!({"name": "Bicycle", "kind": "expense"}),
        );
    }

    /// What is answered to a POST that makes something.
    ///
    /// # Panics
    /// It does not.
    pub fn made(&mut self, path: &str, body: &Value) -> Value {
        let answer = self.send("POST", path, Some(body.to_string().as_bytes()));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// Sends a request, any version of what it changes.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> Answer {
        let mut request = TestRequest::with_uri(path)
            .method(method.parse().expect("a method"))
            .peer_addr(([127, 0, 0, 1], 1).into())
            .insert_header((IF_MATCH, "*"));
        if !self.token.is_empty() {
            request = request.insert_header((AUTHORIZATION, format!("Bearer {}", self.token)));
        }
        if let Some(body) = body {
            request = request
                .insert_header((CONTENT_TYPE, "application/json"))
                .set_payload(body.to_vec());
        }
        self.ground.runtime.block_on((self.server)(request))
    }
}

/// The routes with all that surrounds them, made once: that takes longer than most requests.
fn server(ground: &Ground, api: web::Data<Api>) -> Server {
    let app = App::new()
        .app_data(api)
        .app_data(web::Data::new(ground.config.http.clone()))
        .app_data(web::Data::new(ground.clock.clone()))
        .app_data(web::Data::new(ground.ids.clone()))
        .app_data(web::Data::new(Leaving(CancellationToken::new())))
        .configure(api::routes)
        .wrap(from_fn(request::surround));
    let app = Rc::new(ground.runtime.block_on(test::init_service(app)));
    Box::new(move |request| {
        let app = Rc::clone(&app);
        Box::pin(async move { read(test::call_service(&*app, request.to_request()).await).await })
    })
}

async fn read<B: MessageBody>(answer: ServiceResponse<B>) -> Answer {
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        Some(value.to_str().expect("ASCII").to_owned())
    };
    let media_type = header("content-type").unwrap_or_default();
    let location = header("location");
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body())
        .await
        .unwrap_or_else(|_| panic!("the answer breaks off"));
    Answer {
        status,
        media_type,
        location,
        body: String::from_utf8(body.to_vec()).expect("UTF-8"),
    }
}

impl Default for Person {
    fn default() -> Self {
        Self::new()
    }
}

//! What keeps strangers out and secrets in. The walks go over the OpenAPI document, so that a new
//! route is covered by itself. docs/security.md says what else is tested, and where.

/// What browsers are told, and that other origins are told nothing.
mod browsers;
/// What is sent comes out nowhere else.
mod canary;
/// Which doors are open, and what opens the others.
mod doors;
/// That an address which nobody has costs what one costs that somebody has.
mod hashing;
/// Clients that take their time.
mod slow;
/// Requests that two servers would read in two ways.
mod smuggling;
/// URLs that somebody could name.
mod urls;

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::support::{Document, Operation, Person, Things, World};

/// Somebody who has one of everything, and the routes to ask for it.
struct Story {
    world: World,
    document: Document,
    ada: Person,
    things: Things,
}

impl Story {
    async fn begin() -> Self {
        let world = World::start().await;
        let document = Document::of(&world).await;
        let ada = world.register("ada").await;
        let things = Things::of(&ada, &document).await;
        Self {
            world,
            document,
            ada,
            things,
        }
    }

    /// The operation on what she has, by nobody yet.
    fn request(&self, operation: &Operation) -> RequestBuilder {
        let request = self.head(operation);
        let Some(schema) = &operation.body else {
            return request;
        };
        let mut body = self.things.example(schema);
        if let Some(token) = body.get_mut("refresh_token") {
            *token = json!(self.ada.refresh_token);
        }
        request.json(&body)
    }

    /// The same with another body.
    fn with_body(
        &self,
        operation: &Operation,
        media: &'static str,
        body: &'static str,
    ) -> RequestBuilder {
        self.head(operation)
            .header("Content-Type", media)
            .body(body)
    }

    fn head(&self, operation: &Operation) -> RequestBuilder {
        let url = format!("{}{}", self.world.url, path_of(operation, &self.things));
        let request = self.world.http.request(operation.method.clone(), url);
        match operation.method {
            Method::PATCH | Method::DELETE => request.header("If-Match", "*"),
            _ => request,
        }
    }
}

/// The path of somebody's thing, or of the collection.
fn path_of(operation: &Operation, things: &Things) -> String {
    if operation.path.contains('{') {
        operation.path_of(things)
    } else {
        operation.path.clone()
    }
}

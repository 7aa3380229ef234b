use super::calls::{self, Call, Owner};
use super::operation::{Document, Operation};
use crate::support::{Answer, World};

/// What is asked for and does not exist.
const NOBODYS: &str = "01920000-0000-7000-8000-0000000000ff";

/// Ways to call an operation wrongly, each with the status that it leads to.
fn wrong_calls(operation: &Operation, good: &Call) -> Vec<(u16, Call)> {
    let mut wrong = Vec::new();
    let mut add = |status: u16, spoil: &dyn Fn(&mut Call)| {
        let mut call = good.clone();
        spoil(&mut call);
        wrong.push((status, call));
    };
    let takes = |place: &str| {
        operation
            .parameters()
            .iter()
            .any(|parameter| parameter["in"] == place)
    };
    let has_header = |name: &str| {
        operation
            .parameters()
            .iter()
            .any(|parameter| parameter["name"] == name)
    };
    if good.token.is_some() {
        add(401, &|call| call.token = None);
        add(401, &|call| call.token = Some("a.b.c".to_owned()));
    }
    if good.body.is_some() {
        add(422, &|call| {
            call.body = Some("{\"no_such_field\": 1}".to_owned());
        });
        add(400, &|call| call.body = Some("{".to_owned()));
        add(415, &|call| call.content_type = "text/plain");
        add(413, &|call| {
            call.body = Some(format!("\"{}\"", "x".repeat(4_096)));
        });
    }
    if takes("query") {
        add(422, &|call| {
            call.query
                .push(("no_such_field".to_owned(), "1".to_owned()));
        });
    }
    if has_header("min_amount") {
        add(404, &|call| {
            call.query = [("min_amount", "1"), ("wallet_id", NOBODYS)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        });
    }
    if has_header("If-Match") {
        add(428, &|call| call.headers.clear());
        add(412, &|call| {
            call.headers = vec![("If-Match".to_owned(), "\"999\"".to_owned())];
        });
        add(422, &|call| {
            call.headers = vec![("If-Match".to_owned(), "999".to_owned())];
        });
    }
    if has_header("Idempotency-Key") {
        let long = "k".repeat(256);
        add(422, &|call| {
            call.headers = vec![("Idempotency-Key".to_owned(), long.clone())];
        });
    }
    if has_header("Last-Event-ID") {
        add(422, &|call| {
            call.headers = vec![("Last-Event-ID".to_owned(), "first".to_owned())];
        });
    }
    if takes("path") {
        let (start, end) = operation.path.split_once("{id}").expect("an id");
        add(404, &|call| call.path = format!("{start}{NOBODYS}{end}"));
        add(404, &|call| call.path = format!("{start}not-an-id{end}"));
    }
    wrong
}

async fn refused(
    world: &World,
    document: &Document,
    operation: &Operation,
    status: u16,
    call: Call,
) {
    let answer = Answer::to(call.request(world)).await;
    assert_eq!(answer.status, status, "{}: {answer:?}", operation.id);
    calls::check(document, operation, &answer);
    assert_eq!(
        answer.body["instance"],
        answer.header("x-request-id"),
        "{}",
        operation.id
    );
}

#[tokio::test]
async fn every_operation_refuses_as_it_documents() {
    let (world, document) = (calls::world().await, Document::new());
    let owner = Owner::new(&world, "ada").await;
    for operation in document.operations() {
        let good = owner.call(&document, &operation);
        for (status, call) in wrong_calls(&operation, &good) {
            refused(&world, &document, &operation, status, call).await;
        }
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there() {
    let (world, document) = (calls::world().await, Document::new());
    let ada = Owner::new(&world, "ada").await;
    let eve = Owner::new(&world, "eve").await;
    for operation in document.operations() {
        if operation.path.contains('{') {
            let mut call = ada.call(&document, &operation);
            call.token = Some(eve.person.token.clone());
            refused(&world, &document, &operation, 404, call).await;
        }
    }
}

#[tokio::test]
async fn who_cannot_sign_in_is_told_in_the_same_form() {
    let (world, document) = (calls::world().await, Document::new());
    let owner = Owner::new(&world, "eve").await;
    for operation in document.operations() {
        let mut call = owner.call(&document, &operation);
        let spoil =
            |body: Option<String>, secret: &str| body.map(|body| body.replace(secret, "wrong"));
        let status = match operation.id.as_str() {
            "login" => {
                call.body = spoil(call.body, crate::support::world::PASSWORD);
                401
            }
            "refresh" => {
                call.body = spoil(call.body, &owner.person.refresh_token);
                401
            }
            "register" => {
                Answer::to(call.clone().request(&world)).await.expect(201);
                // With the key it would be the same request, and be answered as before.
                call.headers.clear();
                409
            }
            _ => continue,
        };
        refused(&world, &document, &operation, status, call).await;
    }
}

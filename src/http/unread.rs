//! Bodies that come in chunks, and of which nobody knows how long they will be.
//!
//! The framework reads what is left of one to its end once nobody else can, before it lets go of the
//! connection, and sets no limit to that: a client could hold a connection for good by never coming to
//! an end. As long as somebody still could read, it closes the connection with the answer, as it does
//! with a body of which it knows the length. So the answer keeps the body.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest};
use actix_web::error::PayloadError;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpResponse};
use futures_util::Stream;

/// A body that is read by whom it is for, and kept by the answer.
#[derive(Clone)]
pub(super) struct Chunks(Rc<RefCell<Payload>>);

impl Chunks {
    /// That of a request; none where its body does not come in chunks.
    pub(super) fn of(request: &mut ServiceRequest) -> Option<Self> {
        if !request.chunked().unwrap_or(false) {
            return None;
        }
        let chunks = Self(Rc::new(RefCell::new(request.take_payload())));
        request.set_payload(Payload::Stream {
            payload: Box::pin(chunks.clone()),
        });
        Some(chunks)
    }

    /// The answer, which keeps the body until it is sent.
    pub(super) fn kept_by(self, mut response: HttpResponse) -> HttpResponse {
        // An answer without a body is sent with its head.
        response.extensions_mut().insert(self.clone());
        response.map_body(|_, body| {
            BoxBody::new(Keeping {
                body,
                _chunks: self,
            })
        })
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut *self.0.borrow_mut()).poll_next(context)
    }
}

/// The body of an answer.
struct Keeping {
    body: BoxBody,
    _chunks: Chunks,
}

impl MessageBody for Keeping {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

//! What went wrong when Redis was asked.

use std::fmt;

use deadpool_redis::PoolError;
use deadpool_redis::redis::{ErrorKind, RedisError, ServerErrorKind};

/// Characters of an answer's error that are worth a line: a pipeline repeats it for every command.
const CHARS_MAX: usize = 200;

/// Why there is no answer that can be used.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nothing came in time.
    TimedOut,
    /// There is no connection.
    Pool(PoolError),
    /// The connection broke, or an error was the answer.
    Redis(RedisError),
    /// The runtime ends.
    Ending,
}

impl Fault {
    /// Whether Redis turns down what it was asked for, and is well otherwise: a right that is
    /// missing, a key of another's. Asking for other things goes on.
    pub(super) fn is_refusal(&self) -> bool {
        let Self::Redis(error) = self else {
            return false;
        };
        match error.kind() {
            ErrorKind::UnexpectedReturnType => true,
            ErrorKind::Server(kind) => matches!(
                kind,
                ServerErrorKind::NoPerm
                    | ServerErrorKind::ResponseError
                    | ServerErrorKind::ExecAbort
                    | ServerErrorKind::CrossSlot
                    | ServerErrorKind::Moved
            ),
            ErrorKind::Extension => error.code() == Some("WRONGTYPE"),
            _ => false,
        }
    }

    /// Whether the connection was broken: a new one may do.
    pub(super) fn is_broken_connection(&self) -> bool {
        matches!(self, Self::Redis(error) if error.is_io_error() && !error.is_timeout())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TimedOut | Self::Pool(PoolError::Timeout(_)) => {
                return f.write_str("no answer in time");
            }
            Self::Pool(PoolError::Backend(error)) | Self::Redis(error) => error.to_string(),
            Self::Pool(error) => error.to_string(),
            Self::Ending => return f.write_str("the process ends"),
        };
        match text.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => write!(f, "{}…", &text[..end]),
            None => f.write_str(&text),
        }
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Redis(error)
        }
    }
}

impl From<PoolError> for Fault {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => error.into(),
            other => Self::Pool(other),
        }
    }
}

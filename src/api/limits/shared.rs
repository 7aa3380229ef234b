//! Limits that all replicas count together, in Redis.
//!
//! The algorithm is the local limiter's (GCRA): a key holds the time at which as much as nothing
//! would have been asked, and a request is let through if that is not too far ahead. Redis keeps it
//! by its own clock, reads and writes it in one step, and forgets it when it is past.

use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use deadpool_redis::redis::Script;

use crate::redis::Redis;

/// Takes microseconds for each request, and how many at once; gives 1 and how many are left, or 0
/// and the microseconds until one is let through. A time that is further ahead than it can be, after
/// the limit or the server's clock were changed, is brought back.
static SCRIPT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "
        local clock = redis.call('TIME')
        local now = clock[1] * 1000000 + clock[2]
        local each, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
        local full = now + each * burst
        local at = tonumber(redis.call('GET', KEYS[1]) or now)
        at = math.min(math.max(at, now), full)
        if at + each > full then
            return {0, at + each - full}
        end
        at = at + each
        redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))
        return {1, math.floor((full - at) / each)}
        ",
    )
});

/// A limit of all replicas.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    redis: Redis,
    prefix: String,
}

impl Shared {
    /// The limit of this name, among the replicas of this installation.
    pub(super) fn new(redis: &Redis, installation: &str, name: &str) -> Self {
        Self {
            redis: redis.clone(),
            prefix: format!("limit:{installation}:{name}"),
        }
    }

    /// Counts one of `count` a minute; gives how many are left, or how long to wait. None when Redis
    /// is away.
    pub(super) async fn check(
        &self,
        key: [u8; 16],
        count: NonZeroU32,
    ) -> Option<Result<u32, Duration>> {
        let name = format!("{}:{:032x}", self.prefix, u128::from_be_bytes(key));
        let each_us = 60_000_000 / count;
        let asked = self.redis.ask(|mut connection| {
            let mut call = SCRIPT.key(&name);
            call.arg(each_us).arg(count.get());
            async move { call.invoke_async::<(u8, u64)>(&mut connection).await }
        });
        let (is_let_through, number) = asked.await?;
        Some(if is_let_through == 1 {
            Ok(u32::try_from(number).unwrap_or(u32::MAX))
        } else {
            Err(Duration::from_micros(number))
        })
    }
}

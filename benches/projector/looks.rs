//! What a look for insights takes that comes after a booking, by the length of its user's history.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wealth_companion::bus::{Handler, Heard};
use wealth_companion::clock::Clock;
use wealth_companion::projector::Projector;
use wealth_companion::projector::insights::{Looked, Looker};
use wealth_companion::store::event_log;

use super::{Bench, Failure, median, psql};

/// Bookings of ten years, the last of them today: of fifty payees, in ten categories.
const HISTORIES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Looks of which the middle one is told, after some that are not.
const LOOKS: usize = 40;
const WARM_UP: usize = 5;
const EVERY: Duration = Duration::from_secs(60);

/// Prints what a look takes at each length, beside the shortest.
pub(super) async fn measure(server: &str) -> Result<(), Failure> {
    let mut shortest = None;
    for bookings in HISTORIES {
        let bench = Bench::begin(server, "bench_looks", "sslmode=disable").await?;
        bench.fill(server, bookings)?;
        let took = bench.look().await?.as_micros();
        bench.end(server)?;
        let percent = took * 100 / *shortest.get_or_insert(took.max(1));
        println!(
            "a look at {bookings:>7} bookings: {took:>6} µs, {}.{:02} of the shortest",
            percent / 100,
            percent % 100
        );
    }
    Ok(())
}

impl Bench {
    /// The history of the first user, with its sums as the projector would have kept them.
    fn fill(&self, server: &str, bookings: u64) -> Result<(), Failure> {
        let (host, _) = server.rsplit_once('/').ok_or("the URL names no database")?;
        let user = self.users[0];
        let categories: Vec<String> = self.categories.iter().map(|id| format!("'{id}'")).collect();
        let categories = categories.join(", ");
        let names: String = self
            .categories
            .iter()
            .enumerate()
            .map(|(number, id)| {
                format!(
                    "INSERT INTO categories (id, user_id, name, kind, version, created_at, updated_at) \
                     VALUES ('{id}', '{user}', 'Category {number}', 'expense', 1, now(), now()); "
                )
            })
            .collect();
        let text = format!(
            "INSERT INTO wallets (id, user_id, name, type, currency, opening_balance_minor, balance_minor, version, \
               created_at, updated_at) VALUES ('{user}', '{user}', 'Bank', 'bank', 'USD', 0, 0, 1, now(), now()); \
             {names} \
             INSERT INTO transactions (id, user_id, wallet_id, type, amount_minor, currency, date, category_id, payee, \
               version, created_at, updated_at) \
             SELECT gen_random_uuid(), '{user}', '{user}', 'expense', 100 + n * 7919 % 20000, 'USD', \
               current_date - (n * 3650 / {bookings})::int, (ARRAY[{categories}]::uuid[])[(1 + n % 10)::int], \
               'Payee ' || n % 50, 1, now(), now() FROM generate_series(0::bigint, {bookings} - 1) n; \
             INSERT INTO monthly_totals (user_id, currency, month, type, category_id, wallet_id, amount_minor, bookings) \
             SELECT user_id, currency, date_trunc('month', date)::date, type, category_id, wallet_id, \
               sum(amount_minor)::bigint, count(*) FROM transactions GROUP BY 1, 2, 3, 4, 5, 6; \
             INSERT INTO daily_spending (user_id, currency, date, category_id, amount_minor) \
             SELECT user_id, currency, date, category_id, sum(amount_minor)::bigint FROM transactions GROUP BY 1, 2, 3, 4"
        );
        let database = format!("{host}/{}", self.name);
        psql(&database, &text)?;
        psql(&database, "VACUUM ANALYZE")
    }

    /// The median time of a look, each after a booking.
    async fn look(&self) -> Result<Duration, Failure> {
        let clock = Clock::fixed(self.clock.now());
        let projector = Projector::new(self.store.clone(), clock.clone(), self.ids.clone());
        let looker = Looker::new(self.store.clone(), clock.clone(), self.ids.clone(), EVERY);
        let mut took = Vec::with_capacity(LOOKS);
        for _ in 0..WARM_UP + LOOKS {
            let event = self.event(0, clock.now());
            let (payload, logged) = (event.to_json()?.into_bytes(), event.clone());
            let unit = move |tx| async move { event_log::append(&tx, &[logged]).await };
            let heard = Heard {
                payload,
                event,
                position: self.store.write(unit).await?,
                span_id: self.ids.span_id(),
            };
            projector.handle(Arc::from([heard])).await?;
            clock.advance(EVERY);
            let begun = Instant::now();
            let looked = looker.look(self.users[0]).await?;
            took.push(begun.elapsed());
            if !matches!(looked, Looked::Found(_)) {
                return Err(format!("no look: {looked:?}").into());
            }
        }
        Ok(median(took.split_off(WARM_UP)))
    }
}

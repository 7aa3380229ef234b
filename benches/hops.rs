//! The hops of the chain, each alone and without any code of this product: what `make bench-chain`
//! puts beside the whole. One measurement each 20 ms, as at 50 bookings a second.
//!
//! `postgres URL`: an insert with its commit. `kafka BROKERS`: a record, from before it is produced
//! to where it is consumed. `dapr BROKERS HTTP_PORT APP_PORT`: an event, from before it is published
//! through a sidecar to where that sidecar delivers it, in a batch and alone; the sidecar's tokens
//! are in the environment. Prints a line of JSON for each hop.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use sea_orm::sqlx::{self, Executor as _, PgPool};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Measurements of a hop, after some that do not count.
const MEASURED: usize = 300;
const WARM_UP: usize = 50;
const EVERY: Duration = Duration::from_millis(20);
/// As long as an event is.
const EVENT_BYTES: usize = 900;
const PATIENCE: Duration = Duration::from_secs(30);
/// As the roles ask of their sidecars.
const BULK_WAIT_MS: u32 = 2;

#[tokio::main]
async fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match *args.strip_suffix(&["--bench"]).unwrap_or(&args) {
        ["postgres", url] => postgres(url).await,
        ["kafka", brokers] => kafka(brokers).await,
        ["dapr", brokers, http_port, app_port] => {
            dapr(brokers, http_port.parse()?, app_port.parse()?).await
        }
        _ => {
            println!("hops: skipped; `make bench-chain` tells it where the parts are");
            Ok(())
        }
    }
}

/// Prints how long a hop takes.
fn tell(hop: &str, mut times: Vec<Duration>) {
    times.drain(..WARM_UP);
    times.sort_unstable();
    let [p50, p95] = [50, 95].map(|percent| times[times.len() * percent / 100].as_micros());
    println!(r#"{{"hop": "{hop}", "p50_us": {p50}, "p95_us": {p95}}}"#);
}

async fn postgres(url: &str) -> Outcome<()> {
    let pool = PgPool::connect(url).await?;
    let mut connection = pool.acquire().await?;
    connection
        .execute("CREATE TABLE IF NOT EXISTS hops (id bigserial PRIMARY KEY, event text)")
        .await?;
    let (event, mut times) = ("x".repeat(EVENT_BYTES), Vec::new());
    let mut pace = tokio::time::interval(EVERY);
    for _ in 0..WARM_UP + MEASURED {
        pace.tick().await;
        let begun = Instant::now();
        let insert = sqlx::query("INSERT INTO hops (event) VALUES ($1) RETURNING id");
        insert.bind(&event).fetch_one(&mut *connection).await?;
        times.push(begun.elapsed());
    }
    connection.execute("DROP TABLE hops").await?;
    tell("PostgreSQL commit", times);
    Ok(())
}

/// An event that tells its number.
fn event(number: usize) -> String {
    json!({"number": number, "text": "x".repeat(EVENT_BYTES)}).to_string()
}

fn number_of(event: &[u8]) -> Outcome<usize> {
    let event: Value = serde_json::from_slice(event)?;
    let number = event["number"].as_u64().ok_or("no number")?;
    Ok(number.try_into()?)
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

async fn make_topic(brokers: &str, name: &str) -> Outcome<()> {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
    for made in admin.create_topics(&[topic], &options).await? {
        made.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

async fn drop_topic(brokers: &str, name: &str) -> Outcome<()> {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
    admin.delete_topics(&[name], &AdminOptions::new()).await?;
    Ok(())
}

/// A name that nobody else has.
fn fresh(name: &str) -> String {
    format!("hops_{}_{name}", std::process::id())
}

async fn kafka(brokers: &str) -> Outcome<()> {
    let topic = fresh("kafka");
    make_topic(brokers, &topic).await?;
    let consumer: BaseConsumer = client(brokers)
        .set("group.id", &topic)
        .set("enable.auto.commit", "false")
        .create()?;
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&topic, 0, Offset::Beginning)?;
    consumer.assign(&from)?;
    let (tell_arrival, arrivals) = channel();
    std::thread::spawn(move || {
        while let Some(message) = consumer.poll(PATIENCE) {
            let payload = message.ok()?.payload()?.to_vec();
            let arrived = Instant::now();
            tell_arrival
                .send((number_of(&payload).ok()?, arrived))
                .ok()?;
        }
        Some(())
    });
    let producer: FutureProducer = client(brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", "0")
        .create()?;
    let topic_name = topic.as_str();
    let times = measure(&arrivals, 0, async |number| {
        let event = event(number);
        let record = FutureRecord::to(topic_name).key("k").payload(&event);
        let sent = producer.send(record, PATIENCE).await;
        sent.map(drop).map_err(|(error, _)| error.into())
    });
    tell("Kafka, produced and consumed", times.await?);
    drop_topic(brokers, &topic).await
}

/// Sends events at a steady pace from this number on; gives how long each took to arrive.
async fn measure(
    arrivals: &Receiver<(usize, Instant)>,
    first: usize,
    send: impl AsyncFn(usize) -> Outcome<()>,
) -> Outcome<Vec<Duration>> {
    let mut pace = tokio::time::interval(EVERY);
    let mut sent = HashMap::new();
    for number in first..first + WARM_UP + MEASURED {
        pace.tick().await;
        sent.insert(number, Instant::now());
        send(number).await?;
    }
    let mut times = Vec::new();
    while times.len() < WARM_UP + MEASURED {
        let (number, arrived) = arrivals.recv_timeout(PATIENCE)?;
        // Those that were only to see whether anybody listens are not among them.
        if let Some(sent) = sent.remove(&number) {
            times.push(arrived - sent);
        }
    }
    Ok(times)
}

async fn dapr(brokers: &str, http_port: u16, app_port: u16) -> Outcome<()> {
    let topics = ["bulk", "single"].map(fresh);
    for topic in &topics {
        make_topic(brokers, topic).await?;
    }
    let (tell_arrival, arrivals) = channel();
    let app = serve(app_port, topics.clone(), tell_arrival)?;
    tokio::spawn(app);
    let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true);
    let token = std::env::var("DAPR_API_TOKEN")?;
    let http = http.build()?;
    let publish = async |topic: &str, number: usize| -> Outcome<()> {
        let url = format!(
            "http://127.0.0.1:{http_port}/v1.0/publish/bulk/pubsub/{topic}?metadata.rawPayload=true"
        );
        let body = json!([{"entryId": "0", "event": event(number), "contentType": "text/plain"}]);
        let request = http.post(url).header("dapr-api-token", &token);
        request.json(&body).send().await?.error_for_status()?;
        Ok(())
    };
    for (turn, topic) in topics.iter().enumerate() {
        let begun = Instant::now();
        // The sidecar looks at the app each second, and joins its groups then.
        while arrivals.recv_timeout(EVERY).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the sidecar does not deliver {topic}").into());
            }
            publish(topic, usize::MAX / 2).await?;
        }
        let first = (turn + 1) * 1_000_000;
        let times = measure(&arrivals, first, async |number| {
            publish(topic, number).await
        })
        .await?;
        tell(
            [
                "Dapr, published and delivered in a batch",
                "Dapr, published and delivered alone",
            ][turn],
            times,
        );
    }
    for topic in &topics {
        drop_topic(brokers, topic).await?;
    }
    Ok(())
}

/// An app that hears two topics, one in batches, and tells what arrives.
fn serve(
    port: u16,
    [bulk, single]: [String; 2],
    tell_arrival: Sender<(usize, Instant)>,
) -> Outcome<actix_web::dev::Server> {
    let mut heard = Vec::new();
    for (topic, in_bulk) in [(bulk, true), (single, false)] {
        let wait = json!({"enabled": in_bulk, "maxMessagesCount": 200, "maxAwaitDurationMs": BULK_WAIT_MS});
        heard.push(json!({"pubsubname": "pubsub", "topic": topic, "route": if in_bulk { "/many" } else { "/one" },
            "metadata": {"rawPayload": "true"}, "bulkSubscribe": wait}));
    }
    let heard = Value::Array(heard);
    let server = HttpServer::new(move || {
        let (heard, tell_many, tell_one) =
            (heard.clone(), tell_arrival.clone(), tell_arrival.clone());
        App::new()
            .route("/livez", web::get().to(HttpResponse::Ok))
            .route(
                "/dapr/subscribe",
                web::get().to(move || {
                    let heard = heard.clone();
                    async move { HttpResponse::Ok().json(heard) }
                }),
            )
            .route(
                "/many",
                web::post().to(move |body: web::Json<Value>| {
                    let tell_arrival = tell_many.clone();
                    async move {
                        let mut statuses = Vec::new();
                        for entry in body["entries"].as_array().into_iter().flatten() {
                            arrived(&tell_arrival, &entry["event"]);
                            statuses
                                .push(json!({"entryId": entry["entryId"], "status": "SUCCESS"}));
                        }
                        HttpResponse::Ok().json(json!({"statuses": statuses}))
                    }
                }),
            )
            .route(
                "/one",
                web::post().to(move |body: web::Json<Value>| {
                    arrived(&tell_one, &body["data_base64"]);
                    async { HttpResponse::Ok().json(json!({"status": "SUCCESS"})) }
                }),
            )
    });
    Ok(server.workers(1).bind((Ipv4Addr::LOCALHOST, port))?.run())
}

/// Notes the arrival of an event that the sidecar has put into base64.
fn arrived(tell_arrival: &Sender<(usize, Instant)>, event: &Value) {
    use base64::Engine as _;
    let now = Instant::now();
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(event.as_str().unwrap_or_default());
    if let Ok(number) = bytes
        .map_err(Into::into)
        .and_then(|bytes| number_of(&bytes))
    {
        // Nobody listens any more when the measuring is over.
        let _ = tell_arrival.send((number, now));
    }
}

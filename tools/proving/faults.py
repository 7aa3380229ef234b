"""What goes wrong, and which alerts must come of it.

Each fault is a generator: it does something, yields the alerts that must fire, goes on when they have, and puts right
what it did.
"""

import contextlib
import os
import resource
import secrets
import signal
import socket
import subprocess
import threading
import time
import urllib.request

from stack import install, roles
from stack.machine import free_port
from stack.part import ask as ask_port
from stack.postgres import database_url

from .people import Noise, Stream, wait_for_alerts
from .world import Process, answers, wait_for

# No fault of this world fires these; their rules have unit tests.
NOT_PROVEN = {
    "KafkaNoController": "takes a quorum of several controllers",
    "CertificateNotRenewed": "cert-manager's",
    "CertificateExpires": "cert-manager's",
}


def the_notifier_is_gone(world, crowd):
    stream = Stream(crowd.people[0])
    crowd.people[0].break_one()
    assert wait_for_alerts(stream, 1, 20), "an alert did not come"
    world.processes["notifier"].kill()
    yield {"RoleDown", "TargetDown"}
    late = 12
    for _ in range(late):
        crowd.people[0].break_one()
    time.sleep(6)
    world.start_role("notifier")
    assert wait_for_alerts(stream, late + 1, 30), "late alerts did not come"
    yield {"AlertsBudgetBurnsFast", "AlertsBudgetBurnsSlowly"}
    stream.close()


def the_projector_is_restarted_again_and_again(world, _crowd):
    for _ in range(4):
        # Not ready for a while before it ends, as behind a load balancer.
        world.restart_role("projector", WEALTH__LIFECYCLE__DRAIN_PAUSE_MS="2500")
        time.sleep(1.5)
    yield {"ReadinessFlaps", "RestartsOften"}
    world.restart_role("projector")


def a_replica_waits_for_its_schema(world, _crowd):
    url = world.state["postgres"]["url"]
    psql(url, "CREATE DATABASE nobody_has_migrated")
    address = f"127.0.0.1:{free_port(world.stack.ports())}"
    settings = {"DATABASE_URL": url.rsplit("/", 1)[0] + "/nobody_has_migrated", "WEALTH__HTTP__INTERNAL_ADDR": address,
                "WEALTH__TRACES__EXPORTER": "none", "JWT_SECRET_KEY": secrets.token_hex(32)}
    replica = world.processes["replica"] = Process([world.binary, "--role", "notifier"], settings)
    wait_for(f"the replica does not live: {replica.last_lines()}", lambda: answers(f"http://{address}/livez"), 30)
    world.watch([(address, "notifier")])
    yield {"ReplicaNotReady"}
    world.watch([])
    world.processes.pop("replica").kill()


def an_embedded_one_has_little_room_and_few_files(world, _crowd):
    """On a small file system, and with a low limit of open files: the first takes root."""
    data = world.folder / "small"
    data.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(data)], check=True)
    try:
        public, internal = (f"127.0.0.1:{free_port(world.stack.ports())}" for _ in range(2))
        settings = {"WEALTH__DATA_DIR": str(data), "WEALTH__HTTP__PUBLIC_ADDR": public, "WEALTH__HTTP__INTERNAL_ADDR": internal,
                    "WEALTH__TRACES__EXPORTER": "none", "WEALTH__HTTP__CLIENT_TIMEOUT_MS": "600000"}
        world.processes["embedded"] = Process([world.binary], settings, before=lambda: few_files(160))
        world.wait_until_ready("embedded", internal)
        world.watch([(internal, "all")])
        free = os.statvfs(data).f_bavail * os.statvfs(data).f_frsize
        (data / "filler").write_bytes(bytes(free - (1 << 20)))
        connections = [socket.create_connection(public.split(":")) for _ in range(110)]
        yield {"OpenFilesNearLimit", "DiskNearlyFull", "DiskFills"}
        for connection in connections:
            connection.close()
        world.watch([])
        world.processes.pop("embedded").kill()
    finally:
        subprocess.run(["umount", "--lazy", str(data)], check=False)


def few_files(count):
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def the_database_is_slow(world, _crowd):
    stopped = threading.Event()

    def stutter():
        while not stopped.is_set():
            world.freeze("postgres")
            time.sleep(0.5)
            world.thaw("postgres")
            time.sleep(0.1)

    thread = threading.Thread(target=stutter)
    thread.start()
    try:
        yield {"DatabaseSlow", "LatencyBudgetBurnsFast", "LatencyBudgetBurnsSlowly"}
    finally:
        stopped.set()
        thread.join()
        world.thaw("postgres")


def somebody_locks_a_table(world, crowd):
    lock = "BEGIN; LOCK TABLE categories IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(120)"
    holder = subprocess.Popen([install.find("psql"), database_url(world.state["postgres"]), "-c", lock], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stopped = threading.Event()

    def name_a_category(number):
        while not stopped.is_set():
            with contextlib.suppress(OSError):
                crowd.people[0].send("POST", "/v1/categories", {"name": f"{number} {time.monotonic()}", "kind": "expense"})
            stopped.wait(0.05)

    threads = [threading.Thread(target=name_a_category, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    try:
        yield {"DatabasePoolFull"}
    finally:
        stopped.set()
        psql(world.state["postgres"]["url"], "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                             "WHERE query LIKE '%pg_sleep(120)%' AND pid <> pg_backend_pid()")
        holder.wait()
        for thread in threads:
            thread.join()


def redis_is_gone(world, _crowd):
    world.take_away("redis")
    yield {"RedisAway"}
    # A sidecar that starts now goes without its state store, and says so.
    world.take_away("sidecar-notifier")
    world.start_alone("sidecar-notifier")
    wait_for("the sidecar does not tell that a component is missing",
             lambda: world.query("increase(dapr_runtime_component_init_fail_total[1m])"), 60)
    yield set()
    world.take_away("sidecar-notifier")
    world.bring_back("redis", "sidecar-notifier")


def a_sidecar_is_gone(world, _crowd):
    world.take_away("sidecar-api")
    yield {"SidecarFailing", "RelayFailing"}
    world.bring_back("sidecar-api")


def kafka_is_gone(world, _crowd):
    world.take_away("kafka")
    yield {"EventsNotPublished"}
    world.bring_back("kafka")


def the_mail_server_is_gone(world, crowd):
    """Each round of the notifier finds three people whose mails are not taken: there is one for each of many rounds."""
    url = database_url(world.state["postgres"])
    world.take_away("smtp")
    for _ in range(12):
        for person in crowd.people:
            person.break_one()
    yield {"JobFailing"}
    firing = 'ALERTS{alertname="JobFailing", alertstate="firing", task="mail"}'
    wait_for("it is not the job of sending mail that fails", lambda: world.query(firing), 30)
    waited = world.query("max(wealth_deliveries_oldest_due_seconds)")
    assert float(waited[0]["value"][1]) > 15, f"the oldest mail has waited for {waited}"
    waiting = psql(url, "SELECT id FROM deliveries WHERE status = 'pending'").split()
    assert len(waiting) > 12 * len(crowd.people) / 2, f"{len(waiting)} mails wait"
    world.bring_back("smtp")

    def came():
        letters = [letter for person in crowd.people for letter in crowd.mailboxes.letters(person.email)]
        ids = [letter["headers"]["message-id"].strip("<>").split("@")[0] for letter in letters]
        assert len(ids) == len(set(ids)), "a mail came twice"
        return set(waiting) <= set(ids)

    wait_for("mails that had waited did not come", came, 120)
    yield set()


def nobody_reads_the_log(world, _crowd):
    world.processes["api"].mute()
    noises = [Noise(world.api) for _ in range(2)]
    try:
        yield {"LogLinesDropped"}
    finally:
        for noise in noises:
            noise.stop()
        world.processes["api"].unmute()


def something_that_is_no_event_is_on_a_topic(world, _crowd):
    sidecar, tokens = world.state["sidecars"]["api"], world.state["sidecars"]["tokens"]
    request = urllib.request.Request(
        f"http://127.0.0.1:{sidecar['http_port']}/v1.0/publish/pubsub/finance.transaction.created?metadata.rawPayload=true",
        b"{}", {"Content-Type": "application/json", "dapr-api-token": tokens["dapr_api_token"]}, method="POST")
    with urllib.request.urlopen(request, timeout=10):
        yield {"DeadLetters"}


def the_database_is_away_and_so_is_the_collector(world, crowd):
    notifier = world.processes["notifier"]
    notifier.signal(signal.SIGSTOP)
    for _ in range(3):
        crowd.people[0].break_one()
    time.sleep(3)
    world.take_away("postgres", "jaeger")
    notifier.signal(signal.SIGCONT)
    yield {"DatabaseFailing", "AvailabilityBudgetBurnsFast", "AvailabilityBudgetBurnsSlowly", "NotifierFailing", "ConsumerBehind",
           "JobNotRun", "JobFailing", "SpansDropped"}
    world.bring_back("postgres", "jaeger")


def without_sidecars_the_database_goes_away(world, crowd):
    """The bus is Kafka without a sidecar: consumers tell themselves how far they are behind."""
    projector = world.processes["projector"]
    projector.signal(signal.SIGSTOP)
    for _ in range(20):
        crowd.people[1].break_one()
    time.sleep(3)
    world.take_away("postgres")
    projector.signal(signal.SIGCONT)
    yield {"ConsumerStuck"}
    world.bring_back("postgres")


def a_broker_is_gone(world, _crowd):
    """A second one, which alone has some partitions, and of some a copy that is needed."""
    broker = second_broker(world)
    for prefix, copies in (("two.", "2"), ("one.", "1")):
        settings = {**os.environ, **roles.direct_settings(world.stack), "WEALTH__BUS__TOPIC_PREFIX": prefix,
                    "WEALTH__KAFKA__REPLICATION": copies, "WEALTH__KAFKA__MIN_INSYNC": copies}
        subprocess.run([world.binary, "events", "topics", "apply", "--yes"], env=settings, check=True, stdout=subprocess.DEVNULL)
    broker.kill()
    yield {"KafkaPartitionsOffline", "KafkaBelowMinInsync", "KafkaUnderReplicated"}


def second_broker(world):
    kafka = world.stack.part("kafka")
    folder = world.folder / "broker"
    folder.mkdir()
    port = free_port(world.stack.ports())
    identity = next(line.split("=")[1] for line in (kafka.folder / "data" / "meta.properties").read_text().splitlines()
                    if line.startswith("cluster.id="))
    file = folder / "server.properties"
    file.write_text(f"""\
process.roles=broker
node.id=2
controller.quorum.voters=1@127.0.0.1:{kafka.section['controller_port']}
listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder / 'data'}
""")
    java = kafka.java(256)
    subprocess.run([*java, "kafka.tools.StorageTool", "format", f"--cluster-id={identity}", f"--config={file}"], check=True,
                   stdout=subprocess.DEVNULL)
    broker = world.processes["second broker"] = Process([*java, "kafka.Kafka", str(file)], {})
    versions = b"\x00\x00\x00\x0a\x00\x12\x00\x00\x00\x00\x00\x07\xff\xff"
    wait_for(f"the second broker does not answer: {broker.last_lines()}",
             lambda: ask_port(port, versions, lambda answer: len(answer) > 10), 60)
    return broker


def psql(url, statement):
    """What it says, a line for each row."""
    return subprocess.run([install.find("psql"), url, "-qAtc", statement], check=True, stdout=subprocess.PIPE, text=True).stdout


# Budgets of errors burn for an hour here, so the faults that are to show it come before those that burn them as well.
WITH_SIDECARS = (
    the_notifier_is_gone, the_projector_is_restarted_again_and_again, a_replica_waits_for_its_schema,
    an_embedded_one_has_little_room_and_few_files, something_that_is_no_event_is_on_a_topic, the_database_is_slow,
    the_database_is_away_and_so_is_the_collector, somebody_locks_a_table, redis_is_gone, a_sidecar_is_gone, kafka_is_gone,
    the_mail_server_is_gone, nobody_reads_the_log,
)
WITHOUT_SIDECARS = (without_sidecars_the_database_goes_away, a_broker_is_gone)

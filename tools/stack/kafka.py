"""Kafka, with KRaft."""

import secrets
import struct

from . import builds, install
from .machine import write_private
from .part import ROOT, Part, ask, made_whole, run

# What the brokers of Strimzi tell, too.
METRICS = ROOT / "strimzi" / "base" / "metrics.yaml"


class Kafka(Part):
    """A Kafka of one node: broker and controller in one process."""

    name = "kafka"
    commands = ("java", "mvn")
    ports = ("port", "controller_port", "metrics_port")
    start_secs = 120
    stop_secs = 30

    def lacking(self):
        return ("java",) if builds.kafka_path().exists() else self.commands

    def settle(self):
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.section.update(brokers=self.host_port)
        if not (self.folder / "data").exists():
            self.format()
        self.write_properties("data")

    def write_properties(self, data):
        numbers = {"port": self.section["port"], "controller_port": self.section["controller_port"],
                   "port_for_others": self.port_for_others}
        write_private(self.folder / "server.properties", KAFKA_PROPERTIES.format(data=data, **numbers))

    def format(self):
        """A log folder with an identity."""
        with made_whole(self.folder / "data") as part:
            self.write_properties(part.name)
            identity = secrets.token_urlsafe(16)
            tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={identity}", "--config=server.properties"]
            run([*self.java(64), *tool], self.folder)

    def java(self, heap_mib):
        options = [f"-Xmx{heap_mib}m", "-XX:+ExitOnOutOfMemoryError", "-Djava.awt.headless=true"]
        log = {"defaultLogLevel": "warn", "showDateTime": "true", "dateTimeFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX"}
        options += [f"-Dorg.slf4j.simpleLogger.{key}={value}" for key, value in log.items()]
        return [install.find("java"), *options, "-cp", str(builds.kafka_path() / "*")]

    def command(self):
        program, *options = self.java(512)
        agent = f"{builds.jmx_agent()}=127.0.0.1:{self.section['metrics_port']}:{METRICS}"
        return [program, f"-javaagent:{agent}", *options, "kafka.Kafka", "server.properties"]

    def files(self):
        return (self.folder / "server.properties", METRICS)

    def is_ready(self):
        """It answers which versions of requests it knows (ApiVersions, key 18), and with no error."""
        body = struct.pack(">hhih", 18, 0, 7, -1)
        question = struct.pack(">i", len(body)) + body
        return ask(self.section["port"], question, lambda answer: answer[4:10] == struct.pack(">ih", 7, 0))

    def version(self):
        return builds.kafka_version()


KAFKA_PROPERTIES = """\
# Written anew at each start by tools/stack.py.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port_for_others}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
# As in production: topics are declared, a name with a typo is an error.
auto.create.topics.enable=false
num.partitions=3
# One node keeps one copy, and these topics need no width.
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# A consumer need not wait for others to come.
group.initial.rebalance.delay.ms=0
# After a crash the node comes back as soon as this is over: its old self counts as alive until then.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=1000
"""

# PostgreSQL, Redis and Kafka, to be run as pods beside the product. The context is the folder with Kafka's libs.
FROM docker.io/library/debian:bookworm-slim
RUN mkdir -p /etc/postgresql-common \
    && echo create_main_cluster=false > /etc/postgresql-common/createcluster.conf \
    && apt-get update \
    && apt-get install -y --no-install-recommends postgresql redis-server openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --home-dir /data --create-home stack
COPY libs /opt/kafka/libs
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER 10001
WORKDIR /data

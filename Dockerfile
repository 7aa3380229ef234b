# syntax=docker/dockerfile:1
# One image for the three roles; what runs is said by `--role`.
#   docker build --tag wealth-companion .
#   docker run --publish 8080:8080 --volume wealth-data:/data --env WEALTH__HTTP__PUBLIC_ADDR=0.0.0.0:8080 wealth-companion

FROM docker.io/library/rust:1.95-slim-bookworm AS build
# librdkafka is built with make, on the system's zlib.
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates g++ make zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies by themselves: this layer stays as long as they do.
COPY Cargo.toml Cargo.lock ./
COPY migrations/Cargo.toml migrations/
RUN mkdir --parents src migrations/src benches/micro benches/projector \
    && echo 'fn main() {}' | tee src/main.rs benches/hops.rs benches/load.rs benches/micro/main.rs benches/projector/main.rs \
    && touch src/lib.rs migrations/src/lib.rs \
    && cargo build --release --locked --bin wealth-companion \
    && rm --recursive src migrations/src

COPY config config
COPY migrations migrations
COPY src src
# Newer than what was built of the empty files.
RUN find src migrations -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --bin wealth-companion

# What the binary needs to run, and nothing else: itself, the libraries that it is linked with, the authorities of TLS.
RUN mkdir --parents /image/usr/bin /image/etc/ssl/certs /image/data /image/tmp \
    && cp target/release/wealth-companion /image/usr/bin/ \
    && ldd target/release/wealth-companion | grep --only-matching '/[^ ]*' \
        | xargs --replace cp --dereference --parents {} /image \
    && cp --dereference /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ \
    && echo 'hosts: files dns' > /image/etc/nsswitch.conf \
    && echo 'wealth:x:65532:65532::/:/' > /image/etc/passwd \
    && chown 65532:65532 /image/data && chmod 1777 /image/tmp

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wealth-companion" \
    org.opencontainers.image.description="The backend of Wealth Companion: the roles api, projector and notifier" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
USER 65532:65532
EXPOSE 8080 9090
ENTRYPOINT ["/usr/bin/wealth-companion"]

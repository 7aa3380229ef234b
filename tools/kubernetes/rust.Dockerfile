# As the official image of this name: a C compiler, and no more. The toolchain itself is mounted during builds.
FROM docker.io/library/debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
ARG TOOLCHAIN
ENV CARGO_HOME=/usr/local/cargo \
    PATH=/usr/local/cargo/bin:$TOOLCHAIN/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

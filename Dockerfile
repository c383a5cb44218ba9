# One target per image, called like the binary that it is for. This is the list of them: all commands go by it.
#
# From source, for somebody who has nothing but Docker:
#
#     docker build --target ping .
#
# That compiles all programs, once for all targets. For one of them, name what it is made of:
#
#     docker build --target ping --build-arg PROGRAMS="sidecar ping" .
#
# Of binaries that were built outside, which is what `cargo xtask images` does: the build context is then a directory
# that holds one for each platform, called by its architecture and variant (amd64, arm64, 386, armv7, riscv64).
#
#     docker build --file Dockerfile --target ping --build-arg BINARIES=outside CONTEXT
#
# Either way it takes BuildKit, or buildah: they make only those stages that lead to the target.

# Which stage binaries come from: compiled or outside.
ARG BINARIES=compiled
# What they are compiled in: the toolchain that rust-toolchain.toml names, a shell, and a linker for build scripts.
ARG BUILDER=docker.io/library/rust:1.95.0-slim-bookworm

# On this machine's own architecture, whatever they are for: Rust's linker links for all of them.
FROM --platform=${BUILDPLATFORM} ${BUILDER} AS compiled
# Tells scanners what a binary is made of.
ARG AUDITABLE=0.7.7
RUN cargo auditable --version || cargo install --locked --version "${AUDITABLE}" cargo-auditable
WORKDIR /swarmlings
COPY . .
ARG TARGETARCH
ARG TARGETVARIANT
ARG PROGRAMS
RUN ["sh", "xtask/compile.sh", "/binaries"]

FROM scratch AS outside
ARG TARGETARCH
ARG TARGETVARIANT
COPY ${TARGETARCH}${TARGETVARIANT}/ /binaries/

FROM ${BINARIES} AS binaries

# Holds nothing else, for images that are to be wrapped: COPY --from=swarmlings/sidecar /sidecar /sidecar
FROM scratch AS sidecar
LABEL org.opencontainers.image.title="sidecar" \
      org.opencontainers.image.description="Runs a service, and gets it routed while it is healthy" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=binaries /binaries/sidecar /sidecar
USER 65532:65532
ENTRYPOINT ["/sidecar"]

# What all services share. The first probe comes after one interval, so that is what each step of a rolling update
# waits for. A probe that fails while a task waits for its route does not count: the start period is longer than the
# sidecar's own patience.
FROM sidecar AS service
EXPOSE 8080
HEALTHCHECK --interval=2s --timeout=5s --start-period=60s --retries=3 CMD ["/sidecar", "healthcheck"]

FROM service AS ping
LABEL org.opencontainers.image.title="ping" \
      org.opencontainers.image.description="Answers Pong from HOST"
COPY --from=binaries /binaries/ping /ping
ENTRYPOINT ["/sidecar", "run", "--", "/ping"]

FROM service AS hello
LABEL org.opencontainers.image.title="hello" \
      org.opencontainers.image.description="Greets whom the path names"
COPY --from=binaries /binaries/hello /hello
ENTRYPOINT ["/sidecar", "run", "--", "/hello"]

# In whoami's place without another change: it listens where that does.
FROM service AS echo
LABEL org.opencontainers.image.title="echo" \
      org.opencontainers.image.description="Answers with what it was asked: a drop-in for whoami, with knobs"
ENV WHOAMI_PORT_NUMBER=80 SIDECAR_PORT=80
EXPOSE 80
COPY --from=binaries /binaries/echo /echo
ENTRYPOINT ["/sidecar", "run", "--", "/echo"]

# Runs to its end: stacks/load.yml has it as a job.
FROM scratch AS load
LABEL org.opencontainers.image.title="load" \
      org.opencontainers.image.description="Sends load, and says which instance answered" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=binaries /binaries/load /load
USER 65532:65532
ENTRYPOINT ["/load"]

FROM scratch AS hub
LABEL org.opencontainers.image.title="hub" \
      org.opencontainers.image.description="Holds who is there, as leases, and tells Traefik" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=binaries /binaries/hub /hub
USER 65532:65532
EXPOSE 8080
# Swarm's DNS knows the hub only once it is healthy.
HEALTHCHECK --interval=2s --timeout=5s --start-period=10s --retries=3 CMD ["/hub", "healthcheck"]
ENTRYPOINT ["/hub"]

# Reads a node's docker.sock, whose owner is root, and listens on nothing. It needs no capability and writes nothing.
FROM scratch AS agent
LABEL org.opencontainers.image.title="agent" \
      org.opencontainers.image.description="Registers the containers of a node with the hub" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY --from=binaries /binaries/agent /agent
ENTRYPOINT ["/agent"]

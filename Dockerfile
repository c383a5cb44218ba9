# One target for each image, with the name of its program. `cargo xtask` and the tests read the list of programs from here.
#
# To build an image from source, with nothing but Docker:
#
#     docker build --target ping .
#
# The first build compiles all programs. To compile only those of one image:
#
#     docker build --target ping --build-arg PROGRAMS="sidecar ping" .
#
# To pack programs that were built outside, as `cargo xtask images` does, give a build context with a directory for each
# platform, named by architecture and variant (amd64, arm64, 386, armv7, riscv64):
#
#     docker build --file Dockerfile --target ping --build-arg BINARIES=outside CONTEXT
#
# VERSION, REVISION (the commit), CREATED (its date, RFC 3339) and SOURCE (the URL of the repository) become the images' labels;
# `cargo xtask images` sets them.
#
# Both need BuildKit or buildah, which build only the stages that the target depends on.

# The stage that provides the programs: `compiled` or `outside`.
ARG BINARIES=compiled
# The image to compile in: Rust (the version in rust-toolchain.toml), a shell, and a linker for build scripts.
ARG BUILDER=docker.io/library/rust:1.95.0-slim-bookworm

# Runs on the build machine's own architecture, because Rust's linker links for all platforms.
FROM --platform=${BUILDPLATFORM} ${BUILDER} AS compiled
# cargo-auditable adds the list of dependencies to each program, for vulnerability scanners.
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

FROM scratch AS labelled
ARG VERSION=0.2.0
ARG REVISION
ARG CREATED
ARG SOURCE
LABEL org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"

# Only the sidecar, to copy into other images: COPY --from=swarmlings/sidecar:0.2.0 /sidecar /sidecar
FROM labelled AS sidecar
LABEL org.opencontainers.image.title="sidecar" \
      org.opencontainers.image.description="Runs a service, and gets it routed while it is healthy"
COPY --from=binaries /binaries/sidecar /sidecar
USER 65532:65532
ENTRYPOINT ["/sidecar"]

# The base of all services. Docker probes first after one interval, so each step of a rolling update takes at least that
# long. Failed probes do not count during the start period, so a new task waits for a hub that is away for a minute
# (docs/ROLLOUT.md).
FROM sidecar AS service
EXPOSE 8080
HEALTHCHECK --interval=2s --timeout=5s --start-period=120s --retries=3 CMD ["/sidecar", "healthcheck"]

FROM service AS ping
LABEL org.opencontainers.image.title="ping" \
      org.opencontainers.image.description="Answers Pong from HOST"
COPY --from=binaries /binaries/ping /ping
ENTRYPOINT ["/sidecar", "run", "--", "/ping"]

FROM service AS hello
LABEL org.opencontainers.image.title="hello" \
      org.opencontainers.image.description="Greets the name in the path"
COPY --from=binaries /binaries/hello /hello
ENTRYPOINT ["/sidecar", "run", "--", "/hello"]

# Listens on port 80, as whoami does, to replace it without other changes.
FROM service AS echo
LABEL org.opencontainers.image.title="echo" \
      org.opencontainers.image.description="Answers with the request; replaces whoami, and simulates slow and failing services"
ENV WHOAMI_PORT_NUMBER=80 SIDECAR_PORT=80
EXPOSE 80
COPY --from=binaries /binaries/echo /echo
ENTRYPOINT ["/sidecar", "run", "--", "/echo"]

# Exits when the test is over; stacks/load.yml runs it as a job.
FROM labelled AS load
LABEL org.opencontainers.image.title="load" \
      org.opencontainers.image.description="Load tester that reports results per replica"
COPY --from=binaries /binaries/load /load
USER 65532:65532
ENTRYPOINT ["/load"]

FROM labelled AS hub
LABEL org.opencontainers.image.title="hub" \
      org.opencontainers.image.description="Service registry that feeds Traefik's HTTP provider"
COPY --from=binaries /binaries/hub /hub
USER 65532:65532
EXPOSE 8080
# Swarm's DNS lists the hub only while it is healthy.
HEALTHCHECK --interval=2s --timeout=5s --start-period=10s --retries=3 CMD ["/hub", "healthcheck"]
ENTRYPOINT ["/hub"]

# Runs as root, because docker.sock belongs to root. It listens on no port, needs no capability, and writes no file.
FROM labelled AS agent
LABEL org.opencontainers.image.title="agent" \
      org.opencontainers.image.description="Registers the containers of a node with the hub"
COPY --from=binaries /binaries/agent /agent
ENTRYPOINT ["/agent"]

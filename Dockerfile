# One target per image, over binaries that were built outside for musl: `cargo xtask images` does both.
#
# The build context holds one directory per architecture, named as Docker names it, with ping, hello, sidecar and hub:
#
#     docker build --file Dockerfile --target ping --build-arg TARGETARCH=amd64 CONTEXT
#
# BuildKit sets TARGETARCH by itself; the legacy builder has to be told.

# Holds nothing else, for images that are to be wrapped: COPY --from=swarmlings/sidecar /sidecar /sidecar
FROM scratch AS sidecar
ARG TARGETARCH
LABEL org.opencontainers.image.title="sidecar" \
      org.opencontainers.image.description="Runs a service, and gets it routed while it is healthy" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY ${TARGETARCH}/sidecar /sidecar
USER 65532:65532
ENTRYPOINT ["/sidecar"]

# What ping and hello share. The first probe comes after one interval, so that is what each step of a rolling update
# waits for. A probe that fails while a task waits for its route does not count: the start period is longer than the
# sidecar's own patience.
FROM sidecar AS service
EXPOSE 8080
HEALTHCHECK --interval=2s --timeout=5s --start-period=60s --retries=3 CMD ["/sidecar", "healthcheck"]

FROM service AS ping
ARG TARGETARCH
LABEL org.opencontainers.image.title="ping" \
      org.opencontainers.image.description="Answers Pong from HOST"
COPY ${TARGETARCH}/ping /ping
ENTRYPOINT ["/sidecar", "run", "--", "/ping"]

FROM service AS hello
ARG TARGETARCH
LABEL org.opencontainers.image.title="hello" \
      org.opencontainers.image.description="Greets whom the path names"
COPY ${TARGETARCH}/hello /hello
ENTRYPOINT ["/sidecar", "run", "--", "/hello"]

FROM scratch AS hub
ARG TARGETARCH
LABEL org.opencontainers.image.title="hub" \
      org.opencontainers.image.description="Holds who is there, as leases, and tells Traefik" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY ${TARGETARCH}/hub /hub
USER 65532:65532
EXPOSE 8080
# Swarm's DNS knows the hub only once it is healthy.
HEALTHCHECK --interval=2s --timeout=5s --start-period=10s --retries=3 CMD ["/hub", "healthcheck"]
ENTRYPOINT ["/hub"]

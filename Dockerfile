# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/proxbox-api /proxbox-api
# A volume takes over the owner of the directory that it is first mounted on.
RUN install -d -m 0700 /empty

# The C library and the certificate authorities of the system; no shell. `nonroot` is user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /proxbox-api /usr/local/bin/proxbox-api
COPY --from=build --chown=65532:65532 /empty /data

ENV PORT=8000 \
    PROXBOX_BIND_HOST=0.0.0.0 \
    PROXBOX_DEFAULT_DATABASE_PATH=/data/database.db
USER nonroot
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=6s --start-period=5s --retries=3 \
    CMD ["/usr/local/bin/proxbox-api", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/proxbox-api"]
CMD ["serve"]

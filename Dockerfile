# Runs on the builder's own processor and compiles for the image's: no emulation. Digests are those of lists of images for
# several processors; a tag beside one is for people.
FROM --platform=$BUILDPLATFORM denoland/deno:2.9.6@sha256:2014dc167ece617ef7e7ba40631ac2234c59e75ce693e7cc2dc2602b3c87859d AS build
ARG TARGETARCH
# What --version names: git is not here.
ARG COMMIT
RUN mkdir /state
WORKDIR /src
COPY deno.json deno.lock main.ts ./
COPY deploy/bundle.ts deploy/program.ts deploy/
COPY lib lib
# The mount keeps packages and Deno's runtimes from one build to the next.
RUN --mount=type=cache,target=/deno-dir \
  case "$TARGETARCH" in amd64) cpu=x86_64 ;; arm64) cpu=aarch64 ;; *) echo "not for $TARGETARCH" && exit 1 ;; esac && \
  COMMIT="$COMMIT" COMPILE_FLAGS="--target=$cpu-unknown-linux-gnu" deno task compile

# The variant with glibc, libgcc and libstdc++, which the binary is linked against. distroless has no tags of versions.
FROM gcr.io/distroless/cc-debian13:nonroot@sha256:54df941ed0d06a1bd95ef5e0ce391fd8d9f94b64782dc9a60062727849ee3f97
COPY --from=build /src/dot-proxy /usr/local/bin/dot-proxy
# A volume that is mounted here for DOT_PROXY_STATE_DIR begins with the owner of this directory.
COPY --from=build --chown=65532:65532 /state /var/lib/dot-proxy

# The loopback addresses of a container are of no use to anybody outside. A family that it lacks is no error.
ENV DOT_PROXY_LISTEN=0.0.0.0:53,[::]:53
# Docker lets every user in a container bind port 53 (net.ipv4.ip_unprivileged_port_start=0). Podman and Kubernetes do not:
# set that sysctl, or listen on a port above 1023 and map port 53 to it.
EXPOSE 53/udp 53/tcp
# Metrics and dashboard, for who shares the container's network; others need a token (see --admin-token-file).
ENV DOT_PROXY_ADMIN=127.0.0.1:9153
# Asks the listener itself; there is no shell and no curl to do it.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/usr/local/bin/dot-proxy", "healthcheck"]
# nonroot, as a number: only so can Kubernetes check runAsNonRoot.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/dot-proxy"]

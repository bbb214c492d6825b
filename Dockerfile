FROM denoland/deno:2.9.6 AS build
WORKDIR /src
COPY deno.json deno.lock main.ts ./
COPY lib lib
RUN deno task compile

# The variant with glibc, libgcc and libstdc++, which the binary is linked against.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/dot-proxy /usr/local/bin/dot-proxy

# The loopback addresses of a container are of no use to anybody outside. A family that it lacks is no error.
ENV DOT_PROXY_LISTEN=0.0.0.0:53,[::]:53
# Docker lets every user in a container bind port 53 (net.ipv4.ip_unprivileged_port_start=0). Kubernetes does not: set that
# sysctl in the pod's securityContext, or listen on a port above 1023 and map the Service's port 53 to it.
EXPOSE 53/udp 53/tcp
# nonroot, as a number: only so can Kubernetes check runAsNonRoot.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/dot-proxy"]

/**
 * Configurations with which each peer does the same: forward over TLS to one server, verified against one authority
 * and one name, with one worker, a cache for 100,000 answers, and no DNSSEC, logging or prefetching.
 */
import type { Place } from "../rig/peer.ts";

const CACHE_ENTRIES = 100_000;
/** Those that count octets get what 100,000 small answers take. */
export const CACHE_OCTETS = 100 * 1024 * 1024;

/** dnsdist 1.7 answers out of order, and pipelines, only with explicit limits for both. */
export function dnsdist({ port, dotPort, ca, name }: Place): string {
  return `
setLocal("127.0.0.1:${port}", { maxInFlight = 1000, tcpListenQueueSize = 1000 })
setACL({ "127.0.0.0/8" })
setMaxTCPClientThreads(1)
setSecurityPollSuffix("")
newServer({
  address = "127.0.0.1:${dotPort}", tls = "openssl", subjectName = "${name}", caStore = "${ca}",
  validateCertificates = true, maxInFlight = 10000, checkName = "ready.bench.example.net.", checkInterval = 3600,
})
getPool(""):setCache(newPacketCache(${CACHE_ENTRIES}, { maxTTL = 86400 }))
`;
}

export function unbound({ directory, port, dotPort, ca, name }: Place): string {
  return `
server:
  directory: "${directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  verbosity: 0
  do-daemonize: no
  interface: 127.0.0.1@${port}
  so-reuseport: no
  num-threads: 1
  do-ip6: no
  do-not-query-localhost: no
  module-config: "iterator"
  tls-cert-bundle: "${ca}"
  msg-cache-size: ${CACHE_OCTETS}
  rrset-cache-size: ${2 * CACHE_OCTETS}
  incoming-num-tcp: 1000
  outgoing-num-tcp: 100
  num-queries-per-thread: 4096
  outgoing-range: 8192
  jostle-timeout: 2000
  minimal-responses: yes
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@${dotPort}#${name}
  forward-tls-upstream: yes
`;
}

/** Stubby has no cache: getdns asks the upstream for every query. */
export function stubby({ port, dotPort, ca, name }: Place): string {
  return `
resolution_type: GETDNS_RESOLUTION_STUB
dns_transport_list:
  - GETDNS_TRANSPORT_TLS
tls_authentication: GETDNS_AUTHENTICATION_REQUIRED
tls_ca_file: "${ca}"
tls_query_padding_blocksize: 128
edns_client_subnet_private: 1
idle_timeout: 10000
round_robin_upstreams: 0
listen_addresses:
  - 127.0.0.1@${port}
upstream_recursive_servers:
  - address_data: 127.0.0.1
    tls_port: ${dotPort}
    tls_auth_name: "${name}"
`;
}

/**
 * The unloaded modules would ask the root servers. tcp_pipeline holds for connections to the upstream too, and with its
 * default, 100, Knot Resolver answers SERVFAIL to further queries.
 */
export function knotResolver({ directory, port, dotPort, ca, name }: Place): string {
  return `
net.ipv6 = false
net.tcp_pipeline(10000)
net.listen('127.0.0.1', ${port}, { kind = 'dns' })
cache.open(${CACHE_OCTETS}, 'lmdb://${directory}')
for _, name in ipairs({ 'ta_update', 'ta_signal_query', 'priming', 'detect_time_skew' }) do
  modules.unload(name)
end
trust_anchors.remove('.')
policy.add(policy.all(policy.TLS_FORWARD({
  { '127.0.0.1@${dotPort}', hostname = '${name}', ca_file = '${ca}' },
})))
`;
}

export function smartdns({ port, dotPort, ca, name }: Place): string {
  return `
bind 127.0.0.1:${port}
bind-tcp 127.0.0.1:${port}
tcp-idle-time 120
cache-size ${CACHE_ENTRIES}
cache-persist no
prefetch-domain no
serve-expired no
speed-check-mode none
dualstack-ip-selection no
log-level fatal
ca-file ${ca}
server-tls 127.0.0.1:${dotPort} -host-name ${name} -tls-host-verify ${name}
`;
}

/** The shortest configurations with which each server does the rig's work, and nothing beyond loopback. */
import type { TrustAnchors } from "./zones.ts";

/** Common inputs of the configurations. Paths are absolute. */
interface Place {
  readonly directory: string;
  /** BIND's port for DNS in clear: its own, or the one that the resolvers ask. */
  readonly port: number;
  readonly dotPort: number;
  readonly certificate: string;
  readonly key: string;
}

export function bindConfiguration({ directory, port, dotPort, certificate, key }: Place): string {
  const zone = (name: string) => `zone "${name}" { type primary; file "${name}"; };`;
  // max-records-per-type: 100 by default, and one RRset here is to be longer. check-names: so is a name stranger.
  return `
tls dot { cert-file "${certificate}"; key-file "${key}"; };
options {
  directory "${directory}";
  pid-file none; session-keyfile none; lock-file none;
  listen-on port ${port} { 127.0.0.1; };
  listen-on port ${dotPort} tls dot { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion no; dnssec-validation no; notify no; empty-zones-enable no;
  max-records-per-type 0; check-names primary ignore;
};
controls { };
${["example.test", "signed.test", "bogus.test"].map(zone).join("\n")}
`;
}

export function unboundConfiguration(place: Place, anchors: TrustAnchors): string {
  const { directory, port, dotPort, certificate, key } = place;
  const stub = (name: string) => `stub-zone:\n  name: "${name}"\n  stub-addr: 127.0.0.1@${port}\n`;
  // so-reuseport: with it, a second Unbound would share the port instead of failing to have it.
  return `
server:
  directory: "${directory}"
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  interface: 127.0.0.1@${dotPort}
  tls-port: ${dotPort}
  tls-service-pem: "${certificate}"
  tls-service-key: "${key}"
  so-reuseport: no
  num-threads: 1
  do-ip6: no
  do-not-query-localhost: no
  qname-minimisation: no
  local-zone: "test." nodefault
  module-config: "validator iterator"
  trust-anchor: "${anchors.signed}"
  trust-anchor: "${anchors.bogus}"
remote-control:
  control-enable: no
${["example.test", "signed.test", "bogus.test"].map(stub).join("")}`;
}

export function knotResolverConfiguration(place: Place, anchors: TrustAnchors): string {
  const { directory, port, dotPort, certificate, key } = place;
  // The unloaded modules would ask the root servers.
  return `
net.ipv6 = false
net.listen('127.0.0.1', ${dotPort}, { kind = 'tls' })
net.tls('${certificate}', '${key}')
cache.open(10 * MB, 'lmdb://${directory}')
for _, name in ipairs({ 'ta_update', 'ta_signal_query', 'priming', 'detect_time_skew' }) do
  modules.unload(name)
end
trust_anchors.remove('.')
trust_anchors.add('${anchors.signed}')
trust_anchors.add('${anchors.bogus}')
policy.add(policy.all(policy.FORWARD({ '127.0.0.1@${port}' })))
`;
}

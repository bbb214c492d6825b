/** The DoT server that all proxies forward to. It has no clear-text port, so every query came over TLS. */
import { join } from "node:path";
import { Child } from "../../tests/support/processes/child.ts";
import type { Credentials } from "../../tests/support/processes/credentials.ts";
import { answers, tls } from "../../tests/support/processes/dig.ts";
import { freePort, onFreePorts } from "../../tests/support/processes/ports.ts";
import type { Native } from "./native.ts";
import { LOAD_CORE, pinned } from "./processes.ts";
import { pathOf } from "./programs.ts";

/** All questions are for names below it, and each has one address, for a day. */
export const ZONE = "bench.example.net";

export type UpstreamKind = "BIND" | "C";

/** Queries and connections that the upstream has counted since its start. */
export interface Seen {
  readonly queries: number;
  readonly connections: number;
}

/** A running upstream. Disposing ends it. */
export interface Upstream extends AsyncDisposable {
  readonly kind: UpstreamKind;
  readonly dotPort: number;
  seen(): Promise<Seen>;
}

export function startUpstream(
  kind: UpstreamKind,
  native: Native,
  credentials: Credentials,
): Promise<Upstream> {
  return onFreePorts(() => kind === "BIND" ? startBind(native, credentials) : startOwn(native, credentials));
}

async function startBind(native: Native, credentials: Credentials): Promise<Upstream> {
  await using stack = new AsyncDisposableStack();
  const directory = await Deno.makeTempDir({ prefix: "dot-proxy-bench-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const place = { directory, dotPort: freePort(), statisticsPort: freePort() };
  const file = join(directory, "named.conf");
  await Deno.writeTextFile(file, bindConfiguration({ ...place, ...credentials }));
  await Deno.writeTextFile(join(directory, "zone"), BIND_ZONE);
  const command = pinned(LOAD_CORE, {
    program: pathOf("named"),
    args: ["-g", "-n", "1", "-c", file],
    env: { LD_PRELOAD: native.nodelay },
  });
  const child = stack.use(new Child("BIND", command));
  await child.ready(() => answers(tls(place.dotPort, credentials), "NOERROR", `ready.${ZONE}`));
  const owned = stack.move();
  let looks = 0;
  return {
    kind: "BIND",
    dotPort: place.dotPort,
    async seen() {
      const server = await statistics(place.statisticsPort, "server");
      const { sockstats } = await statistics(place.statisticsPort, "net");
      looks += 2; // Each look at the statistics is a connection too.
      return { queries: server.nsstats.ReqTCP, connections: sockstats.TCP4Accept - looks };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

interface Place {
  readonly directory: string;
  readonly dotPort: number;
  readonly statisticsPort: number;
  readonly certificate: string;
  readonly key: string;
}

/** `recursion`: some forwarders accept only answers with RA set. */
function bindConfiguration({ directory, dotPort, statisticsPort, certificate, key }: Place): string {
  return `
tls dot { cert-file "${certificate}"; key-file "${key}"; };
options {
  directory "${directory}";
  pid-file none; session-keyfile none; lock-file none;
  listen-on port ${dotPort} tls dot { 127.0.0.1; };
  listen-on-v6 { none; };
  recursion yes; allow-recursion { 127.0.0.1; };
  dnssec-validation no; notify no; empty-zones-enable no; minimal-responses yes;
  tcp-clients 1000;
};
statistics-channels { inet 127.0.0.1 port ${statisticsPort} allow { 127.0.0.1; }; };
controls { };
zone "${ZONE}" { type primary; file "zone"; };
`;
}

const BIND_ZONE = `$TTL 86400
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 127.0.0.1
* A 192.0.2.1
`;

interface Statistics {
  readonly nsstats: { readonly ReqTCP: number };
  readonly sockstats: { readonly TCP4Accept: number };
}

async function statistics(port: number, part: "server" | "net"): Promise<Statistics> {
  // A new connection each time, so that they can be counted.
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const response = await fetch(`http://127.0.0.1:${port}/json/v1/${part}`, { client });
  return await response.json();
}

async function startOwn(native: Native, credentials: Credentials): Promise<Upstream> {
  await using stack = new AsyncDisposableStack();
  const dotPort = freePort();
  const { certificate, key } = credentials;
  const program = native.dot_server;
  const child = stack.use(
    new Child("dot_server", pinned(LOAD_CORE, { program, args: [`${dotPort}`, certificate, key] })),
  );
  await child.ready(() => answers(tls(dotPort, credentials), "NOERROR", `ready.${ZONE}`));
  const owned = stack.move();
  return {
    kind: "C",
    dotPort,
    async seen() {
      const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
      await socket.send(new Uint8Array(1), { transport: "udp", hostname: "127.0.0.1", port: dotPort });
      const [text] = await socket.receive();
      socket.close();
      const [queries, connections] = new TextDecoder().decode(text).split(" ").map(Number);
      return { queries: queries ?? 0, connections: connections ?? 0 };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/**
 * The effect of an upstream's faults: `deno run --allow-all bench/experiments/faults.ts [--traffic TEXT] [--only TEXT]`. The table of
 * faults of tests/faults/, put to dot-proxy and, beside it and at the same time, to dnsdist, Unbound and Stubby.
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "@std/cli/parse-args";
import { issueCredentials } from "../../tests/support/processes/credentials.ts";
import {
  ask,
  type Fault,
  NAME_FAULTS,
  type Outcome,
  TIMEOUT,
  TRAFFIC,
  type Traffic,
  UPSTREAM_FAULTS,
  Upstreams,
  warmUp,
} from "../../tests/faults/table.ts";
import type { Peer } from "../rig/peer.ts";
import { dotProxy, PEERS } from "../compare/peers.ts";
import { spawnPeer } from "../rig/running_peer.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const RIVALS = ["dnsdist", "Unbound", "Stubby"];

/** Response of the affected name, failures of others, and the slowest of them. */
function summary(outcomes: readonly Outcome[]): string {
  const isBad = ({ name }: Outcome) => name.startsWith("bad");
  const bad = [...new Set(outcomes.filter(isBad).map(({ got }) => got))].join("/");
  const others = outcomes.filter((each) => !isBad(each));
  const failed = others.filter(({ got }) => got !== "answer").length;
  const longest = Math.max(...others.map(({ milliseconds }) => milliseconds));
  return `${bad}; ${failed} of ${others.length} failed; ${longest} ms`;
}

async function run(peer: Peer, fault: Fault, traffic: Traffic): Promise<string> {
  await using stack = new AsyncDisposableStack();
  const { certificate, key, ca, name } = stack.use(await issueCredentials());
  const pem = { certificate: await Deno.readTextFile(certificate), key: await Deno.readTextFile(key) };
  // Until the peer is warm, an upstream that suffers as a whole is well.
  const { behavior, admission, ...atFirst } = fault;
  const upstreams = stack.use(await Upstreams.start(atFirst, 1, { ...pem, pin: "" }));
  const [server] = upstreams.servers;
  const { port } = stack.use(await spawnPeer(peer, { dotPort: upstreams.addresses[0]!.port, ca, name }));
  const address = { hostname: "127.0.0.1", port };
  await warmUp(address);
  if (behavior) server!.behavior = behavior;
  if (admission) server!.admission = admission;
  if (fault.admission) { for (const connection of server!.connections) connection.cut(); }
  return summary(await ask(address, traffic));
}

const { only = "", traffic: wanted = "" } = parseArgs(Deno.args, { string: ["only", "traffic"] });
const peers = [
  dotProxy("dot-proxy", ROOT, ["--timeout", `${TIMEOUT}ms`]),
  ...PEERS.filter(({ name }) => RIVALS.includes(name)),
];
const cell = (text: string) => `| ${text} `;
for (const traffic of TRAFFIC.filter(({ what }) => what.includes(wanted))) {
  console.log(`\n${traffic.what}: what the affected name got; others that failed; the slowest of them\n`);
  console.log(["Fault", ...peers.map(({ name }) => name)].map(cell).join("") + "|");
  console.log(cell("---").repeat(peers.length + 1) + "|");
  for (const fault of [...NAME_FAULTS, ...UPSTREAM_FAULTS].filter(({ what }) => what.includes(only))) {
    const results = await Promise.all(peers.map((peer) => run(peer, fault, traffic)));
    console.log([fault.what, ...results].map(cell).join("") + "|");
  }
}

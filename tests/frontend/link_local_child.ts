/**
 * Listens on an address of the last of three links, and asks there from a host that has nothing but a link-local address.
 * In a network namespace of its own; as "client" in another one. Prints as JSON how many queries were answered.
 */
import { Listeners } from "../../lib/frontend/listeners.ts";
import { openLibrary } from "../../lib/platform/libc.ts";
import { askTcp, UdpClient } from "../support/clients/plain_client.ts";
import { addressed, FakeResolver, later } from "../support/fakes/resolver.ts";
import { modeConfig } from "../support/mode.ts";
import { query } from "../support/packets/packets.ts";
import { answererFor, Events } from "./fixture.ts";

const SERVER = { hostname: "fd00:3::1", port: 53 };
/** Each query from a socket of its own, one after the other: each wakes the server by itself. */
const QUERIES = 4;

async function run(line: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("sh", { args: ["-c", line] }).output();
  if (!success) throw new Error(`${line}: ${new TextDecoder().decode(stderr)}`);
}

/** Addresses count at once, with no look whether others have them. */
const AT_ONCE =
  "echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad";

async function serve(): Promise<void> {
  await run(
    `${AT_ONCE}; ip link set lo up; ip link add lan0 type veth peer name far0; ip link set lan0 up; ip link set far0 up`,
  );
  const client = new Deno.Command("unshare", {
    args: ["--net", Deno.execPath(), "run", "--allow-all", import.meta.filename!, "client"],
    stdin: "piped",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  await run(
    `until [ "$(readlink /proc/${client.pid}/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.01; done`,
  );
  await run(`ip link add lan1 type veth peer name eth0 netns ${client.pid} && ip link set lan1 up`);
  await run("ip address add fd00:3::1/64 dev lan1 nodad");
  using _listeners = new Listeners([{ ...SERVER, required: true }], {
    answerer: answererFor({
      resolver: new FakeResolver((query) =>
        query.message.name.startsWith("later") ? later(query) : addressed(query)
      ),
      events: new Events(),
    }),
    observe: () => {},
    maxClients: 10,
    maxClientsPerAddress: 10,
    library: openLibrary(modeConfig().udpBatch),
    limits: { idleTimeoutMs: 10_000, maxPipelined: 10, now: () => 0 },
  });
  await client.stdin.close();
  const { success } = await client.status;
  if (!success) throw new Error("the client failed");
}

async function ask(): Promise<void> {
  for await (const _ of Deno.stdin.readable); // until there is a server
  await run(`${AT_ONCE}; ip link set lo up; ip link set eth0 up; ip route add fd00:3::/64 dev eth0`);
  await run("until ip -6 addr show dev eth0 scope link -tentative | grep -q inet6; do sleep 0.01; done");
  const outcomes: string[] = [];
  for (let i = 0; i < QUERIES; i++) {
    for (const name of ["now.test", "later.test"]) {
      using client = new UdpClient(SERVER, "::");
      await client.send(query(name));
      outcomes.push(await client.receive({ timeout: 2_000 }).then(() => "udp", () => "no udp"));
    }
  }
  outcomes.push(await askTcp(SERVER, query("now.test")).then(() => "tcp", () => "no tcp"));
  console.log(JSON.stringify(outcomes));
}

if (Deno.args[0] === "client") await ask();
else await serve();
Deno.exit(0);

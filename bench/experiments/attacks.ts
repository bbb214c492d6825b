/**
 * What honest clients lose while others attack, beside Unbound: `deno run --allow-all bench/experiments/attacks.ts [--only
 * unanswerable,records] [--seconds 8] [--source CHECKOUT]`. Prints a row for each attack and program; the exit code is 1
 * where dot-proxy's clients lose more than Unbound's.
 */
import { parseArgs } from "@std/cli/parse-args";
import { connect } from "node:net";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { SERVER_NAME } from "../../tests/support/processes/credentials.ts";
import { addressed, answering, DotServer } from "../../tests/support/servers/dot_server.ts";
import { Authority } from "../../tests/support/servers/certificates.ts";
import { concat, frame } from "../../tests/support/packets/frames.ts";
import { readName } from "../../tests/support/packets/names.ts";
import { a, padding, query, response } from "../../tests/support/packets/packets.ts";
import type { Peer } from "../rig/peer.ts";
import { dotProxy, PEERS } from "../compare/peers.ts";
import { peakMemory } from "../rig/processes.ts";
import { spawnPeer } from "../rig/running_peer.ts";
import { figure } from "../compare/summary.ts";

const { only, seconds, source } = parseArgs(Deno.args, {
  string: ["only", "seconds", "source"],
  default: { seconds: "8" },
});
const SECONDS = Number(seconds);
/** Of the honest clients, a second: known names, and new ones. */
const HITS = 100;
const MISSES = 50;
/** An honest client waits so long for an answer, in ms. */
const PATIENCE = 2000;
/** Share of honest queries that one run may lose by chance. */
const CHANCE = 0.01;

/** Attacks until the time, in ms of `performance.now()`. */
type Attack = (port: number, end: number) => Promise<void>;

const ATTACKS: Readonly<Record<string, Attack>> = {
  /** Queries of 64 kB with 5,000 records, whose owners lead through chains of pointers (S5). */
  records: (port, end) => pipelining(port, end, chains(), 1),
  /** 1,500 names a second that no upstream answers (S8). */
  unanswerable: (port, end) => flooding(port, end, 1500, (i) => query(`never-${i}.bench.net`)),
  /** 1,000 queries of 60 kB on twenty connections, for a name that is not answered (S7). */
  padded: (port, end) => {
    const asked = query("never.bench.net", "A", { edns: { options: [padding(60_000)] } });
    return holding(port, end, 20, Array<Uint8Array>(50).fill(asked));
  },
  /** 1,500 queries a second for 4,000 addresses, over UDP (S16). */
  large: (port, end) => flooding(port, end, 1500, () => query("big.bench.net", "A", { edns: {} })),
  /** A thousand TCP clients that ask for them forty times each and never read (S16). */
  unread: (port, end) => holding(port, end, 1000, Array<Uint8Array>(40).fill(query("big.bench.net"))),
  /** 400 failures a second, each with a reason of 60 kB (S6). */
  reasons: (port, end) => flooding(port, end, 400, (i) => query(`reason-${i}.bench.net`, "A", { edns: {} })),
};

/** The upstream: the first label of a name decides. */
const behavior = answering((asked, connection) => {
  const { name } = readName(asked, 12);
  if (name.startsWith("never")) return undefined;
  if (name.startsWith("reason")) {
    const reason = { code: 15, value: new Uint8Array(60_000).fill(0x78, 2) };
    return response(asked, { rcode: 2, edns: { options: [reason] } });
  }
  if (!name.startsWith("big")) return addressed()(asked, connection);
  return response(asked, {
    answers: Array.from({ length: 4000 }, (_, i) => a(name, `20.0.${i >> 8}.${i & 255}`)),
  });
});

function chains(): Uint8Array {
  const asked = query("localhost");
  const fixed = Uint8Array.of(0, 16, 0, 1, 0, 0, 0, 0);
  const name = Uint8Array.of(...Array.from({ length: 126 }, () => [1, 0x61]).flat(), 0);
  const pointer = (target: number) => Uint8Array.of(0xc0 | target >> 8, target);
  const at = asked.length;
  const data = at + name.length + 10 + 12;
  const links = Array.from({ length: 120 }, (_, i) => pointer(i === 0 ? at : data + 2 * (i - 1)));
  const record = concat(pointer(data + 238), fixed, new Uint8Array(2));
  const records = Array<Uint8Array>(5400).fill(record);
  const whole = concat(
    asked,
    name,
    fixed,
    new Uint8Array(2),
    pointer(at),
    fixed,
    Uint8Array.of(0, 240),
    ...links,
    ...records,
  );
  whole.set([5402 >> 8, 5402 & 255], 10);
  return whole;
}

async function flooding(
  port: number,
  end: number,
  rate: number,
  make: (i: number) => Uint8Array,
): Promise<void> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.66", port: 0 });
  const to = { transport: "udp", hostname: "127.0.0.1", port } as const;
  const start = performance.now();
  for (let sent = 0; performance.now() < end;) {
    for (const due = (performance.now() - start) * rate / 1000; sent < due; sent++) {
      const asked = make(sent);
      asked.set([sent >> 8, sent & 255]);
      await socket.send(asked, to).catch(() => {});
    }
    await pause(5);
  }
  socket.close();
}

/** Sends one query after the other over a few connections, and reads the responses. */
async function pipelining(port: number, end: number, asked: Uint8Array, connections: number): Promise<void> {
  await Promise.all(Array.from({ length: connections }, async () => {
    while (performance.now() < end) {
      try {
        using socket = await Deno.connect({ hostname: "127.0.0.1", port });
        void socket.readable.pipeTo(new WritableStream()).catch(() => {});
        while (performance.now() < end) await writeAll(socket, frame(asked), end);
      } catch {
        await pause(10);
      }
    }
  }));
}

/** Sends all at once over each of many connections, 32 of each address, and keeps them without reading. */
async function holding(
  port: number,
  end: number,
  connections: number,
  asked: readonly Uint8Array[],
): Promise<void> {
  const octets = frame(...asked.map((each, id) => concat(Uint8Array.of(id >> 8, id), each.subarray(2))));
  const sockets = Array.from({ length: connections }, (_, i) => {
    const socket = connect({ host: "127.0.0.1", port, localAddress: `127.9.0.${1 + (i >> 5)}` });
    socket.on("error", () => {}); // Closed by the server, which is its right.
    socket.write(octets);
    return socket;
  });
  await pause(end - performance.now());
  for (const socket of sockets) socket.destroy();
}

async function writeAll(socket: Deno.TcpConn, octets: Uint8Array, end: number): Promise<void> {
  for (let rest = octets; rest.length > 0 && performance.now() < end;) {
    rest = rest.subarray(await socket.write(rest));
  }
}

interface Honest {
  sent: number;
  answered: number;
  /** In ms. */
  readonly times: number[];
}

/** Honest queries over UDP, known names and new ones. */
async function asking(port: number, end: number, rate: number, name: (i: number) => string): Promise<Honest> {
  const socket = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const honest: Honest = { sent: 0, answered: 0, times: [] };
  const sentAt = new Map<number, number>();
  void (async () => {
    const buffer = new Uint8Array(4096);
    for (;;) {
      const [reply] = await socket.receive(buffer);
      const id = reply[0]! << 8 | reply[1]!;
      const at = sentAt.get(id);
      sentAt.delete(id);
      const passed = performance.now() - (at ?? -Infinity);
      if (passed > PATIENCE || (reply[3]! & 15) !== 0) continue;
      honest.answered++;
      honest.times.push(passed);
    }
  })().catch(() => {}); // the socket is closed at the end
  for (const start = performance.now(); performance.now() < end;) {
    for (const due = (performance.now() - start) * rate / 1000; honest.sent < due; honest.sent++) {
      sentAt.set(honest.sent & 0xffff, performance.now());
      const asked = query(name(honest.sent), "A", { id: honest.sent & 0xffff });
      await socket.send(asked, { transport: "udp", hostname: "127.0.0.1", port }).catch(() => {});
    }
    await pause(2);
  }
  await pause(PATIENCE);
  socket.close();
  return honest;
}

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** The share of honest queries that is lost. */
async function measure(
  name: string,
  peer: Peer,
  place: { dotPort: number; ca: string; name: string },
): Promise<number> {
  await using running = await spawnPeer(peer, place);
  const { port, child } = running;
  await child.ready(async () =>
    (await asking(port, performance.now() + 50, 100, () => "big.bench.net")).answered > 0
  );
  await asking(port, performance.now() + 1000, HITS, (i) => `known${i % 10}.bench.net`);
  const begin = performance.now();
  const attack = ATTACKS[name]!(port, begin + 1000 * (SECONDS + 1));
  await pause(1000);
  const end = begin + 1000 * SECONDS;
  const [hits, misses] = await Promise.all([
    asking(port, end, HITS, (i) => `known${i % 10}.bench.net`),
    asking(port, end, MISSES, (i) => `new-${begin.toFixed()}-${i}.bench.net`),
  ]);
  await attack;
  const told = ({ answered, sent, times }: Honest) => {
    const ms = times.length > 0 ? figure(times).median.toFixed(1) : "-";
    return `${answered}/${sent}, ${ms} ms`;
  };
  const memory = `${peakMemory(child.pid) >> 20} MB`;
  console.log(`| ${name} | ${peer.name} | ${told(hits)} | ${told(misses)} | ${memory} |`);
  await child.stop();
  return 1 - (hits.answered + misses.answered) / (hits.sent + misses.sent);
}

async function main(): Promise<boolean> {
  const authority = await Authority.create();
  const certificate = await authority.issue({ names: [SERVER_NAME], addresses: ["127.0.0.1"] });
  const ca = await Deno.makeTempFile({ prefix: "dot-proxy-bench-", suffix: ".pem" });
  await Deno.writeTextFile(ca, authority.pem);
  await using server = await DotServer.start({ certificate, behavior });
  const place = { dotPort: server.address.port, ca, name: SERVER_NAME };
  const checkout = resolve(source ?? fileURLToPath(new URL("../../", import.meta.url)));
  const ours = dotProxy("dot-proxy", checkout, ["--special-names", "forward"]);
  const unbound = PEERS.find(({ name }) => name === "Unbound")!;
  console.log("| attack | program | hits answered, median | misses | peak memory |\n|---|---|---|---|---|");
  let isGood = true;
  for (const name of Object.keys(ATTACKS)) {
    if (only && !only.split(",").includes(name)) continue;
    const lost = await measure(name, ours, place);
    if (lost > await measure(name, unbound, place) + CHANCE) isGood = false;
  }
  await Deno.remove(ca);
  return isGood;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);

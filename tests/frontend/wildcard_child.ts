/** Listens on both wildcards, asks each address over UDP and TCP, and prints as JSON the addresses that replied. */
import { Listeners } from "../../lib/frontend/listeners.ts";
import { openLibrary } from "../../lib/platform/libc.ts";
import { addressed, FakeResolver } from "../support/fakes/resolver.ts";
import { frame } from "../support/packets/frames.ts";
import { modeConfig } from "../support/mode.ts";
import { query } from "../support/packets/packets.ts";
import { within } from "../support/within.ts";
import { answererFor, Events, withTicks } from "./fixture.ts";

const PORT = 53;
const events = new Events();
const asked = query("example.com");

const { made: listeners, tick } = withTicks(() =>
  new Listeners(["0.0.0.0", "::"].map((hostname) => ({ hostname, port: PORT, required: true })), {
    answerer: answererFor({ resolver: new FakeResolver((query) => addressed(query)), events }),
    observe: events.observe,
    maxClients: 10,
    maxClientsPerAddress: 10,
    library: openLibrary(modeConfig().udpBatch),
    limits: { idleTimeoutMs: 10_000, maxPipelined: 10, now: () => 0 },
  })
);

/** From where an unconnected socket, which takes datagrams from anyone, is answered. */
async function udpFrom(hostname: string): Promise<string> {
  const unspecified = hostname.includes(":") ? "::" : "0.0.0.0";
  const socket = Deno.listenDatagram({ transport: "udp", hostname: unspecified, port: 0 });
  try {
    await socket.send(asked, { transport: "udp", hostname, port: PORT });
    const [, from] = await within(1_000, socket.receive(), "an answer");
    return `udp ${(from as Deno.NetAddr).hostname}`;
  } catch {
    return "udp nobody";
  } finally {
    socket.close();
  }
}

async function tcpFrom(hostname: string): Promise<string> {
  try {
    using socket = await Deno.connect({ hostname, port: PORT });
    await socket.write(frame(asked));
    const bytes = await within(1_000, socket.read(new Uint8Array(512)), "an answer");
    return bytes ? `tcp ${socket.remoteAddr.hostname}` : "tcp nobody";
  } catch {
    return "tcp nobody";
  }
}

async function from(hostname: string): Promise<string[]> {
  return [await udpFrom(hostname), await tcpFrom(hostname)];
}

async function ip(...args: string[]): Promise<void> {
  await new Deno.Command("ip", { args: ["address", ...args, "dev", "lo"] }).output();
}

const answered: Record<string, string[]> = {};
for (const { hostname } of listeners.addresses) answered[hostname] = await from(hostname);
await ip("add", "10.9.9.2/32");
tick();
const afterAdding = await from("10.9.9.2");
await ip("del", "10.9.9.1/32");
tick();
const afterRemoving = await from("10.9.9.1");
const stillThere = await from("10.9.9.2");
listeners[Symbol.dispose]();
console.log(
  JSON.stringify({ answered, afterAdding, afterRemoving, stillThere, skipped: events.of("skipped") }),
);
Deno.exit(0);

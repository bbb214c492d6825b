/** Denied clients and rejected messages over the network, and their metrics. */
import type { PolicyConfig } from "../../lib/config/policy_config.ts";
import { parseNetwork } from "../../lib/net/ip_network.ts";
import { Counters } from "../../lib/observe/counters.ts";
import { metrics } from "../../lib/observe/metrics.ts";
import { question } from "../support/clients/query_client.ts";
import { assertEquals } from "../support/assert.ts";
import { TcpClient, UdpClient } from "../support/clients/plain_client.ts";
import { hex, query, read } from "../support/packets/packets.ts";
import { OPEN } from "../support/fakes/policy.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { RunningProxy, type RunningProxyOptions } from "../support/processes/running_proxy.ts";

const MESSAGES = [1, 2, 3, 4, 5].map((id) => question("localhost", id));
/** A burst of two queries, and no further one during a test. */
const RATE = { perSecond: 1e-6, burst: 2 };

/** A proxy that answers for localhost. Its upstream does not exist. */
function start(policy: Partial<PolicyConfig>, options: Partial<RunningProxyOptions> = {}): RunningProxy {
  return new RunningProxy({
    upstreams: ["127.0.53.22:1"],
    policy: { ...OPEN, specialNames: "local", ...policy },
    wantsEach: true,
    ...options,
  });
}

/** Sends all messages from one socket, and returns the RCODE and TC flag of a number of replies. */
async function askUdp(proxy: RunningProxy, messages: readonly Uint8Array[], replies: number) {
  using client = new UdpClient(proxy.address);
  for (const message of messages) await client.send(message);
  return await takeAll(replies, () => client.receive());
}

/** As `askUdp`, over one TCP connection. */
async function askTcp(proxy: RunningProxy, messages: readonly Uint8Array[], replies: number) {
  await using client = await TcpClient.connect(proxy.address);
  await client.send(...messages);
  return await takeAll(replies, async () => (await client.receive())!);
}

/** Receives a number of replies. Sorted. */
async function takeAll(replies: number, receive: () => Promise<Uint8Array>): Promise<string[]> {
  const all: string[] = [];
  while (all.length < replies) all.push(told(await receive()));
  return all.sort();
}

function told(reply: Uint8Array): string {
  const { rcode, flags } = read(reply);
  return `${rcode}${flags.tc ? " truncated" : ""}`;
}

/** Samples of a metric after a number of events of its kind. Sorted. */
async function samples(proxy: RunningProxy, kind: "denied" | "rejected", events: number) {
  await proxy.until((proxy) => proxy.count(kind) === events);
  const counters = new Counters();
  for (const event of proxy.events) counters.observe(event);
  const nothing = { upstreams: () => [], cache: () => undefined, queryLogDropped: () => 0, version: "1.2.3" };
  const lines = (await metrics({ counters, ...nothing }).text()).split("\n");
  const name = `dot_proxy_${kind === "denied" ? "denied_queries" : "rejected_messages"}_total`;
  return lines.filter((line) => line.startsWith(`${name}{`)).map((line) => line.slice(name.length)).sort();
}

Deno.test("denied clients are counted by transport and answer", async () => {
  await using proxy = start({ deny: [parseNetwork("127.0.0.1")] });
  assertEquals(await askUdp(proxy, MESSAGES, 5), Array(5).fill("5"));
  assertEquals(await askTcp(proxy, MESSAGES.slice(2), 3), Array(3).fill("5"));
  assertEquals(await samples(proxy, "denied", 8), [
    '{transport="tcp",reason="not allowed",response="refused"} 3',
    '{transport="udp",reason="not allowed",response="refused"} 5',
  ]);
  assertEquals(proxy.count("answered"), 0);
});

Deno.test("denied clients are counted as silence with --deny-answer=silence", async () => {
  await using proxy = start({ deny: [parseNetwork("127.0.0.1")], denyAnswer: "silence" });
  await askUdp(proxy, MESSAGES, 0);
  await using client = await TcpClient.connect(proxy.address);
  await client.closed(); // before it takes a slot
  assertEquals(await samples(proxy, "denied", 6), [
    '{transport="tcp",reason="not allowed",response="none"} 1',
    '{transport="udp",reason="not allowed",response="none"} 5',
  ]);
  assertEquals(proxy.count("answered"), 0);
});

Deno.test("a denied client gets a TCP connection and REFUSED only below the connection limit", async () => {
  await using proxy = start({ deny: [parseNetwork("127.0.0.1")] }, { maxTcpClients: 1, ...ONE_THREAD });
  await using first = await TcpClient.connect(proxy.address);
  await first.send(MESSAGES[0]!);
  assertEquals(told((await first.receive())!), "5");
  await using second = await TcpClient.connect(proxy.address);
  await second.closed();
  await first.send(MESSAGES[1]!);
  assertEquals(told((await first.receive())!), "5", "it was not evicted");
  assertEquals(await samples(proxy, "denied", 3), [
    '{transport="tcp",reason="not allowed",response="none"} 1',
    '{transport="tcp",reason="not allowed",response="refused"} 2',
  ]);
});

Deno.test("a client above the rate limit is counted by transport and answer", async () => {
  await using proxy = start({ rateLimit: RATE });
  assertEquals(await askUdp(proxy, MESSAGES, 4), ["0", "0", "0 truncated", "0 truncated"]);
  assertEquals(await askTcp(proxy, MESSAGES, 4), ["0", "0", "5", "5"]);
  assertEquals(await samples(proxy, "denied", 6), [
    '{transport="tcp",reason="rate limit",response="none"} 1',
    '{transport="tcp",reason="rate limit",response="refused"} 2',
    '{transport="udp",reason="rate limit",response="none"} 1',
    '{transport="udp",reason="rate limit",response="truncated"} 2',
  ]);
  assertEquals(proxy.count("answered"), 4);
});

Deno.test("rejected messages are counted by transport and RCODE", async () => {
  await using proxy = start({});
  const status = query("localhost", "A", { opcode: 2 });
  const malformed = hex("beef 0100 0001 0000 0000 0000 3f");
  const response = hex("beef 8000 0000 0000 0000 0000");
  assertEquals(await askUdp(proxy, [status, malformed, response, malformed], 3), ["1", "1", "4"]);
  assertEquals(await askTcp(proxy, [query("localhost", "AXFR"), response], 1), ["4"]);
  assertEquals(await samples(proxy, "rejected", 6), [
    '{transport="tcp",rcode="NOTIMP"} 1',
    '{transport="tcp",rcode="none"} 1',
    '{transport="udp",rcode="FORMERR"} 2',
    '{transport="udp",rcode="NOTIMP"} 1',
    '{transport="udp",rcode="none"} 1',
  ]);
});

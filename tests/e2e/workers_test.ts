/** The process on several threads, as its operator sees it: as one. */
import { assert, assertEquals } from "../support/assert.ts";
import { askUdp } from "../support/clients/plain_client.ts";
import { query, read } from "../support/packets/packets.ts";
import { startOperatedProxy } from "./operated_proxy.ts";

/** So many clients that a thread without one is not to be seen: (2/3)^100. */
const CLIENTS = 100;

Deno.test("metrics, query log, cache and log are those of all threads, and SIGTERM ends them all", async () => {
  const queryLog = await Deno.makeTempFile({ prefix: "dot-proxy-e2e-" });
  await using stack = new AsyncDisposableStack();
  stack.defer(() => Deno.remove(queryLog));
  const options = ["--workers", "3", "--udp-batch", "auto", "--query-log", queryLog];
  await using operated = await startOperatedProxy(1, ...options);
  const { address, child, servers: [server], url } = operated;
  for (let i = 0; i < CLIENTS; i++) {
    assertEquals(read(await askUdp(address, query(`name${i}.example`, "A"))).rcode, 0);
  }
  assertEquals([server!.received, server!.connections.length], [CLIENTS, 3]);

  const metrics = await (await fetch(`${url}metrics`)).text();
  const sample = (name: string) => Number(new RegExp(`^${name}(?:{.*})? (.*)$`, "m").exec(metrics)?.[1]);
  assertEquals(sample("dot_proxy_queries_total"), CLIENTS);
  assertEquals(sample("dot_proxy_query_duration_seconds_count"), CLIENTS);
  assertEquals(sample("dot_proxy_upstream_connections"), 3);
  assertEquals(sample("dot_proxy_upstream_up"), 1);
  assertEquals(sample("dot_proxy_cache_entries"), CLIENTS);
  const status = await (await fetch(`${url}api/status`)).json();
  assertEquals([status.answers.byRcode, status.upstreams.length], [{ NOERROR: CLIENTS }, 1]);

  const flushed = await fetch(`${url}api/cache/flush?suffix=example`, { method: "POST" });
  assertEquals(await flushed.json(), { flushed: CLIENTS });
  Deno.kill(child.pid, "SIGHUP");
  await child.says(/reloaded on SIGHUP/);
  assertEquals(await child.stop(), 0);
  const lines = (await Deno.readTextFile(queryLog)).trim().split("\n");
  assertEquals(new Set(lines.map((line) => line.split(" ")[3])).size, CLIENTS);
  assertEquals(child.log.match(/ (up|warning|error)\b/g), [" up"], child.log);
  assert(child.log.endsWith("info stopped\n"), child.log);
});

import { isHealthy } from "../../lib/commands/healthcheck.ts";
import { assertEquals } from "../support/assert.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

Deno.test("isHealthy is true for a proxy that listens, although its upstream is down", async () => {
  await using proxy = new RunningProxy({ upstreams: ["127.0.53.9:1"] });
  const { hostname, port } = proxy.address;
  assertEquals(await isHealthy({ hostname, port, required: true }), true);
  assertEquals(await isHealthy({ hostname: "0.0.0.0", port, required: true }), true);
  assertEquals(proxy.count("answered"), 0);
});

Deno.test("isHealthy is false when nothing responds", async () => {
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  assertEquals(await isHealthy({ hostname: "127.0.0.1", port: silent.addr.port, required: true }), false);
});

import { isHealthy } from "../../lib/commands/healthcheck.ts";
import { assertEquals } from "../support/assert.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

Deno.test("a proxy that listens is healthy, whether or not its upstream is", async () => {
  await using proxy = new RunningProxy({ upstreams: ["127.0.53.9:1"] });
  const { hostname, port } = proxy.address;
  assertEquals(await isHealthy([{ hostname, port, required: true }]), true);
  assertEquals(await isHealthy([{ hostname: "0.0.0.0", port, required: true }]), true);
  assertEquals(proxy.count("answered"), 0);
});

Deno.test("where nobody answers it is not", async () => {
  using deaf = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  assertEquals(await isHealthy([{ hostname: "127.0.0.1", port: deaf.addr.port, required: true }]), false);
});

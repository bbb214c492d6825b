/** The compose example. No kept package has the compose specification's schema; `docker compose` reads the file in CI. */
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import metadata from "../../deno.json" with { type: "json" };
import { parseConfig } from "../../lib/config/config.ts";
import { assert, assertEquals, assertMatch } from "../support/assert.ts";

const ROOT = new URL("../../", import.meta.url);
const { services, networks } = parse(await Deno.readTextFile(new URL("deploy/compose.yaml", ROOT)));
const { "dot-proxy": proxy, example } = services;
const dockerfile = await Deno.readTextFile(new URL("Dockerfile", ROOT));

Deno.test("the compose example builds this version, with options that it accepts", () => {
  assertEquals(proxy.image, `dot-proxy:${metadata.version}`);
  assertEquals(new URL(`${proxy.build}/`, new URL("deploy/", ROOT)).pathname, fileURLToPath(ROOT));
  const [, name = "", value = ""] = /^ENV (DOT_PROXY_LISTEN)=(\S+)/m.exec(dockerfile) ?? [];
  const config = parseConfig([], { [name]: value, ...proxy.environment });
  assert(typeof config === "object");
  assertEquals(config.listen.map(({ port }) => port), [53, 53]);
  assertEquals(Number(proxy.sysctls["net.ipv4.ip_unprivileged_port_start"]), 53);
});

Deno.test("the compose example is open to the host alone, for UDP and TCP", () => {
  assertEquals(proxy.ports, ["127.0.0.1:53:53/udp", "127.0.0.1:53:53/tcp"]);
  assertEquals(example.ports, undefined);
});

Deno.test("the compose example's containers have no privileges and nothing to write to", () => {
  for (const service of [proxy, example]) {
    assertEquals([service.read_only, service.cap_drop, service.cap_add], [true, ["ALL"], undefined]);
    assertEquals(service.security_opt, ["no-new-privileges:true"]);
    assertEquals(service.privileged, undefined);
  }
  assertEquals(example.user, "65534:65534"); // The proxy's is the image's.
});

Deno.test("the compose example's program asks the proxy, once that is healthy", () => {
  const address: string = proxy.networks.dns.ipv4_address;
  const [{ subnet }] = networks.dns.ipam.config;
  assert(
    subnet.endsWith(".0/24") && address.startsWith(subnet.slice(0, -"0/24".length)),
    `${address} in ${subnet}`,
  );
  assertEquals([example.dns, example.networks], [[address], ["dns"]]);
  assertEquals(example.depends_on, { "dot-proxy": { condition: "service_healthy" } });
  const [program] = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(dockerfile)?.[1] ?? "[]");
  assertEquals(proxy.healthcheck.test, ["CMD", program, "healthcheck"]);
});

Deno.test("the compose example pins versions, and gives the proxy time to stop", () => {
  for (const { image } of [proxy, example]) assertMatch(image, /:\d+\.\d+\.\d+$/);
  assert(parseInt(proxy.stop_grace_period) > 5);
});

/** Inspection and flush of the cache by the operator. */
import { askEach, assertRight, names } from "../support/clients/query_client.ts";
import { assert, assertEquals, assertRejects } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import { DotServer } from "../support/servers/dot_server.ts";
import { ONE_THREAD } from "../support/mode.ts";
import { RunningProxy } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });

Deno.test("the cache shows its entries of a name, and flushes the selected ones", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  await using proxy = new RunningProxy({
    upstreams: [server],
    caCerts: [AUTHORITY.pem],
    cacheSize: 1 << 20,
    ...ONE_THREAD,
  });
  assertRight(await askEach(proxy.address, names(5)));
  const cache = proxy.proxy.cacheControl!;
  assertEquals(await cache.inspect("other.test"), []);
  await assertRejects(async () => await cache.inspect("a..b"), TypeError);
  const [answer, ...others] = await cache.inspect("NAME0.test");
  assertEquals([answer?.type, answer?.rcode, answer?.answers, others.length], [1, 0, 1, 0]);
  assert(answer!.secondsLeft > 0);

  assertEquals(await cache.flush({ name: "name0.test" }), 1);
  const left = await Promise.all(["name0.test", "name1.test"].map((name) => cache.inspect(name)));
  assertEquals(left.map(({ length }) => length), [0, 1]);
  assertRight(await askEach(proxy.address, names(5)));
  assertEquals([server.receivedFor("name0.test"), server.receivedFor("name1.test")], [2, 1]);
  assertEquals([await cache.flush({ suffix: "test" }), proxy.proxy.cache?.entries], [5, 0]);
});

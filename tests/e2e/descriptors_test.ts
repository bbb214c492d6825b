/** A proxy that may have few file descriptors, and clients that want them all (part 4, rows 1, 1b and 2; S9, S10). */
import { assert, assertEquals, assertMatch } from "../support/assert.ts";
import { askTcp } from "../support/clients/plain_client.ts";
import { HostedProxy } from "./hosted_proxy.ts";

/** As many connections as there can be, which do nothing. */
async function crowd(address: Deno.NetAddr, count: number): Promise<Disposable> {
  const stack = new DisposableStack();
  for (let i = 0; i < count; i++) {
    stack.use(await Deno.connect({ hostname: address.hostname, port: address.port }));
  }
  return stack;
}

for (const limit of [96, 256, 1024]) {
  Deno.test(`with ${limit} descriptors idle TCP clients block neither other clients nor the operator`, async () => {
    // Of several threads each has a part of the clients, and those of so few places would be too small to share.
    await using proxy = await HostedProxy.start({
      descriptors: limit,
      options: limit < 256 ? ["--workers", "1"] : [],
    });
    assertMatch(
      proxy.child.log,
      new RegExp(`at most \\d+ TCP clients .* the limit of ${limit} file descriptors`),
    );
    {
      using _idle = await crowd(proxy.address, limit + 100);
      assertEquals(await proxy.ask("a.example"), 0);
      // A client that is slower than the grace period is evicted like any other, and connects again (RFC 7766 §6.2.4).
      const again = () => proxy.ask("b.example", askTcp);
      assertEquals(await again().catch(again).catch(again), 0);
      assertEquals(await proxy.health(), 200);
    }
    assertEquals([await proxy.ask("c.example"), await proxy.health()], [0, 200]);
    assert(!/panicked|internal error/.test(proxy.child.log), proxy.child.log);
    assertEquals(await proxy.child.stop(), 0);
  });
}

Deno.test("idle connections to the admin address keep neither clients from answers nor the operator out", async () => {
  await using proxy = await HostedProxy.start({ descriptors: 256 });
  {
    using _idle = await crowd(proxy.admin, 300);
    assertEquals(await proxy.ask("a.example"), 0);
    assertEquals(await proxy.health(), 200);
  }
  assertEquals(await proxy.health(), 200);
  assertEquals(await proxy.child.stop(), 0);
});

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

/** Asks until the server answers instead of closing the connection, ten times at most. */
async function untilAnswered(ask: () => Promise<number>, left = 10): Promise<number> {
  try {
    return await ask();
  } catch (error) {
    if (left === 1) throw error;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return await untilAnswered(ask, left - 1);
  }
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
      // While all slots are younger than the grace period, a client is refused, and connects again (RFC 7766 §6.2.4).
      assertEquals(await untilAnswered(() => proxy.ask("b.example", askTcp)), 0);
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

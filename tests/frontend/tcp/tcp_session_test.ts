import { TcpSession } from "../../../lib/frontend/tcp/tcp_session.ts";
import { assertEquals } from "../../support/assert.ts";
import { FakeResolver, HoldingResolver } from "../../support/fakes/resolver.ts";
import { settled } from "../../support/fakes/time.ts";
import { frame } from "../../support/packets/frames.ts";
import { query } from "../../support/packets/packets.ts";
import { answererFor, Clock, LOOP_BUDGET } from "../fixture.ts";

/** A socket whose reads and writes the test completes. */
class StuckSocket {
  written = 0;
  #arrived = Promise.withResolvers<Uint8Array>();
  #taken = Promise.withResolvers<void>();

  async arrive(...names: string[]): Promise<void> {
    this.#arrived.resolve(frame(...names.map((name) => query(name))));
    await settled();
  }

  async take(): Promise<void> {
    this.#taken.resolve();
    this.#taken = Promise.withResolvers();
    await settled();
  }

  async read(into: Uint8Array): Promise<number> {
    const bytes = await this.#arrived.promise;
    this.#arrived = Promise.withResolvers();
    into.set(bytes);
    return bytes.length;
  }

  async write(bytes: Uint8Array): Promise<number> {
    await this.#taken.promise;
    this.written += bytes.length;
    return bytes.length;
  }

  close(): void {
    this.#arrived.reject(new Deno.errors.Interrupted());
    this.#taken.reject(new Deno.errors.Interrupted());
    this.#taken.promise.catch(() => {}); // there may be no write
  }
}

function session(resolver: FakeResolver) {
  const [socket, clock] = [new StuckSocket(), new Clock()];
  const client = { transport: "tcp", address: "192.0.2.1", port: 53 } as const;
  const limits = { idleTimeoutMs: 10_000, maxPipelined: 10, maxUnreadBytes: 65_536, now: clock.now };
  const answerer = answererFor({ resolver, clock });
  const options = { ...limits, answerer, loopBudget: LOOP_BUDGET };
  const made = new TcpSession(socket as unknown as Deno.TcpConn, client, options);
  made.start();
  return { made, socket, clock };
}

Deno.test("TcpSession counts a client as idle when it sends queries and never reads", async () => {
  const { made, socket, clock } = session(new FakeResolver());
  await socket.arrive("first.example");
  assertEquals([made.idleMs(clock.time), made.isUseful], [0, false], "its answer is stuck from now on");
  for (let i = 1; i <= 5; i++) {
    clock.time += 100;
    await socket.arrive(`query-${i}.example`);
    assertEquals(made.idleMs(clock.time), 100 * i);
  }
  await socket.take();
  assertEquals(made.idleMs(clock.time), 0, "it has read one");
  await socket.take();
  assertEquals([made.idleMs(clock.time), made.isUseful], [0, true], "it has read all");
  made[Symbol.dispose]();
  await made.closed;
});

Deno.test("TcpSession is useful after its first query, and not idle while the client waits", async () => {
  const resolver = new HoldingResolver();
  const { made, socket, clock } = session(resolver);
  clock.time += 100;
  assertEquals([made.idleMs(clock.time), made.isUseful], [100, false]);
  await socket.arrive("slow.example");
  clock.time += 100;
  assertEquals([made.idleMs(clock.time), made.isUseful], [0, true]);
  made[Symbol.dispose]();
  await made.closed;
  resolver.release();
});

Deno.test("TcpSession is not idle while a late reply is on its way", async () => {
  const resolver = new HoldingResolver();
  const { made, socket, clock } = session(resolver);
  await socket.arrive("slow.example");
  clock.time += 3_000;
  resolver.release();
  await settled();
  assertEquals(made.idleMs(clock.time), 0, "it has waited for us, and reads from now on");
  clock.time += 100;
  assertEquals([made.idleMs(clock.time), made.isUseful], [100, false], "it does not read");
  made[Symbol.dispose]();
  await made.closed;
});

Deno.test("TcpSession expires when a reply never comes because of an internal error", async () => {
  const { made, socket, clock } = session(new HoldingResolver());
  await socket.arrive("lost.example");
  clock.time += 59_999;
  made.expire(clock.time);
  assertEquals(made.idleMs(clock.time), 0);
  clock.time += 1;
  made.expire(clock.time);
  await made.closed;
});

import { composeSockaddr } from "../../lib/net/sockaddr.ts";
import { TcpSession } from "../../lib/frontend/tcp/tcp_session.ts";
import { LoopBudget } from "../../lib/frontend/loop_budget.ts";
import { UdpFrontend } from "../../lib/frontend/udp/udp_frontend.ts";
import { MmsgSocket } from "../../lib/frontend/udp/mmsg.ts";
import { findDescriptor, openLibrary } from "../../lib/platform/libc.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { addressed, atOnce, FakeResolver } from "../support/fakes/resolver.ts";
import { frame } from "../support/packets/frames.ts";
import { query } from "../support/packets/packets.ts";
import { answererFor, LOOP_BUDGET } from "./fixture.ts";

const local = { hostname: "127.0.0.1", port: 0 };
const oneByte = new Uint8Array(1);

/** A TCP connection, one end of which reads one byte. */
async function connection() {
  using listener = Deno.listen(local);
  const [one, other] = await Promise.all([Deno.connect({ port: listener.addr.port }), listener.accept()]);
  return {
    received: one.read(oneByte),
    send: () => void other.write(oneByte),
    [Symbol.dispose]() {
      one.close();
      other.close();
    },
  };
}

/** Whether the byte sent to another socket is received within three turns. */
async function servesOthers(budget: LoopBudget): Promise<boolean> {
  using other = await connection();
  let isReceived = false;
  void other.received.then(() => isReceived = true);
  other.send();
  for (let i = 0; i < 3; i++) await budget.yieldToKernel();
  return isReceived;
}

Deno.test("LoopBudget.yieldToKernel lets data on another socket be received", async () => {
  using budget = new LoopBudget();
  assert(await servesOthers(budget));
});

Deno.test("LoopBudget.yieldToKernel resolves by the wake-up datagram, not by the timeout", async () => {
  using budget = new LoopBudget();
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (() => 0) as unknown as typeof setTimeout; // never expires
  let turned = 0;
  async function turn(): Promise<void> {
    for (; turned < 100; turned++) await budget.yieldToKernel();
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = setTimeout(resolve, 10_000);
  void turn().then(resolve);
  await promise;
  clearTimeout(late);
  globalThis.setTimeout = setTimeout;
  assertEquals(turned, 100);
});

/** Applies `change` to each datagram socket that is opened until disposal. */
function withSockets(change: (socket: Deno.DatagramConn) => Deno.DatagramConn): Disposable {
  const { listenDatagram } = Deno;
  const changed = (options: Deno.UdpListenOptions & { transport: "udp" }) => change(listenDatagram(options));
  Deno.listenDatagram = changed as typeof listenDatagram;
  return { [Symbol.dispose]: () => void (Deno.listenDatagram = listenDatagram) };
}

Deno.test("LoopBudget ignores datagrams that other sockets send to its wake-up socket", async () => {
  using budget = new LoopBudget();
  let wakeAddress: Deno.Addr | undefined;
  {
    using _ = withSockets((socket) => {
      wakeAddress = socket.addr;
      return socket;
    });
    await budget.yieldToKernel();
  }
  const stranger = Deno.listenDatagram({ transport: "udp", ...local });
  for (let i = 0; i < 5; i++) await stranger.send(oneByte, wakeAddress!);
  stranger.close();
  for (let i = 0; i < 10; i++) assert(await servesOthers(budget), `turn ${i}`);
});

Deno.test("LoopBudget ignores a wake-up datagram that arrives after its turn", async () => {
  using budget = new LoopBudget();
  let late: Uint8Array<ArrayBuffer> | undefined;
  {
    using _ = withSockets((socket) => {
      const send = socket.send.bind(socket);
      socket.send = async (bytes, to) => {
        if (late?.length) await send(late, to);
        const sent = late ? await send(bytes, to) : bytes.length;
        late = late ? new Uint8Array(0) : bytes.slice() as Uint8Array<ArrayBuffer>;
        return sent;
      };
      return socket;
    });
    await budget.yieldToKernel();
  }
  for (let i = 0; i < 10; i++) assert(await servesOthers(budget), `turn ${i}`);
});

Deno.test("LoopBudget starts a turn after a timeout when loopback is missing", async () => {
  using budget = new LoopBudget();
  using _ = withSockets((socket) => {
    socket.close();
    throw new Deno.errors.AddrNotAvailable("os error 99");
  });
  await budget.yieldToKernel();
  await budget.yieldToKernel();
});

Deno.test("LoopBudget starts a turn after a timeout when loopback drops datagrams, and receives only once", async () => {
  using budget = new LoopBudget();
  let [sockets, receives] = [0, 0];
  using _ = withSockets((socket) => {
    const receive = socket.receive.bind(socket);
    socket.send = () => Promise.resolve(1); // it never arrives
    socket.receive = (into) => {
      receives++;
      return receive(into);
    };
    sockets++;
    return socket;
  });
  for (let i = 0; i < 3; i++) await budget.yieldToKernel();
  assertEquals([sockets, receives], [1, 1]);
});

Deno.test("LoopBudget receives again in the turn after an error of its wake-up socket", async () => {
  using budget = new LoopBudget();
  let receives = 0;
  using _ = withSockets((socket) => {
    const receive = socket.receive.bind(socket);
    socket.receive = (into) => receives++ === 0 ? Promise.reject(new Error("os error 12")) : receive(into);
    return socket;
  });
  await budget.yieldToKernel();
  for (let i = 0; i < 3; i++) assert(await servesOthers(budget), `turn ${i}`);
  assert(receives > 1, "no receive after the error");
});

Deno.test("LoopBudget.yieldToKernel resolves after disposal without opening a socket", async () => {
  const budget = new LoopBudget();
  budget[Symbol.dispose]();
  await budget.yieldToKernel();
});

Deno.test("LoopBudget leaves no timer and no socket when it is disposed during a turn", async () => {
  const budget = new LoopBudget();
  void budget.yieldToKernel();
  budget[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 0));
});

Deno.test({
  name: "UdpFrontend lets another socket be received while its own socket is always full",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const [injecting, serving] = [openLibrary("on")!, openLibrary("on")!];
    using other = await connection();
    const resolver = new FakeResolver();
    const answerer = answererFor({ resolver });
    using server = new UdpFrontend({
      ...local,
      answerer,
      loopBudget: LOOP_BUDGET,
      observe: () => {},
      library: serving,
    });
    const socket = Deno.listenDatagram({ transport: "udp", ...local });
    // Bypasses Deno, whose `send` would make the runtime poll its sockets.
    const client = new MmsgSocket(injecting, findDescriptor(injecting, socket.addr as Deno.NetAddr));
    const { hostname, port } = server.address;
    const to = composeSockaddr(hostname, port);
    function ask(): void {
      client.send(query("again.example"), to);
      client.flush();
    }
    resolver.respond = (query) => {
      if (resolver.asked.length < 50_000) ask(); // each query that is received is followed by another
      if (resolver.asked.length === 1_000) other.send();
      return addressed(query);
    };
    for (let i = 0; i < 100; i++) ask();
    await other.received;
    const { length } = resolver.asked;
    resolver.respond = atOnce;
    assert(length < 10_000, `received after ${length} queries`);
    await server.stop();
    socket.close();
    injecting.close();
    serving.close();
  },
});

for (const isEnding of [false, true]) {
  const when = isEnding ? "sends on after the end of its session" : "pipelines without a pause";
  Deno.test(`TcpSession lets another socket be received while its client ${when}`, async () => {
    using other = await connection();
    const asked = frame(query("again.example"));
    let reads = 0;
    let open = true;
    const socket = {
      read(into: Uint8Array): Promise<number | null> {
        if (!open || ++reads > 50_000) return Promise.resolve(null);
        if (reads === 50 && isEnding) void session.finish();
        if (reads === 100) other.send();
        into.set(asked);
        return Promise.resolve(asked.length);
      },
      write: (bytes: Uint8Array) => Promise.resolve(bytes.length),
      close: () => void (open = false),
    };
    // The first query gets no response, so the session stays open.
    const resolver = new FakeResolver((query) => reads === 1 ? new Promise(() => {}) : addressed(query));
    const client = { transport: "tcp", address: "192.0.2.1", port: 53 } as const;
    const session = new TcpSession(socket as unknown as Deno.TcpConn, client, {
      ...{ idleTimeoutMs: 10_000, maxPipelined: 10, maxUnreadBytes: 65_536, now: () => 0 },
      ...{ answerer: answererFor({ resolver }), loopBudget: LOOP_BUDGET },
    });
    session.start();
    await other.received;
    session[Symbol.dispose]();
    assert(reads < 10_000, `received after ${reads} reads`);
  });
}

Deno.test("LoopBudget gives a new socket its turn after one slice of each of a hundred busy sockets", async () => {
  using budget = new LoopBudget();
  let [spent, turned] = [0, 0];
  async function heavy(): Promise<void> {
    while (turned === 0) {
      await budget.yieldToKernel();
      // As a session does: query after query until the budget is exhausted.
      do {
        budget.consume(1);
        spent++;
      } while (!budget.isExhausted);
    }
  }
  const clients = Array.from({ length: 100 }, heavy);
  await budget.yieldToKernel();
  turned = spent;
  await Promise.all(clients);
  assert(turned <= 100 * 64 + 1024, `after ${turned} queries of the busy sockets`);
});

Deno.test("LoopBudget.consumeBytes costs one query per kilobyte", () => {
  using budget = new LoopBudget();
  for (let i = 0; i < 15; i++) budget.consumeBytes(65_535);
  assertEquals(budget.isExhausted, false);
  for (let i = 0; i < 2; i++) budget.consumeBytes(65_535);
  assertEquals(budget.isExhausted, true);
});

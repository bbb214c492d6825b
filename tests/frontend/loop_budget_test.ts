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
import { answererFor, TURNS } from "./fixture.ts";

const local = { hostname: "127.0.0.1", port: 0 };
const octet = new Uint8Array(1);

/** Two ends of a TCP connection, of which one waits for an octet. */
async function connection() {
  using listener = Deno.listen(local);
  const [one, other] = await Promise.all([Deno.connect({ port: listener.addr.port }), listener.accept()]);
  return {
    heard: one.read(octet),
    say: () => void other.write(octet),
    [Symbol.dispose]() {
      one.close();
      other.close();
    },
  };
}

/** Whether a connection is heard within three turns. */
async function givesWay(turns: LoopBudget): Promise<boolean> {
  using others = await connection();
  let heard = false;
  void others.heard.then(() => heard = true);
  others.say();
  for (let i = 0; i < 3; i++) await turns.yieldToKernel();
  return heard;
}

Deno.test("when it is the others' turn, what has come to another socket is heard", async () => {
  using turns = new LoopBudget();
  assert(await givesWay(turns));
});

Deno.test("it is the bell that is heard, and not the timer that runs out", async () => {
  using turns = new LoopBudget();
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (() => 0) as unknown as typeof setTimeout; // never runs out
  let turned = 0;
  async function turn(): Promise<void> {
    for (; turned < 100; turned++) await turns.yieldToKernel();
  }
  const { promise, resolve } = Promise.withResolvers<void>();
  const late = setTimeout(resolve, 10_000);
  void turn().then(resolve);
  await promise;
  clearTimeout(late);
  globalThis.setTimeout = setTimeout;
  assertEquals(turned, 100);
});

/** Until it is disposed of, sockets for datagrams are made into what `change` makes of them. */
function listening(change: (socket: Deno.DatagramConn) => Deno.DatagramConn): Disposable {
  const { listenDatagram } = Deno;
  const changed = (options: Deno.UdpListenOptions & { transport: "udp" }) => change(listenDatagram(options));
  Deno.listenDatagram = changed as typeof listenDatagram;
  return { [Symbol.dispose]: () => void (Deno.listenDatagram = listenDatagram) };
}

Deno.test("a bell that strangers ring is still heard, and gives way to all others", async () => {
  using turns = new LoopBudget();
  let bell: Deno.Addr | undefined;
  {
    using _ = listening((socket) => {
      bell = socket.addr;
      return socket;
    });
    await turns.yieldToKernel();
  }
  const stranger = Deno.listenDatagram({ transport: "udp", ...local });
  for (let i = 0; i < 5; i++) await stranger.send(octet, bell!);
  stranger.close();
  for (let i = 0; i < 10; i++) assert(await givesWay(turns), `turn ${i}`);
});

Deno.test("a bell that is heard too late is not taken for the next one", async () => {
  using turns = new LoopBudget();
  let late: Uint8Array<ArrayBuffer> | undefined;
  {
    using _ = listening((socket) => {
      const send = socket.send.bind(socket);
      socket.send = async (octets, to) => {
        if (late?.length) await send(late, to);
        const sent = late ? await send(octets, to) : octets.length;
        late = late ? new Uint8Array(0) : octets.slice() as Uint8Array<ArrayBuffer>;
        return sent;
      };
      return socket;
    });
    await turns.yieldToKernel();
  }
  for (let i = 0; i < 10; i++) assert(await givesWay(turns), `turn ${i}`);
});

Deno.test("where loopback is not there a turn comes all the same", async () => {
  using turns = new LoopBudget();
  using _ = listening((socket) => {
    socket.close();
    throw new Deno.errors.AddrNotAvailable("os error 99");
  });
  await turns.yieldToKernel();
  await turns.yieldToKernel();
});

Deno.test("where loopback lets nothing through a turn comes all the same, and it is listened to once", async () => {
  using turns = new LoopBudget();
  let [bells, heard] = [0, 0];
  using _ = listening((socket) => {
    const receive = socket.receive.bind(socket);
    socket.send = () => Promise.resolve(1); // and it never comes
    socket.receive = (into) => {
      heard++;
      return receive(into);
    };
    bells++;
    return socket;
  });
  for (let i = 0; i < 3; i++) await turns.yieldToKernel();
  assertEquals([bells, heard], [1, 1]);
});

Deno.test("what has ended opens no bell again, and keeps nobody waiting", async () => {
  const turns = new LoopBudget();
  turns[Symbol.dispose]();
  await turns.yieldToKernel();
});

Deno.test("what ends while it gives way leaves nothing behind", async () => {
  const turns = new LoopBudget();
  void turns.yieldToKernel();
  turns[Symbol.dispose]();
  await new Promise((resolve) => setTimeout(resolve, 0));
});

Deno.test({
  name: "who keeps a UDP socket full does not have the thread to himself",
  ignore: Deno.build.os !== "linux",
  async fn() {
    const [injecting, serving] = [openLibrary("on")!, openLibrary("on")!];
    using others = await connection();
    const resolver = new FakeResolver();
    const answerer = answererFor({ resolver });
    using server = new UdpFrontend({ ...local, answerer, turns: TURNS, observe: () => {}, library: serving });
    const socket = Deno.listenDatagram({ transport: "udp", ...local });
    // Past Deno, where sending would make the runtime look at its sockets.
    const client = new MmsgSocket(injecting, findDescriptor(injecting, socket.addr as Deno.NetAddr));
    const { hostname, port } = server.address;
    const to = composeSockaddr(hostname, port);
    function ask(): void {
      client.send(query("again.example"), to);
      client.flush();
    }
    resolver.respond = (query) => {
      if (resolver.asked.length < 50_000) ask(); // for each that is taken another one comes
      if (resolver.asked.length === 1_000) others.say();
      return addressed(query);
    };
    for (let i = 0; i < 100; i++) ask();
    await others.heard;
    const { length } = resolver.asked;
    resolver.respond = atOnce;
    assert(length < 10_000, `heard after ${length} queries`);
    await server.stop();
    socket.close();
    injecting.close();
    serving.close();
  },
});

for (const isEnding of [false, true]) {
  const who = isEnding
    ? "who goes on sending over TCP when it has ended"
    : "who pipelines over TCP without a pause";
  Deno.test(`${who} does not either`, async () => {
    using others = await connection();
    const asked = frame(query("again.example"));
    let reads = 0;
    let open = true;
    const socket = {
      read(into: Uint8Array): Promise<number | null> {
        if (!open || ++reads > 50_000) return Promise.resolve(null);
        if (reads === 50 && isEnding) void session.finish();
        if (reads === 100) others.say();
        into.set(asked);
        return Promise.resolve(asked.length);
      },
      write: (octets: Uint8Array) => Promise.resolve(octets.length),
      close: () => void (open = false),
    };
    // The first query keeps it from being closed.
    const resolver = new FakeResolver((query) => reads === 1 ? new Promise(() => {}) : addressed(query));
    const client = { transport: "tcp", address: "192.0.2.1", port: 53 } as const;
    const session = new TcpSession(socket as unknown as Deno.TcpConn, client, {
      ...{ idleTimeout: 10_000, maxPipelined: 10, maxQueued: 65_536, now: () => 0 },
      ...{ answerer: answererFor({ resolver }), turns: TURNS },
    });
    await others.heard;
    session[Symbol.dispose]();
    assert(reads < 10_000, `heard after ${reads} reads`);
  });
}

Deno.test("a light client among a hundred heavy ones has its turn after a slice of each", async () => {
  using turns = new LoopBudget();
  let [spent, turned] = [0, 0];
  async function heavy(): Promise<void> {
    while (turned === 0) {
      await turns.yieldToKernel();
      // As a session does: query after query until it is the others' turn.
      do {
        turns.consume(1);
        spent++;
      } while (!turns.isExhausted);
    }
  }
  const clients = Array.from({ length: 100 }, heavy);
  await turns.yieldToKernel();
  turned = spent;
  await Promise.all(clients);
  assert(turned <= 100 * 64 + 1024, `after ${turned} queries of the others`);
});

Deno.test("a large message is worth as many small ones as it has kilobytes", () => {
  using turns = new LoopBudget();
  for (let i = 0; i < 15; i++) turns.spendBytes(65_535);
  assertEquals(turns.isExhausted, false);
  for (let i = 0; i < 2; i++) turns.spendBytes(65_535);
  assertEquals(turns.isExhausted, true);
});

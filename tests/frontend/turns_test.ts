import { composeAddress } from "../../lib/frontend/socket_address.ts";
import { Turns } from "../../lib/frontend/turns.ts";
import { UdpFrontend } from "../../lib/frontend/udp.ts";
import { findDescriptor, openLibrary, UdpBatch } from "../../lib/frontend/udp_batch.ts";
import { assert } from "../support/assert.ts";
import { addressed, atOnce, FakeResolver } from "../support/fake_resolver.ts";
import { query } from "../support/packets.ts";
import { answererFor } from "./fixture.ts";

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

Deno.test("when it is the others' turn, what has come to another socket is heard", async () => {
  using turns = new Turns();
  using others = await connection();
  let heard = false;
  void others.heard.then(() => heard = true);
  others.say();
  for (let i = 0; i < 3; i++) await turns.next();
  assert(heard);
});

Deno.test("it is the bell that is heard, and not the timer that runs out", async () => {
  using turns = new Turns();
  const { setTimeout } = globalThis;
  globalThis.setTimeout = (() => 0) as unknown as typeof setTimeout; // never runs out
  try {
    for (let i = 0; i < 100; i++) await turns.next();
  } finally {
    globalThis.setTimeout = setTimeout;
  }
});

Deno.test("where loopback is not there a turn comes all the same", async () => {
  const { listenDatagram } = Deno;
  Deno.listenDatagram = () => {
    throw new Deno.errors.AddrNotAvailable("os error 99");
  };
  try {
    using turns = new Turns();
    await turns.next();
    await turns.next();
  } finally {
    Deno.listenDatagram = listenDatagram;
  }
});

for (const batch of ["off", "on"] as const) {
  Deno.test({
    name: `who keeps a UDP socket full does not have the thread to himself (--udp-batch ${batch})`,
    ignore: Deno.build.os !== "linux",
    async fn() {
      const [injecting, serving] = [openLibrary("on")!, openLibrary(batch)];
      using others = await connection();
      const resolver = new FakeResolver();
      const answerer = answererFor({ resolver });
      using server = new UdpFrontend({ ...local, answerer, observe: () => {}, library: serving });
      const socket = Deno.listenDatagram({ transport: "udp", ...local });
      // Past Deno, where sending would make the runtime look at its sockets.
      const client = new UdpBatch(injecting, findDescriptor(injecting, socket.addr as Deno.NetAddr));
      const { hostname, port } = server.address;
      const to = composeAddress(hostname, port);
      function ask(): void {
        client.send(query("again.example"), to);
        client.flush();
      }
      let [said, heard] = [0, 0];
      resolver.respond = (query) => {
        ask(); // for each that is taken another one comes
        if (resolver.asked.length === 1_000) {
          said = resolver.asked.length;
          others.say();
        }
        return addressed(query);
      };
      for (let i = 0; i < 100; i++) ask();
      await others.heard;
      heard = resolver.asked.length;
      resolver.respond = atOnce;
      assert(said > 0 && heard - said < 5_000, `heard after ${heard - said} queries`);
      await server.stop();
      socket.close();
      injecting.close();
      serving?.close();
    },
  });
}

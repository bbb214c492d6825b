/** MmsgSocket under random traffic on loopback, with garbage collections in between. */
import fc from "fast-check";
import { openLibrary } from "../../../lib/platform/libc.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { BatchTraffic, type Place, rounds } from "./batch_traffic.ts";
import { BATCH, NAME, SLOT, WatchedLibrary } from "./watched_library.ts";

function address(hexText: string): Uint8Array {
  const bytes = new Uint8Array(NAME).fill(0xee);
  bytes.set(Uint8Array.fromHex(hexText.replaceAll(" ", "")));
  return bytes;
}

/** Of 127/8, and no other test's. */
const IPV4: Place = {
  hostname: "127.0.53.41",
  odd: [
    address("ffff 1234 7f003529"), // of no family
    address("0100 2f746d70 00"), // of AF_UNIX
    address("0a00 1234 00000000 00000000 00000000 00000000 00000001 00000000"), // of IPv6
    address("0200 0000 7f003529"), // port 0
    address("0200 1234 f0000001"), // 240.0.0.1, not from loopback
    address("0200 1234 ffffffff"), // broadcast
    address("0200 0009 7f00352a"), // no socket
  ],
};

const IPV6: Place = {
  hostname: "::1",
  odd: [
    address("ffff 1234 00000000 00000000 00000000 00000000 00000001 00000000"), // of no family
    address("0a00 0000 00000000 00000000 00000000 00000000 00000001 00000000"), // port 0
    address("0200 0000 7f000001"), // of IPv4
    address("0a00 1234 00000000 fe800000 00000000 00000000 00000001 ffffff7f"), // on a link that does not exist
    address("0a00 1234 00000000 fe800000 00000000 00000000 00000001 00000000"), // on no link
  ],
};

/** A link-local address of this host, if there is one. Datagrams to it stay on this host, as on loopback. */
function linkLocal(): Place | undefined {
  const local = Deno.networkInterfaces().find(({ address }) => address.startsWith("fe80:"));
  const hostname = `${local?.address}%${local?.name}`;
  try {
    Deno.listenDatagram({ transport: "udp", hostname, port: 0 }).close();
  } catch {
    return undefined;
  }
  return { hostname, odd: IPV6.odd.slice(0, 3) };
}

for (const [name, place] of Object.entries({ IPv4: IPV4, IPv6: IPV6, "IPv6 with a scope": linkLocal() })) {
  Deno.test({
    name:
      `MmsgSocket over ${name} writes only to received slots, and sends each reply to its own sender only`,
    ignore: Deno.build.os !== "linux" || !place,
    async fn() {
      using library = watched();
      await fc.assert(
        fc.asyncProperty(rounds, async (rounds) => {
          using traffic = new BatchTraffic(library.library, place!);
          for (const round of rounds) await traffic.play(round);
        }),
        { numRuns: 20, seed: 20260731, interruptAfterTimeLimit: 20_000 },
      );
      assert(library.checked > 1_000);
    },
  });
}

Deno.test({
  name: "MmsgSocket cuts lengths to the slot and receives nothing on an error, whatever the kernel returns",
  ignore: Deno.build.os !== "linux",
  fn() {
    using library = watched();
    using traffic = new BatchTraffic(library.library, IPV4);
    for (const length of [SLOT, SLOT + 1, 65_507, 2 ** 31, 2 ** 32 - 1]) {
      library.says = (headers) => {
        for (let i = 0; i < BATCH; i++) headers.setUint32(i * 64 + 56, length, true);
        return BATCH;
      };
      assertEquals(traffic.batch.receive(), BATCH);
      for (let i = 0; i < BATCH; i++) {
        assertEquals([traffic.batch.length(i), traffic.batch.datagram(i).length], [SLOT, SLOT]);
      }
    }
    library.says = () => -1;
    assertEquals(traffic.batch.receive(), 0);
  },
});

function watched(): WatchedLibrary & Disposable {
  const library = openLibrary("on")!;
  return Object.assign(new WatchedLibrary(library), { [Symbol.dispose]: () => library.close() });
}

/** A whole UDP front end under random traffic in batches, with garbage collected in between, until it is closed. */
import fc from "fast-check";
import { openLibrary } from "../../../lib/platform/libc.ts";
import { assert } from "../../support/assert.ts";
import { within } from "../../support/within.ts";
import { CLIENTS, type Kind, type Parts, UdpTraffic } from "./udp_traffic.ts";
import { WatchedLibrary } from "./watched_library.ts";

const volleys = fc.array(
  fc.record({
    datagrams: fc.array(
      fc.record({
        client: fc.nat(CLIENTS - 1),
        kind: fc.oneof(
          { weight: 4, arbitrary: fc.constant("query" as Kind) },
          { weight: 1, arbitrary: fc.constantFrom<Kind>("long query", "junk", "empty", "jumbo") },
        ),
      }),
      { maxLength: 25 },
    ),
    burst: fc.constantFrom(0, 0, 65, 130),
    holds: fc.boolean(),
    releases: fc.nat(100),
    collects: fc.boolean(),
  }),
  { minLength: 1, maxLength: 4 },
);

function onLinux(name: string, body: (watched: WatchedLibrary) => Promise<void>): void {
  Deno.test({
    name,
    ignore: Deno.build.os !== "linux",
    async fn() {
      const library = openLibrary("on")!;
      try {
        await body(new WatchedLibrary(library));
      } finally {
        library.close();
      }
    },
  });
}

/** @param onEnd called at the end of each run */
function fuzz(name: string, parts: Parts, onEnd: (traffic: UdpTraffic) => void = () => {}): void {
  onLinux(name, async (watched) => {
    await fc.assert(
      fc.asyncProperty(volleys, fc.boolean(), async (volleys, abandons) => {
        using traffic = new UdpTraffic(watched, parts);
        for (const volley of volleys) await traffic.play(volley);
        onEnd(traffic);
        await within(10_000, abandons ? traffic.abandon() : traffic.stop(), "the end");
      }),
      { numRuns: 20, seed: 20260731, interruptAfterTimeLimit: 20_000 },
    );
    assert(watched.checked > 0);
  });
}

const MANY: Parts = { name: (number) => `name-${number}.example`, cached: false };

fuzz(
  "UdpFrontend sends each client its own replies only, under random traffic (5452-1, 7766-7)",
  MANY,
);

/** Few names, in one case or the other: most answers are in the cache, and are composed from buffer to buffer. */
const FEW: Parts = {
  name: (number) => [`name-${number % 7}.example`, `NAME-${number % 7}.EXAMPLE`][number % 2]!,
  cached: true,
};
let hits = 0;

fuzz(
  "UdpFrontend sends cache hits to their own client only, under random traffic (5452-1, 7766-7)",
  FEW,
  ({ events }) => {
    for (const { count } of events.of("hits")) hits += count;
  },
);

Deno.test({
  name: "UdpFastPath answered most of that traffic",
  ignore: Deno.build.os !== "linux",
  fn: () => assert(hits > 500, `${hits} did`),
});

onLinux("UdpFrontend sends nothing after it was closed at any stage of a reply", async (watched) => {
  for (let microtasks = 0; microtasks < 12; microtasks++) {
    using traffic = new UdpTraffic(watched, MANY);
    await traffic.play({ datagrams: [], burst: 10, holds: true, releases: 0, collects: false });
    await traffic.abandon(microtasks);
  }
});

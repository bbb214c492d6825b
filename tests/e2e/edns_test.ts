/** EDNS, sizes and refusals as real clients see them, whatever server is behind: they are the proxy's own (6891-4). */
import { assert, assertEquals } from "../support/assert.ts";
import { dig } from "../support/processes/dig.ts";
import { IMPLEMENTATIONS, startRig } from "./rig.ts";
import { BIG_TEXT } from "./zones.ts";

/** RFC 9715 §3 and the proxy's default ceiling. */
const CEILING = 1232;

/** Buffer size that is offered, the most octets that may come. */
const SIZES: readonly (readonly [offer: string, limit: number])[] = [
  ["+noedns", 512],
  ["+bufsize=512", 512],
  ["+bufsize=800", 800],
  ["+bufsize=1232", CEILING],
  ["+bufsize=4096", CEILING],
  ["+bufsize=65535", CEILING],
];

for (const implementation of IMPLEMENTATIONS) {
  Deno.test(`EDNS ends at the proxy in front of ${implementation}`, async (t) => {
    await using rig = await startRig(implementation);
    const { server } = rig.proxy;

    await rig.step(t, "an answer has OPT exactly if the query had one (6891-1, 7828-4)", async () => {
      for (const way of ["+notcp", "+tcp"]) {
        for (const name of ["www.example.test", "nope.example.test"]) {
          assertEquals((await dig(server, way, "+noedns", name)).opt, undefined);
          assertEquals((await dig(server, way, "+edns=0", name)).opt?.version, 0);
        }
      }
    });

    await rig.step(
      t,
      "UDP answers keep to the smaller of offer and ceiling (1035-1, 6891-3, 9715-1)",
      async () => {
        for (const name of ["big.example.test", "many.example.test"]) {
          const type = name.startsWith("big") ? "TXT" : "A";
          for (const [offer, limit] of SIZES) {
            const { flags, size, answer } = await dig(server, offer, "+ignore", name, type);
            assert(flags.includes("tc"), `${name} with ${offer}: no TC`);
            assert(size <= limit, `${name} with ${offer}: ${size} octets`);
            // RFC 2181 §9: without EDNS, and perhaps without TCP, some addresses are better than none.
            const hasPart = type === "A" && offer === "+noedns";
            assertEquals(answer.length > 0, hasPart, `${name} with ${offer}: part of an RRset`);
          }
        }
      },
    );

    await rig.step(t, "an answer that fits has no TC (2181-1)", async () => {
      for (const offer of ["+noedns", "+bufsize=512", "+bufsize=1232"]) {
        const { flags, answer } = await dig(server, offer, "+ignore", "alias1.example.test", "A");
        assertEquals(flags.includes("tc"), false, offer);
        assertEquals(answer.length, 5, offer);
      }
    });

    await rig.step(t, "an offer below 512 counts as 512 (6891-3)", async () => {
      const { flags, size } = await dig(server, "+bufsize=100", "+ignore", "alias1.example.test", "A");
      assertEquals(flags.includes("tc"), false);
      assert(size > 100, `${size} octets prove nothing`);
    });

    await rig.step(t, "4 KB of text arrive whole over TCP, also after TC (7766-1)", async () => {
      for (const way of [["+tcp"], ["+tcp", "+noedns"], ["+tcp", "+bufsize=512"], ["+notcp"]]) {
        const { flags, answer, transport } = await dig(server, ...way, "big.example.test", "TXT");
        assertEquals(transport, "TCP");
        assertEquals(flags.includes("tc"), false);
        assertEquals(answer.map(({ rdata }) => rdata.replaceAll(/[" ]/g, "")).join("").length, BIG_TEXT);
      }
    });

    await rig.step(t, "an EDNS version to come gets BADVERS with version 0 (6891-2)", async () => {
      for (const way of ["+notcp", "+tcp"]) {
        const { status, opt, answer } = await dig(server, way, "+edns=1", "+noednsneg", "www.example.test");
        assertEquals([status, opt?.version, answer.length], ["BADVERS", 0, 0]);
      }
    });

    await rig.step(
      t,
      "options of the client stay at the proxy, and the server's too (6891-2, 7828-1)",
      async () => {
        const options = ["+ednsopt=65001:beef", "+cookie", "+subnet=192.0.2.0/24", "+nsid", "+padding=128"];
        for (const option of [...options, "+keepalive"]) {
          const { status, opt } = await dig(server, "+notcp", option, "www.example.test");
          assertEquals([status, [...opt?.options.keys() ?? []]], ["NOERROR", []], option);
        }
      },
    );

    await rig.step(t, "the server's padding does not come out in clear (7830-3)", async () => {
      const { opt } = await dig(server, "+tcp", "+padding=128", "www.example.test");
      assertEquals(opt?.options.has("PAD"), false);
    });

    await rig.step(t, "over TCP the keep-alive option is the proxy's own (7828-3, 7828-5)", async () => {
      const { opt } = await dig(server, "+tcp", "+keepalive", "www.example.test");
      const others = [...opt?.options.keys() ?? []].filter((option) => !/KEEPALIVE/.test(option));
      assertEquals(others, []);
    });

    await rig.step(t, "what is not a query gets NOTIMP, what has no question FORMERR", async () => {
      for (const way of ["+notcp", "+tcp"]) {
        for (const opcode of ["STATUS", "NOTIFY", "UPDATE"]) {
          const { status } = await dig(server, way, `+opcode=${opcode}`, "www.example.test");
          assertEquals(status, "NOTIMP", `${opcode} ${way}`);
        }
        assertEquals((await dig(server, way, "+header-only")).status, "FORMERR", way);
      }
    });
  });
}

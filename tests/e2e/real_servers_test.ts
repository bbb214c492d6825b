/** Answers through the proxy from real servers equal those of the zone's own server in clear text, record by record. */
import { assert, assertEquals } from "../support/assert.ts";
import { type Answer, dig } from "../support/processes/dig.ts";
import { QUESTIONS, SIGNED_QUESTIONS } from "./questions.ts";
import { assertSameRecords, isDnssec } from "./records.ts";
import { IMPLEMENTATIONS, startRig } from "./rig.ts";

for (const implementation of IMPLEMENTATIONS) {
  Deno.test(`dig gets right answers through the proxy from ${implementation}`, async (t) => {
    await using rig = await startRig(implementation);
    const { bind, proxy, server } = rig;
    const validates = implementation !== "BIND";

    await rig.step(t, "over UDP and over TCP, whatever is asked (7766-1, 5625, 2308-2)", async () => {
      for (const [what, name, type] of QUESTIONS) {
        const direct = await dig(bind.inClear, "+tcp", name, type);
        const ways = await Promise.all([
          dig(proxy.server, name, type),
          dig(proxy.server, "+tcp", name, type),
        ]);
        for (const answer of ways) assertSameAnswer(answer, direct, what);
      }
    });

    await rig.step(t, "with the question in the case it was asked (5452-1)", async () => {
      for (const name of ["wWw.eXaMpLe.TeSt.", "NOPE.example.test."]) {
        const { question } = await dig(proxy.server, name, "A");
        assertEquals(question, `${name} IN A`);
      }
    });

    await rig.step(t, "with signatures when DO is set, and their proofs (5625)", async () => {
      for (const [what, name, type] of SIGNED_QUESTIONS) {
        const direct = await dig(bind.inClear, "+tcp", "+dnssec", name, type);
        for (const way of ["+notcp", "+tcp"]) {
          const answer = await dig(proxy.server, way, "+dnssec", name, type);
          assertSameAnswer(answer, direct, what);
          assertEquals(answer.opt?.flags, ["do"], what);
          assert([...answer.answer, ...answer.authority].some(isDnssec), `${what} has no proof`);
        }
      }
    });

    await rig.step(t, "without a DNSSEC record when DO is not set, unless asked by type (3225)", async () => {
      for (const [what, name, type] of SIGNED_QUESTIONS) {
        for (const edns of ["+edns=0", "+noedns"]) {
          const { answer, authority } = await dig(proxy.server, edns, "+nodnssec", name, type);
          const unasked = [...answer, ...authority].filter((rr) => isDnssec(rr) && rr.type !== type);
          assertEquals(unasked, [], what);
        }
      }
    });

    await rig.step(t, "with AD only to those who asked, and only from who validates (6840)", async () => {
      const asking = [["+adflag", "+nodnssec"], ["+noadflag", "+dnssec"], ["+adflag", "+noedns"]];
      for (const flags of asking) {
        const { flags: got } = await dig(proxy.server, ...flags, "www.signed.test", "A");
        assertEquals(got.includes("ad"), validates, flags.join(" "));
      }
      for (const edns of ["+edns=0", "+noedns"]) {
        const { flags } = await dig(proxy.server, edns, "+noadflag", "+nodnssec", "www.signed.test", "A");
        assertEquals(flags.includes("ad"), false, edns);
      }
      const unsigned = await dig(proxy.server, "+adflag", "+dnssec", "www.example.test", "A");
      assertEquals(unsigned.flags.includes("ad"), false);
    });

    await rig.step(
      t,
      "with CD passed on: what a validator refuses comes to who wants it (6840)",
      async () => {
        const refused = await dig(proxy.server, "www.bogus.test", "A");
        assertEquals(refused.status, validates ? "SERVFAIL" : "NOERROR");
        const wanted = await dig(proxy.server, "+cd", "www.bogus.test", "A");
        assertEquals(wanted.status, "NOERROR");
        assertEquals(wanted.answer.map(({ rdata }) => rdata), ["192.0.2.66"]);
        assert(wanted.flags.includes("cd"), "CD is copied into the answer (RFC 4035 §3.2.2)");
      },
    );

    await rig.step(t, "with the server's own mind about ANY (8482)", async () => {
      const direct = await dig(server.overTls, "www.example.test", "ANY");
      const through = await dig(proxy.server, "www.example.test", "ANY");
      assertEquals(through.status, direct.status);
      assertSameRecords(through.answer, direct.answer.map((rr) => ({ ...rr, ttl: 300 })), "ANY");
    });

    await rig.step(t, "with the server's status as it is", async () => {
      // Only BIND refuses on its own account; the resolvers would go and ask the root.
      if (implementation !== "BIND") return;
      const { status } = await dig(proxy.server, "www.outside.example", "A");
      assertEquals(status, "REFUSED");
      const version = await dig(proxy.server, "version.bind", "CH", "TXT");
      const direct = await dig(bind.inClear, "version.bind", "CH", "TXT");
      assertSameRecords(version.answer, direct.answer, "class CH");
    });

    await rig.step(t, "and ends with code 0 on SIGTERM", async () => {
      assertEquals(await proxy.stop(), 0);
    });
  });
}

function assertSameAnswer(through: Answer, direct: Answer, what: string): void {
  assertEquals(through.status, direct.status, what);
  assert(!through.flags.includes("tc"), `${what} is truncated`);
  assert(through.flags.includes("qr") && through.flags.includes("rd"), `${what} has flags ${through.flags}`);
  assertSameRecords(through.answer, direct.answer, what);
  // The authority section is the server's own choice, but a negative answer is known by its SOA (RFC 2308 §2).
  const soa = ({ authority }: Answer) => authority.filter(({ type }) => type === "SOA");
  assertSameRecords(soa(through), soa(direct), `${what}, authority`);
}

import fc from "fast-check";
import { Message } from "../../../lib/dns/message.ts";
import { composeReply, type ReplyOptions } from "../../../lib/dns/compose/reply.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  a,
  hex,
  keepAlive,
  query,
  read,
  record,
  type ResourceRecord,
  response,
  txt,
} from "../../support/packets/packets.ts";
import { vector } from "../vectors.ts";

const udp: ReplyOptions = { transport: "udp", udpSize: 1232, keepAlive: 300 };
const tcp: ReplyOptions = { ...udp, transport: "tcp" };
const whole = vector("captured/text-whole.response.hex"); // 4,419 octets
const many = vector("captured/many-udp.response.hex"); // sixty addresses, 1,096 octets

function reply(client: Uint8Array, upstream: Uint8Array, options = udp): Uint8Array {
  return composeReply(Message.parse(client), Message.parse(upstream), options).subarray(2);
}

const ask = (name: string, size?: number) => query(name, "A", size === undefined ? {} : { edns: { size } });
const addresses = (name: string, count: number) =>
  Array.from({ length: count }, (_, i) => a(name, `192.0.2.${i}`));

Deno.test("4 KB of TXT are truncated over UDP and arrive whole over TCP", () => {
  for (const edns of [{}, { edns: { size: 4096 } }]) {
    const client = query("big.example", "TXT", edns);
    const short = read(reply(client, whole));
    assertEquals([short.flags.tc, short.answers.length], [true, 0]);
    const long = read(reply(client, whole, tcp));
    assertEquals([long.flags.tc, long.answers], [false, read(whole).answers]);
  }
});

Deno.test("1035-1: a client without EDNS gets 512 octets over UDP at most", () => {
  const shown = reply(query("many.example"), many);
  assert(read(shown).flags.tc && shown.length <= 512);
});

Deno.test("6891-3, 6891-4, 9715-1: the limit is the client's size, at least 512 and at most ours", () => {
  const upstream = response(ask("x"), { answers: addresses("x", 40) }); // 12 + 7 + 40 * 16 = 659 octets, OPT 11
  const limits = [[0, 512], [511, 512], [512, 512], [669, 669], [670, 670], [65_535, 1232]] as const;
  for (const [size, limit] of limits) {
    const shown = reply(ask("x", size), upstream);
    assert(shown.length <= limit, `${shown.length} octets for a client that takes ${size}`);
    assertEquals(read(shown).flags.tc, limit < 670, `a client that takes ${size}`);
  }
  assert(read(reply(ask("x", 4096), upstream, { ...udp, udpSize: 600 })).flags.tc);
  assertEquals(reply(ask("x", 4096), upstream, { ...udp, udpSize: 100 }).length, 12 + 7 + 11, "512 at least");
});

Deno.test("2181-1: of addresses that do not all fit an answer without EDNS has those that do, with TC, and nothing behind them", () => {
  const answers = [...addresses("x", 2), ...addresses("y", 50), a("z", "192.0.2.1")];
  const bytes = reply(ask("x"), response(ask("x"), { answers }));
  const shown = read(bytes);
  const names = shown.answers.map(({ name }) => name);
  assertEquals([shown.flags.tc, names.slice(0, 3), names.includes("z")], [true, ["x", "x", "y"], false]);
  assert(bytes.length > 512 - 17, `${bytes.length} octets`);
});

Deno.test("2181 §9: a stub without EDNS and without TCP gets addresses out of an RRset of over 512 octets", () => {
  const shown = read(reply(query("many.example"), many));
  assertEquals([shown.flags.tc, shown.answers.length], [true, 30]);
});

Deno.test("2181-1: an RRset is there whole or not at all, with those before it, to a client with EDNS", () => {
  const answers = [...addresses("x", 2), ...addresses("y", 50), a("z", "192.0.2.1")];
  const shown = read(reply(ask("x", 512), response(ask("x"), { answers })));
  assertEquals([shown.flags.tc, shown.answers.map(({ name }) => name)], [true, ["x", "x"]]);
});

Deno.test("2181-1: of other sections an RRset is there whole or not at all", () => {
  const fields = { answers: addresses("x", 2), authority: addresses("y", 50) };
  const shown = read(reply(ask("x"), response(ask("x"), fields)));
  assertEquals([shown.flags.tc, shown.answers.length, shown.authority.length], [true, 2, 0]);
});

Deno.test("2181-1: TC is not set where only additional records were left out", () => {
  const fields = {
    answers: addresses("x", 2),
    authority: [a("y", "192.0.2.1")],
    additional: addresses("z", 50),
  };
  const shown = read(reply(ask("x"), response(ask("x"), fields)));
  assertEquals(shown.flags.tc, false);
  assertEquals([shown.answers.length, shown.authority.length, shown.additional.length], [2, 1, 0]);
});

Deno.test("2181-1: an RRset ends with its section, even if the next section goes on with the same name and type", () => {
  // Once they counted as one RRset, the answer was dropped with the additional records, and TC was not set.
  const shown = read(
    reply(ask("x"), response(ask("x"), { answers: addresses("x", 2), additional: addresses("x", 50) })),
  );
  assertEquals([shown.flags.tc, shown.answers.length, shown.additional.length], [false, 2, 0]);
});

Deno.test("an RRset is one whatever the case and compression of its owners", () => {
  const upstream = hex(`
    0001 8180 0001 0003 0000 0000  01 78 00 0001 0001
    c00c 0010 0001 00000000 0004 03 616161
    01 58 00 0010 0001 00000000 0004 03 626262
    c00c 0010 0001 00000000 0200 ${`ff${"61".repeat(255)}`.repeat(2)}
  `);
  const shown = read(reply(ask("x"), upstream));
  assertEquals([shown.flags.tc, shown.answers.length], [true, 0]);
});

Deno.test("RFC 9471 §3: a referral without all its glue is truncated", () => {
  const authority = [record("sub.example", "NS", hex("02 6e73 00"))];
  const cut = read(reply(
    ask("x.sub.example"),
    response(ask("x.sub.example"), {
      authority,
      additional: addresses("ns", 50),
    }),
  ));
  assertEquals([cut.flags.tc, cut.authority.length, cut.additional.length], [true, 1, 0]);
  const referral = read(reply(query("host.sub.example"), vector("captured/referral.response.hex")));
  assertEquals([referral.flags.tc, referral.authority.length, referral.additional.length], [false, 2, 4]);
});

Deno.test("a response that came truncated stays so", () => {
  const shown = read(reply(query("big.example", "TXT"), vector("captured/text-truncated.response.hex"), tcp));
  assert(shown.flags.tc);
});

Deno.test("a response of 65,535 octets passes over TCP; with OPT for the client it is too long by that", () => {
  const strings = Array.from({ length: 255 }, () => "a".repeat(255));
  const fill = 65_535 - 12 - 7 - 12 - 12 - 255 * 256;
  const answers = [txt("x", strings), record("x", 65280, new Uint8Array(fill))];
  const upstream = response(query("x"), { answers });
  assertEquals(upstream.length, 65_535);
  const shown = reply(query("x"), upstream, tcp);
  assertEquals(shown.length, 65_535);
  assertEquals(read(shown).answers, read(upstream).answers);
  const short = read(reply(query("x", "A", { edns: { options: [keepAlive()] } }), upstream, tcp));
  assertEquals([short.flags.tc, short.answers.length, short.edns!.options], [true, 1, [keepAlive(300)]]);
});

Deno.test("8914-2: options go first when space is short: no record is dropped for an extended error", () => {
  const answers = [record("x", 65280, new Uint8Array(512 - 12 - 7 - 12 - 11))];
  const options = [{ code: 15, value: hex("0003") }];
  const upstream = response(ask("x", 512), { answers, edns: { options } });
  const shown = read(reply(ask("x", 512), upstream));
  assertEquals([shown.flags.tc, shown.answers.length, shown.edns!.options], [false, 1, []]);
  assertEquals(read(reply(ask("x", 518), upstream)).edns!.options, options);
});

Deno.test("2181-1: whatever the records, a reply fits, is a prefix of whole RRsets but for addresses without EDNS, and has TC exactly if it must", () => {
  const rrset = fc.record({
    name: fc.constantFrom("x", "X", "y", "z.x", "z.y"),
    type: fc.constantFrom(1, 2, 46, 65280),
    lengths: fc.array(fc.integer({ min: 0, max: 150 }), { minLength: 1, maxLength: 5 }),
  });
  const section = fc.array(rrset, { maxLength: 4 }).map((rrsets) =>
    rrsets.flatMap(({ name, type, lengths }) => lengths.map((n) => record(name, type, data(type, n))))
  );
  const size = fc.option(fc.integer({ min: 0, max: 1600 }), { nil: undefined });
  fc.assert(
    fc.property(section, section, section, size, (answers, authority, additional, size) => {
      const upstream = response(ask("x", 4096), { answers, authority, additional });
      const bytes = reply(ask("x", size), upstream);
      assert(bytes.length <= Math.max(512, Math.min(size ?? 512, 1232)), `${bytes.length} octets`);
      const shown = read(bytes);
      const sections = [[answers, shown.answers], [authority, shown.authority], [
        additional,
        shown.additional,
      ]];
      let cut = false;
      for (const [sent, kept] of sections as [ResourceRecord[], ResourceRecord[]][]) {
        if (cut) assertEquals(kept.length, 0, "records behind those dropped");
        assertEquals(kept.map(({ rdata }) => rdata), sent.slice(0, kept.length).map(({ rdata }) => rdata));
        if (kept.length === sent.length) continue;
        cut = true;
        const next = sent[kept.length]!;
        const last = sent[kept.length - 1];
        const mayBeHalf = sent === answers && size === undefined && next.type === 1;
        assert(mayBeHalf || !last || !sameRrset(last, next), "half an RRset");
      }
      const required = answers.length + authority.length > shown.answers.length + shown.authority.length;
      const glue = answers.length === 0 && authority[0]?.type === 2 &&
        additional.length > shown.additional.length;
      assertEquals(shown.flags.tc, required || glue);
    }),
    { seed: 2181, numRuns: 1500 },
  );
});

/** Data of about this length; NS has a name, which the tests' reader insists on. */
function data(type: number, length: number): Uint8Array {
  if (type === 2) return hex("01 6e 00");
  return new Uint8Array(type === 1 ? 4 : length).fill(length);
}

function sameRrset(one: ResourceRecord, other: ResourceRecord): boolean {
  return one.type === other.type && one.name.toLowerCase() === other.name.toLowerCase();
}

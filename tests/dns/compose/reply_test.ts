import { Message } from "../../../lib/dns/message.ts";
import {
  composeError,
  composeHeaderError,
  composeReply,
  type ReplyOptions,
} from "../../../lib/dns/compose/reply.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import {
  a,
  type EdnsFields,
  hex,
  keepAlive,
  padding,
  query,
  type QueryFields,
  read,
  response,
} from "../../support/packets/packets.ts";
import { vector } from "../vectors.ts";

const udp: ReplyOptions = { transport: "udp", udpSize: 1232, keepAlive: 300 };
const tcp: ReplyOptions = { ...udp, transport: "tcp" };
const answers = [a("www.example", "192.0.2.1")];

/** The message of the reply, without its length, which is checked. */
function reply(client: Uint8Array, upstream: Uint8Array, options = udp): Uint8Array {
  return message(composeReply(Message.parse(client), Message.parse(upstream), options));
}

function message(frame: Uint8Array): Uint8Array {
  assertEquals(frame[0]! << 8 | frame[1]!, frame.length - 2, "the length prefix");
  return frame.subarray(2);
}

const ask = (fields: QueryFields = {}) => query("www.example", "A", fields);
const asked = ask({ id: 0xffff, edns: {} });

Deno.test("a reply, octet by octet", () => {
  const client = hex("beef 0100 0001 0000 0000 0001  01 41 00 0001 0001  00 0029 1000 00 00 8000 0000");
  const upstream = hex(`
    4242 81a0 0001 0001 0000 0001            # response, RD, RA, AD
    01 61 00 0001 0001
    c00c 0001 0001 0000003c 0004 c0000201
    00 0029 0200 00 00 0000 0004 000c 0000   # OPT with padding
  `);
  const expected = hex(`
    beef 81a0 0001 0001 0000 0001            # the client's ID; AD since it has set DO
    01 41 00 0001 0001                       # the client's capitals
    c00c 0001 0001 0000003c 0004 c0000201
    00 0029 04d0 00 00 8000 0000             # OPT of our own: our size, DO as in the query, no options
  `);
  assertEquals(reply(client, upstream), expected);
});

Deno.test("6891-1, 7828-4: a reply has an OPT record exactly if the query has, whatever the upstream did", () => {
  for (const edns of [false, {}] as const) {
    const upstream = response(asked, { answers, edns });
    assert(!read(reply(ask(), upstream)).edns, "OPT for a client without EDNS");
    assertEquals(read(reply(ask({ edns: {} }), upstream)).edns, {
      size: 1232,
      version: 0,
      do: false,
      options: [],
    });
  }
});

Deno.test("6891-1, 7828-5, 7830-3: no option of the upstream reaches a client, except extended errors", () => {
  const options = [padding(20), keepAlive(100), { code: 10, value: hex("01") }, {
    code: 8,
    value: hex("00010000"),
  }];
  const upstream = response(asked, { answers, edns: { size: 4096, options } });
  for (const transport of [udp, tcp]) {
    assertEquals(
      read(reply(ask({ edns: { options: [padding(9)] } }), upstream, transport)).edns!.options,
      [],
    );
  }
});

Deno.test("3225 §3: DO in the reply is the query's", () => {
  const upstream = response(asked, { answers, edns: { do: true } });
  assert(!read(reply(ask({ edns: {} }), upstream)).edns!.do);
  assert(read(reply(ask({ edns: { do: true } }), response(asked))).edns!.do);
});

Deno.test("6840 §5.8: AD is shown to those who asked by AD or DO, and only if the upstream set it", () => {
  const cases: [QueryFields, boolean][] = [
    [{}, false],
    [{ edns: {} }, false],
    [{ cd: true }, false],
    [{ ad: true }, true],
    [{ edns: { do: true } }, true],
    [{ ad: true, edns: { do: true } }, true],
  ];
  for (const [fields, shown] of cases) {
    assertEquals(read(reply(ask(fields), response(asked, { answers, ad: true }))).flags.ad, shown);
    assertEquals(read(reply(ask(fields), response(asked, { answers }))).flags.ad, false);
  }
});

Deno.test("RD and CD are the client's, TC and RCODE the response's, RA ours (1035 §4.1.1, 4035 §3.2.2)", () => {
  for (const rd of [true, false]) {
    for (const cd of [true, false]) {
      const { flags } = read(
        reply(ask({ rd, cd }), response(query("www.example", "A", { rd: !rd, cd: !cd }))),
      );
      assertEquals([flags.qr, flags.rd, flags.cd], [true, rd, cd]);
    }
  }
  for (const set of [true, false]) {
    const shown = read(reply(ask(), response(asked, { aa: set, tc: set, ra: set, rcode: set ? 3 : 5 })));
    assertEquals([shown.flags.aa, shown.flags.tc, shown.flags.ra, shown.rcode], [
      set,
      set,
      true,
      set ? 3 : 5,
    ]);
  }
});

Deno.test("the question is the client's own, case and all", () => {
  const client = query("wWw.ExAmPlE", "A", { id: 7 });
  const shown = read(reply(client, response(query("www.example"), { answers })));
  assertEquals(shown.question!.name, "wWw.ExAmPlE");
  assertEquals(shown.id, 7);
  assertEquals(shown.answers.map(({ name, text }) => [name, text]), [["wWw.ExAmPlE", "192.0.2.1"]]);
});

Deno.test("6891-1: RCODEs over 15 are whole for a client with EDNS and SERVFAIL for one without", () => {
  const upstream = vector("written/opt-upper-rcode.hex"); // BADCOOKIE, 23
  assertEquals(read(reply(query("a", "A", { edns: {} }), upstream)).rcode, 23);
  assertEquals(read(reply(query("a"), upstream)).rcode, 2);
  const plain = Message.parse(ask());
  assertEquals(read(message(composeError(plain, 16, udp))).rcode, 2);
  assertEquals(read(message(composeError(Message.parse(asked), 16, udp))).rcode, 16);
});

Deno.test("8914-1: all extended errors of the upstream are passed on, to clients with EDNS only", () => {
  const upstream = vector("written/several-extended-errors.hex");
  const errors = [{ code: 15, value: hex("0016 657468") }, { code: 15, value: hex("0017") }];
  assertEquals(read(reply(query("a", "A", { edns: {} }), upstream)).edns!.options, errors);
  assertEquals(read(reply(query("a"), upstream)).edns, undefined);
});

Deno.test("7828-3: only TCP clients that ask for keep-alive get it", () => {
  const askFor: EdnsFields = { options: [keepAlive()] };
  const upstream = response(asked, { answers, edns: { options: [keepAlive(9)] } });
  const told = (client: Uint8Array, options: ReplyOptions) =>
    read(reply(client, upstream, options)).edns?.options;
  assertEquals(told(ask({ edns: askFor }), tcp), [keepAlive(300)]);
  assertEquals(told(ask({ edns: askFor }), { ...tcp, keepAlive: 0 }), [keepAlive(0)]);
  assertEquals(told(ask({ edns: {} }), tcp), []);
  assertEquals(told(ask({ edns: askFor }), udp), []);
  assertEquals(told(ask(), tcp), undefined);
  const error = composeError(Message.parse(ask({ edns: askFor })), 2, { ...tcp, keepAlive: 65_535 });
  assertEquals(read(message(error)).edns!.options, [keepAlive(65_535)]);
});

Deno.test("records behind the OPT record, TSIG among them, do not reach the client", () => {
  const shown = read(reply(query("a", "MX", { edns: {} }), vector("written/opt-not-last.hex")));
  assertEquals(shown.answers.map(({ text }) => text), ["10 m"]);
  assertEquals(shown.additional.map(({ name, type }) => [name, type]), [["m", 1]]);
  const signed = vector("captured/tsig.query.hex");
  assertEquals(read(reply(signed, vector("captured/tsig.response.hex"))).additional, []);
});

Deno.test("a refusal without a question is passed on with the client's", () => {
  const upstream = vector("captured/header-only.response.hex");
  const shown = read(reply(asked, upstream));
  assertEquals([shown.id, shown.rcode, shown.question?.name], [0xffff, 1, "www.example"]);
});

Deno.test("an error has the query's ID, question, RD and CD, RA, no records, and the reason for a client with EDNS", () => {
  const reason = { code: 22, text: "Cannot resolve through 192.0.2.1: über" };
  const client = ask({ id: 9, cd: true, ad: true, edns: { do: true } });
  const shown = read(message(composeError(Message.parse(client), 2, udp, reason)));
  assertEquals([shown.id, shown.rcode, shown.question], [9, 2, read(client).question]);
  assertEquals(shown.flags, {
    qr: true,
    aa: false,
    tc: false,
    rd: true,
    ra: true,
    z: false,
    ad: false,
    cd: true,
  });
  const value = Uint8Array.of(0, 22, ...new TextEncoder().encode(reason.text));
  assertEquals(shown.edns, { size: 1232, version: 0, do: true, options: [{ code: 15, value }] });
  assertEquals(read(message(composeError(Message.parse(ask()), 2, udp, reason))).edns, undefined);
});

Deno.test("8914-2: a reason too long for the client is left out, OPT stays", () => {
  const client = Message.parse(ask({ edns: { size: 0 } }));
  const room = 512 - client.questionEnd - 11 - 6;
  for (const [length, options] of [[room, 1], [room + 1, 0], [70_000, 0]] as const) {
    const shown = message(composeError(client, 2, udp, { code: 0, text: "x".repeat(length) }));
    assert(shown.length <= 512, `${shown.length} octets`);
    assertEquals(read(shown).edns!.options.length, options);
  }
});

Deno.test("an unreadable query gets its ID, opcode and RD back with an RCODE, and nothing else", () => {
  assertEquals(
    composeHeaderError(hex("beef 2f7f 0002 0003 0004 0005 ffff"), 1, 1232),
    hex("000c beef a901 0000 0000 0000 0000"),
  );
  assertEquals(
    composeHeaderError(hex("0001 7800 ffff ffff ffff ffff"), 4, 1232),
    hex("000c 0001 f804 0000 0000 0000 0000"),
  );
});

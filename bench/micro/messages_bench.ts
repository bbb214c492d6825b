/** The cost of pure functions, each alone: `deno bench --allow-read bench/micro/messages_bench.ts`. */
import { FrameReader } from "../../lib/dns/framing.ts";
import { Message } from "../../lib/dns/message.ts";
import { composeQuery, MAX_QUERY_FRAME_BYTES } from "../../lib/dns/compose/upstream_query.ts";
import { composeReply } from "../../lib/dns/compose/reply.ts";
import { an, concat, query, response } from "../rig/messages.ts";

const plain = query("www.example.com");
const withEdns = query("www.example.com", { edns: true });
const answered = response("www.example.com", [an("192.0.2.1")], { edns: true });
const long = response("www.example.com", Array.from({ length: 20 }, (_, i) => an(`192.0.2.${i + 1}`)), {
  edns: true,
});

const UDP = { transport: "udp", udpSize: 1232, keepAlive: 100 } as const;

Deno.bench("an empty function, for comparison", () => {});

Deno.bench("parse a query", { group: "parse", baseline: true }, () => {
  Message.parse(plain);
});

Deno.bench("parse a query and look for its OPT record", { group: "parse" }, () => {
  void Message.parse(withEdns).edns;
});

Deno.bench("parse an answer with one record and its OPT record", { group: "parse" }, () => {
  void Message.parse(answered).edns;
});

Deno.bench("parse an answer with twenty records and its OPT record", { group: "parse" }, () => {
  void Message.parse(long).edns;
});

const outgoing = Message.parse(withEdns);
const room = new Uint8Array(MAX_QUERY_FRAME_BYTES);

Deno.bench("compose the query for the upstream", { group: "compose" }, () => {
  composeQuery(outgoing, 4711, room, 0);
});

const asked = Message.parse(plain);
const askedWithEdns = Message.parse(withEdns);
const answer = Message.parse(answered);
const longAnswer = Message.parse(long);

Deno.bench("does the answer belong to the query", { group: "compose" }, () => {
  answer.answers(asked);
});

Deno.bench("compose the reply, one record", { group: "reply", baseline: true }, () => {
  composeReply(asked, answer, UDP);
});

Deno.bench("compose the reply, one record, for a client with EDNS", { group: "reply" }, () => {
  composeReply(askedWithEdns, answer, UDP);
});

Deno.bench("compose the reply, twenty records", { group: "reply" }, () => {
  composeReply(asked, longAnswer, UDP);
});

const tooLong = Message.parse(response("www.example.com", Array.from({ length: 60 }, () => an("192.0.2.1"))));

Deno.bench("compose the reply, sixty records that do not fit", { group: "reply" }, () => {
  composeReply(asked, tooLong, UDP);
});

const framing = new FrameReader(64 * 1024);
const frame = concat(Uint8Array.of(answered.length >> 8, answered.length & 0xff), answered);
const burst = concat(...Array.from({ length: 16 }, () => frame));

Deno.bench("take sixteen answers that came in one read from the stream", { group: "framing" }, () => {
  framing.space().set(burst);
  framing.advance(burst.length);
  while (framing.take());
});

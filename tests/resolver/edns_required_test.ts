import { EdnsRequired } from "../../lib/resolver/edns_required.ts";
import { UpstreamError } from "../../lib/errors.ts";
import { assertEquals, assertRejects, assertThrows } from "../support/assert.ts";
import { addressed, FakeResolver } from "../support/fake_resolver.ts";
import type { ResponseFields } from "../support/packets.ts";
import { asked } from "../support/resolving.ts";

/** An upstream of this label, that answers at once. */
function answering(fields: ResponseFields) {
  return new EdnsRequired(
    new FakeResolver((query) => {
      query.trace.upstream = "192.0.2.53:853";
      return addressed(query, { answers: [], ...fields });
    }),
  );
}

const REFUSALS: [what: string, fields: ResponseFields, detail: string][] = [
  ["BADVERS", { rcode: 16 }, "BADVERS"],
  ["FORMERR without EDNS", { rcode: 1, edns: false }, "FORMERR without an OPT record"],
  [
    "FORMERR without EDNS and question",
    { rcode: 1, edns: false, question: false },
    "FORMERR without an OPT record",
  ],
];

for (const [what, fields, detail] of REFUSALS) {
  Deno.test(`${what} is a failure of the upstream, which is named, and not the client's (6891-4)`, async () => {
    const error = assertThrows(() => answering(fields).resolve(asked("a.example")), UpstreamError);
    const text = "192.0.2.53:853: read: it refuses EDNS, without which queries have no padding";
    assertEquals([(error as UpstreamError).message, (error as UpstreamError).extendedError], [
      `${text} (${detail})`,
      23,
    ]);
    const later = new EdnsRequired(
      new FakeResolver((query) => Promise.resolve(addressed(query, { answers: [], ...fields }))),
    );
    await assertRejects(async () => await later.resolve(asked("a.example")), UpstreamError, detail);
  });
}

Deno.test("FORMERR with EDNS is about the question, and passes like all other answers", async () => {
  for (
    const fields of [{ rcode: 1 }, { rcode: 0, edns: false }, { rcode: 2 }, {
      rcode: 4,
      edns: false,
    }] as const
  ) {
    assertEquals((await answering(fields).resolve(asked("a.example"))).rcode, fields.rcode);
  }
});

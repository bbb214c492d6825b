import { askEach, assertFailed, assertRight, names } from "../support/clients/query_client.ts";
import { assert, assertEquals } from "../support/assert.ts";
import { Authority } from "../support/servers/certificates.ts";
import {
  addressed,
  type Admission,
  answering,
  answeringInClear,
  type Behavior,
  closing,
  DotServer,
  empty,
  endingInsteadOfAnswering,
  endingWithinFrame,
  garbage,
  ignoring,
  resetting,
  resettingWithinFrame,
  silent,
  stallingInHandshake,
  withoutQuestion,
  wrongId,
  wrongQuestion,
} from "../support/servers/dot_server.ts";
import { inTurn, once } from "../support/servers/scripts.ts";
import { readName } from "../support/packets/names.ts";
import { RunningProxy, written } from "../support/processes/running_proxy.ts";

const AUTHORITY = await Authority.create();
const CERTIFICATE = await AUTHORITY.issue({ addresses: ["127.0.0.1"] });
const TIMEOUT = 600;
/** Waiting queries are looked through every 100 ms; the rest is for a busy machine. */
const LATEST = TIMEOUT + 400;

/**
 * EDE 22 "No Reachable Authority" or 23 "Network Error" (RFC 8914 §4.23, §4.24), phase and cause, and how often the query
 * is sent at most; the last time is left out where the upstream has been found useless meanwhile.
 */
type Expected = readonly [code: number, phase: string, cause: RegExp, sent: number];

async function assertTold(server: DotServer, [code, phase, cause, sent]: Expected): Promise<void> {
  await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem], timeout: TIMEOUT });
  await proxy.proxy.started;
  const start = performance.now();
  const answers = await askEach(proxy.address, names(20));
  const passed = performance.now() - start;
  assert(passed < LATEST, `${passed} ms`);
  assertFailed(
    answers,
    code,
    new RegExp(`^${RegExp.escape(written(server.address))}: ${phase}: ${cause.source}`),
  );
  for (const name of names(20)) {
    const received = server.receivedFor(name);
    assert(received <= sent && received >= Math.min(sent, 2), `${name} was sent ${received} times`);
  }
}

const CLOSED = [23, "read", /it closed the connection without answering/, 3] as const;
const MALFORMED = [23, "read", /its answer is malformed/, 3] as const;
const ANOTHER = [23, "read", /it answered another question$/, 3] as const;
const UNANSWERED = [22, "read", /timed out$/, 1] as const;

const NO_EDNS = [23, "read", /it refuses EDNS, without which queries have no padding/, 1] as const;

const MISBEHAVIOURS: [what: string, behavior: Behavior, expected: Expected][] = [
  ["never answers", silent, UNANSWERED],
  ["answers under another ID", answering(wrongId()), UNANSWERED],
  ["answers another question", answering(wrongQuestion()), ANOTHER],
  ["answers without the question", answering(withoutQuestion), ANOTHER],
  ["answers with garbage", answering(garbage), MALFORMED],
  ["answers with frames of length zero", answering(empty), MALFORMED],
  ["says FORMERR, as one without EDNS", answering(addressed({ rcode: 1, edns: false })), NO_EDNS],
  ["does not know version 0 of EDNS", answering(addressed({ rcode: 16 })), NO_EDNS],
  ["half-closes instead of answering", endingInsteadOfAnswering, CLOSED],
  ["ends within a frame", once(endingWithinFrame()), CLOSED],
  ["resets within a frame", once(resettingWithinFrame()), CLOSED],
];

for (const [what, behavior, expected] of MISBEHAVIOURS) {
  Deno.test(`a server that ${what}: each query gets one SERVFAIL with the reason, in time (9520-1, 8914-3)`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
    await assertTold(server, expected);
  });
}

const REFUSALS: [what: string, admission: Admission, expected: Expected][] = [
  ["ignores the ClientHello", ignoring, [22, "TLS", /timed out$/, 0]],
  ["stalls in the handshake", stallingInHandshake, [22, "TLS", /timed out$/, 0]],
  ["accepts and closes", closing, [23, "TLS", /it closed the connection/, 0]],
  // The reset may come before the connection is seen to be there.
  ["accepts and resets", resetting, [23, "(TLS|connect)", /it closed the connection/, 0]],
  ["speaks no TLS", answeringInClear, [23, "TLS", /it does not speak TLS correctly/, 0]],
];

for (const [what, admission, expected] of REFUSALS) {
  Deno.test(`a server that ${what}: each query gets one SERVFAIL with the reason, in time (8914-3)`, async () => {
    await using server = await DotServer.start({ certificate: CERTIFICATE, admission });
    await assertTold(server, expected);
    assertEquals(server.handshakes, 0);
  });
}

Deno.test("a server that is not there: each query gets one SERVFAIL with the reason (8914-3)", async () => {
  await using server = await DotServer.start({ certificate: CERTIFICATE });
  server.stopListening();
  await assertTold(server, [22, "connect", /connection refused/, 0]);
});

const RECOVERIES = MISBEHAVIOURS.filter(([, , [, , , sent]]) => sent === 3);

for (const [what, behavior] of RECOVERIES) {
  Deno.test(`a server that ${what} on one connection only: no client notices (7858-6)`, async () => {
    await using server = await DotServer.start({
      certificate: CERTIFICATE,
      behavior: inTurn(behavior, answering()),
    });
    await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem] });
    assertRight(await askEach(proxy.address, names(50)));
    assertEquals(proxy.states, ["up"]);
  });
}

/** At once, so that it is the first of a burst's answers. */
const anotherQuestion = addressed({ question: { name: "oad.test", type: "A" } });

for (
  const [what, wrong] of Object.entries({
    "another question": anotherQuestion,
    "no question": withoutQuestion,
  })
) {
  Deno.test(`one query that is always answered wrong (${what}) takes no other down with it`, async () => {
    const behavior = answering((query, connection) =>
      (readName(query, 12).name === "bad.test" ? wrong : addressed())(query, connection)
    );
    await using server = await DotServer.start({ certificate: CERTIFICATE, behavior });
    await using proxy = new RunningProxy({ upstreams: [server], caCerts: [AUTHORITY.pem] });
    const [bad, ...good] = await askEach(proxy.address, ["bad.test", ...names(20)], { clients: 1 });
    assertFailed([bad!], 23, /read: /);
    assertRight(good);
  });
}

import { UpstreamError } from "../../../lib/core/errors.ts";
import { PendingQueries, type PendingQuery } from "../../../lib/upstream/connection/pending_queries.ts";
import { assert, assertEquals } from "../../support/assert.ts";
import { settled } from "../../support/fakes/time.ts";
import { message, pending } from "./connecting.ts";

const DEADLINE = 4_000;

interface Fate {
  readonly pending: PendingQuery;
  outcome: string;
  /** What its trigger was told: whether another attempt would be free. */
  readonly told: boolean[];
}

function newPending(): PendingQueries {
  return new PendingQueries((failure, facts) =>
    new UpstreamError(failure, { upstream: "server", phase: "read", ...facts })
  );
}

/** Adds a query that came at `now`. */
function add(queries: PendingQueries, now = 0, fields: Partial<PendingQuery> = {}): Fate {
  const told: boolean[] = [];
  const fate: Fate = {
    outcome: "waiting",
    told,
    pending: pending({
      message: message("name.test"),
      deadline: now + DEADLINE,
      trigger: { onSlow: ({ withoutBudget }: { withoutBudget: boolean }) => void told.push(withoutBudget) },
      slowAt: now + 100,
      lateAt: now + DEADLINE / 2,
      resolve: () => fate.outcome = "answered",
      reject: (error: UpstreamError) => fate.outcome = `${error.failure}${error.sent ? "" : ", not sent"}`,
      ...fields,
    }),
  };
  queries.add(fate.pending);
  return fate;
}

/** Adds a query and sends it; gives back its ID, too. */
function send(queries: PendingQueries, now = 0, fields: Partial<PendingQuery> = {}): Fate & { id: number } {
  const fate = add(queries, now, fields);
  const id = queries.markSent(queries.takeUnsent(), now);
  return Object.assign(fate, { id });
}

/** Whether it is stalled at that time, having been looked through every 10 ms since `from`. */
function isStalledAt(queries: PendingQueries, from: number, until: number): boolean {
  for (let now = from; now <= until; now += 10) queries.sweep(now, 100);
  return queries.isStalled;
}

Deno.test("whatever is written later, an unanswered query makes its connection stalled when it is slow", () => {
  const queries = newPending();
  send(queries, 0);
  for (let now = 10; now <= 90; now += 10) {
    send(queries, now);
    assert(!isStalledAt(queries, now, now));
  }
  assert(isStalledAt(queries, 100, 100));
});

Deno.test("where older queries wait and nothing is sent, a second without a sign of life is a stall", () => {
  const queries = newPending();
  const [first, second] = [send(queries, 0), send(queries, 0)];
  queries.remove(second.pending, 50);
  assert(!isStalledAt(queries, 60, 1_040));
  assert(isStalledAt(queries, 1_050, 1_050));
  queries.remove(first.pending, 1_100);
  assert(!isStalledAt(queries, 1_100, 9_000), "with none waiting there is no silence");
});

Deno.test("giving queries up is no sign of life: a stalled connection stays stalled", () => {
  const queries = newPending();
  send(queries, 0, { deadline: 500 });
  assert(isStalledAt(queries, 0, 600));
  assertEquals([queries.size, queries.abandoned], [0, 1]);
  send(queries, 600);
  assert(isStalledAt(queries, 600, 610));
});

Deno.test("what has not been sent makes no stall: the connection may still be opening", () => {
  const queries = newPending();
  add(queries, 0);
  assert(!isStalledAt(queries, 0, 3_000));
});

Deno.test("a late answer is a sign of life, and tells when its query was sent", () => {
  const queries = newPending();
  const { id } = send(queries, 10, { deadline: 500 });
  assert(isStalledAt(queries, 10, 600));
  assertEquals(queries.receiveLate(id, 700), 10);
  assertEquals(
    [queries.isStalled, queries.receiveLate(id, 700)],
    [false, undefined],
    "the second one is a repetition",
  );
});

Deno.test("a query is given up at its deadline, sent or not, and says which", async () => {
  const queries = newPending();
  const sent = send(queries, 0);
  const unsent = add(queries, 0);
  queries.sweep(DEADLINE - 1, 100);
  assertEquals([sent.outcome, unsent.outcome], ["waiting", "waiting"]);
  queries.sweep(DEADLINE, 100);
  await settled();
  assertEquals([sent.outcome, unsent.outcome], ["timed out", "timed out, not sent"]);
  assertEquals([queries.size, queries.abandoned], [0, 1]);
});

Deno.test("an trigger is told of a slow answer once, and once more when half of the time is over: then it is free", () => {
  const queries = newPending();
  const { told } = send(queries, 0);
  for (let now = 0; now < 4_000; now += 10) {
    queries.remove(send(queries, now).pending, now); // The connection is alive.
    queries.sweep(now, 100);
    assertEquals(told, now < 100 ? [] : now < 2_000 ? [false] : [false, true], `${now}`);
  }
});

Deno.test("many that wait on a stalled connection may go elsewhere for free; few may be one slow name's", () => {
  for (const [count, withoutBudget] of [[8, true], [7, false]] as const) {
    const queries = newPending();
    const fates = Array.from({ length: count }, (_, i) => send(queries, i));
    for (let now = 0; now < 200; now += 10) queries.sweep(now, 100);
    for (const { told } of fates) assertEquals(told, [withoutBudget]);
  }
});

Deno.test("what waits to be sent may go elsewhere for free", () => {
  const queries = newPending();
  const { told } = add(queries, 0);
  queries.sweep(99, 100);
  assertEquals(told, []);
  for (const now of [100, 200, 2_000, 2_100]) queries.sweep(now, 100);
  assertEquals(told, [true, true]);
});

Deno.test("where half of the time comes before what is slow, the trigger is told once", () => {
  const queries = newPending();
  const { told } = send(queries, 0, { slowAt: 2_000 });
  for (const now of [1_999, 2_000, 2_010, 3_000]) queries.sweep(now, 100);
  assertEquals(told, [true]);
});

Deno.test("without an trigger there is nobody to tell, and an answered query tells no more", () => {
  const queries = newPending();
  send(queries, 0, { trigger: undefined });
  const { told, pending } = send(queries, 0);
  queries.remove(pending, 50);
  queries.sweep(3_000, 100);
  assertEquals(told, []);
});

Deno.test("stalled: a query is slow and nothing has come since it was sent, until an answer comes", () => {
  const queries = newPending();
  const first = send(queries, 0);
  queries.sweep(99, 100);
  assert(!queries.isStalled);
  for (let now = 100; now < 1_500; now += 10) {
    queries.sweep(now, 100);
    assert(queries.isStalled, `${now}`);
  }
  queries.remove(first.pending, 1_500);
  assert(!queries.isStalled);
});

Deno.test("slow names do not make a connection stalled on which others are answered, many or few", () => {
  for (const gap of [10, 500]) {
    const queries = newPending();
    send(queries, 0);
    for (let now = 0; now < 1_900; now += 10) {
      if (now % gap === 0) queries.remove(send(queries, now).pending, now);
      queries.sweep(now, 100);
      assert(!queries.isStalled, `${now}`);
    }
  }
});

Deno.test("what was slow to be sent does not make a connection stalled as soon as it is", () => {
  const queries = newPending();
  add(queries, 0);
  queries.markSent(queries.takeUnsent(), 95);
  queries.sweep(194, 100);
  assert(!queries.isStalled);
  queries.sweep(195, 100);
  assert(queries.isStalled);
});

Deno.test("a connection that dies after an answer is stalled as soon as the next query is slow", () => {
  const queries = newPending();
  send(queries, 0);
  queries.remove(send(queries, 50).pending, 60);
  send(queries, 200);
  queries.sweep(299, 100);
  assert(!queries.isStalled);
  queries.sweep(300, 100);
  assert(queries.isStalled);
});

Deno.test("the ID of a query given up stays taken until its answer has come after all (7766-2)", () => {
  const queries = newPending();
  const { id, outcome, pending } = send(queries, 0);
  queries.abandon(pending, new UpstreamError("timed out", { upstream: "server", phase: "read" }));
  assertEquals([outcome, queries.find(id), queries.abandoned], ["waiting", undefined, 1]);
  queries.receiveLate(id, 1);
  assertEquals(queries.abandoned, 0);
});

Deno.test("queries are sent in the order in which they came, under IDs of their own", () => {
  const queries = newPending();
  const fates = Array.from({ length: 500 }, () => add(queries));
  const ids = fates.map(({ pending }) => {
    assertEquals(queries.takeUnsent(), pending);
    return queries.markSent(pending, 5);
  });
  assertEquals([queries.hasUnsent, new Set(ids).size, queries.sent], [false, 500, 500]);
  assertEquals(ids.map((id) => queries.find(id)), fates.map(({ pending }) => pending));
});

Deno.test("the end rejects what waits, each part with its reason", () => {
  const queries = newPending();
  const sent = send(queries);
  const unsent = add(queries);
  const facts = { upstream: "server", phase: "read" } as const;
  queries.rejectUnsent(new UpstreamError("closed", { ...facts, sent: false }));
  queries.rejectSent(new UpstreamError("silent", facts));
  assertEquals([sent.outcome, unsent.outcome, queries.size], ["silent", "closed, not sent", 0]);
});

Deno.test("what waits to be sent leaves by age, though an older query may come from another connection later", () => {
  const queries = newPending();
  const [second, third, first] = [add(queries, 20), add(queries, 30), add(queries, 10)];
  for (const { pending } of [first, second, third]) assert(queries.takeUnsent() === pending);
});

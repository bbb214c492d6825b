/** An upstream's verdict of failed validation is the answer, with or without an extended error; nothing covers it up. */
import { Message } from "../../lib/dns/message.ts";
import { Balancer } from "../../lib/resolver/balance/balancer.ts";
import { selectionPolicy } from "../../lib/resolver/balance/selection.ts";
import { assertEquals } from "../support/assert.ts";
import { BalancerFixture } from "../support/fakes/balancer_fixture.ts";
import { asking } from "../support/fakes/candidate.ts";
import { settled } from "../support/fakes/time.ts";
import { a, response, type ResponseFields } from "../support/packets/packets.ts";
import { CacheFixture, failing } from "./cache/cache_fixture.ts";

const SERVFAIL: ResponseFields = { rcode: 2 };
const REFUSED: ResponseFields = { rcode: 5 };
const NXDOMAIN: ResponseFields = { rcode: 3 };
const CD = 0x10;

for (const failure of [SERVFAIL, REFUSED]) {
  for (const unchecked of [{}, NXDOMAIN]) {
    const what = `RCODE ${failure.rcode}, but ${unchecked.rcode ?? 0} with CD set`;
    Deno.test(`${what}: the failure is the answer, with "DNSSEC Bogus", and no other is asked`, async () => {
      const fixture = new BalancerFixture(2);
      const fate = fixture.ask();
      const [validating] = fixture.all;
      validating!.attempt.answer(failure);
      await settled();
      assertEquals([fixture.asked, validating!.attempt.query.message.flags & CD], [[2, 0], CD]);
      validating!.attempt.answer(unchecked);
      await settled();
      const [reason] = fate.response!.edns!.extendedErrors();
      assertEquals([fixture.asked, fate.outcome, reason![5]], [[2, 0], `${failure.rcode} from a`, 6]);
    });
  }
}

Deno.test("a question with CD set is not checked: its client does not want validation", async () => {
  const fixture = new BalancerFixture(2);
  const query = asking("name.test", 4_000);
  query.message.bytes[3]! |= CD;
  fixture.ask(query);
  fixture.all[0]!.attempt.answer(SERVFAIL);
  await settled();
  assertEquals(fixture.asked, [1, 1]);
});

Deno.test("no answer to the check in half a second is no verdict, and another is asked", async () => {
  const fixture = new BalancerFixture(2);
  fixture.ask();
  const [first] = fixture.all;
  first!.attempt.answer(SERVFAIL);
  await settled();
  assertEquals(first!.attempt.query.deadline, 500);
  first!.attempt.fail("timed out");
  await settled();
  assertEquals(fixture.asked, [2, 1]);
});

Deno.test("an answer that overtakes the check waits for it, unless it was validated itself", async () => {
  for (
    const [fields, unchecked, outcome] of [
      [{}, {}, "2 from a"],
      [{}, SERVFAIL, "0 from b"],
      [{ ad: true }, {}, "0 from b"],
    ] as const
  ) {
    const fixture = new BalancerFixture(2, "race");
    const fate = fixture.ask();
    const [validating, other] = fixture.all;
    validating!.attempt.answer(SERVFAIL);
    await settled();
    other!.attempt.answer(fields);
    await settled();
    assertEquals(fate.outcome, "ad" in fields ? outcome : "waiting");
    validating!.attempt.answer(unchecked);
    await settled();
    assertEquals(fate.outcome, outcome);
  }
});

/** One upstream whose data for a.test, good at first, is bogus once `isBogus` is set. */
class Validating implements Disposable {
  isBogus = false;
  readonly fixture: CacheFixture;

  constructor() {
    const resolve = ({ message }: { message: Message }) => {
      const rcode = this.isBogus && !(message.flags & CD) ? 2 : 0;
      const answers = rcode === 0 ? [a("a.test", "192.0.2.1", 60)] : [];
      return Promise.resolve(Message.parse(response(message.bytes, { rcode, answers })));
    };
    const upstream = {
      label: "upstream",
      weight: 1,
      usable: true,
      expectedLatencyMs: 1,
      lastQueryAt: 0,
      resolve,
      exchange: resolve,
    };
    const now = () => this.fixture.time.now();
    const balancer = new Balancer({
      candidates: [upstream],
      selection: selectionPolicy("fastest", now),
      now,
    });
    this.fixture = new CacheFixture((query) => balancer.resolve(query));
  }

  [Symbol.dispose](): void {
    this.fixture[Symbol.dispose]();
  }
}

Deno.test("stale data does not cover up that a single upstream does not accept the name's data any more", async () => {
  using validating = new Validating();
  const { fixture } = validating;
  await fixture.ask("a.test");
  await fixture.pass(60);
  validating.isBogus = true;
  assertEquals(await fixture.tell("a.test"), "upstream: 2 EDE 6");
  assertEquals(await fixture.tell("a.test"), "cache: 2 EDE 6,13");
  fixture.upstream.respond = failing("refused", "connect");
  await fixture.pass(60);
  assertEquals(await fixture.tell("a.test"), "error: refused", "nor does it later");
});

Deno.test("found out while the entry is refreshed, it is good until its end and not stale after that", async () => {
  using validating = new Validating();
  const { fixture } = validating;
  await fixture.ask("a.test");
  await fixture.pass(55);
  validating.isBogus = true;
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 5 192.0.2.1");
  await fixture.pass(4);
  assertEquals(await fixture.tell("a.test"), "cache: 0 | 1 192.0.2.1");
  await fixture.pass(1);
  assertEquals(await fixture.tell("a.test"), "upstream: 2 EDE 6");
});

Deno.test("where nothing could cover the failure of a single upstream, it is not asked twice", async () => {
  const fixture = new BalancerFixture(1);
  const fate = fixture.ask();
  fixture.all[0]!.attempt.answer(SERVFAIL);
  await settled();
  assertEquals([fixture.asked, fate.outcome], [[1], "2 from a"]);
});

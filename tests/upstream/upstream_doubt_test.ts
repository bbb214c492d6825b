/** How doubts about connections and upstreams are settled: one name's trouble stays its own. */
import { assert, assertEquals } from "../support/assert.ts";
import type { FakeChannel } from "../support/fakes/channel.ts";
import { settled } from "../support/fakes/time.ts";
import { frame } from "../support/packets/frames.ts";
import { read, response } from "../support/packets/packets.ts";
import { Fixture } from "./fixture.ts";

/** Behavior of a server for one query: its name, its bytes, its channel, and the number of the channel. */
type Rule = (name: string, query: Uint8Array, channel: FakeChannel, number: number) => void;

const answer: Rule = (_, query, channel) => channel.answer([query]);
const silence: Rule = () => {};
const garbage: Rule = (_, __, channel) => channel.say(frame(new Uint8Array(40).fill(0xfe)));
const wrong: Rule = (_, query, channel) =>
  channel.answer([query], { question: { name: "other.test", type: "A" } });
const wrongId: Rule = (_, query, channel) => channel.say(frame(response(query, { id: read(query).id ^ 1 })));
const formerr: Rule = (_, query, channel) => channel.answer([query], { rcode: 1, edns: false });
const close: Rule = (_, __, channel) => channel.end();

/** Another rule for one name, while the rest of the world is well. */
function onlyFor(bad: string, rule: Rule, otherwise = answer): Rule {
  return (name, ...rest) => (name.startsWith(bad) ? rule : otherwise)(name, ...rest);
}

/** A fixture whose server follows a rule, ten milliseconds after each query. */
class Server extends Fixture {
  rule: Rule;
  readonly #seen = new Map<FakeChannel, number>();

  constructor(rule: Rule) {
    super();
    this.rule = rule;
  }

  async pass(milliseconds: number): Promise<void> {
    for (let passed = 0; passed < milliseconds; passed += 10) {
      await this.time.pass(10);
      for (const [number, channel] of this.channels.entries()) {
        const seen = this.#seen.get(channel) ?? 0;
        this.#seen.set(channel, channel.queries.length);
        for (const query of channel.queries.slice(seen)) {
          this.rule(read(query).question!.name, query, channel, number);
        }
      }
      await settled();
    }
  }
}

for (const delay of [1_600, 3_000, 3_900]) {
  Deno.test(`Upstream answers a name that takes ${delay} ms over one connection, and others at once`, async () => {
    const late: (() => void)[] = [];
    using server = new Server(
      onlyFor("slow", (_, query, channel) => void late.push(() => channel.answer([query]))),
    );
    const [slow] = [await server.askFor(["slow.test"])];
    await server.pass(delay - 200);
    const others = await server.ask(3);
    await server.pass(20);
    assertEquals(others, ["name0.test.", "name1.test.", "name2.test."]);
    await server.pass(180);
    late[0]!();
    await settled();
    assertEquals([slow, server.dials, server.states], [["slow.test."], 1, ["up"]]);
  });
}

Deno.test("Upstream stays up when each answer takes 3.9 s, also that to a probe", async () => {
  const late: { at: number; send: () => void }[] = [];
  using server = new Server((_, query, channel) =>
    void late.push({ at: server.time.now() + 3_890, send: () => channel.answer([query]) })
  );
  const outcomes = await server.ask(2);
  for (let passed = 0; passed < 8_500; passed += 10) {
    await server.pass(10);
    while (late[0] && late[0].at <= server.time.now()) late.shift()!.send();
  }
  assertEquals([outcomes, server.states], [["name0.test.", "name1.test."], ["up"]]);
});

Deno.test("Upstream keeps its connection and answers other names when one name per second is never answered", async () => {
  using server = new Server(onlyFor("never", silence));
  for (let second = 0; second < 20; second++) {
    await server.askFor([`never${second}.test`]);
    const good = second % 4 === 0 ? await server.ask(1) : [];
    await server.pass(1_000);
    assertEquals(good, good.map(() => "name0.test."));
  }
  assertEquals([server.states, server.dials], [["up"], 1]);
});

for (
  const [what, isLate] of [["sent over another one,", false], [
    "or answered by the old one, late",
    true,
  ]] as const
) {
  Deno.test(`queries on a connection that has died are ${what} where another one is opened beside it`, async () => {
    let isDead = false;
    using server = new Server((name, query, channel, number) =>
      number === 0 && isDead || isLate && name !== "" && number > 0 && name !== "."
        ? undefined
        : answer(name, query, channel, number)
    );
    await server.ask(1);
    await server.pass(100);
    isDead = true;
    const outcomes = await server.ask(3);
    await server.pass(1_500);
    if (isLate) server.channels[0]!.answer(server.channels[0]!.queries.slice(1));
    await settled();
    assertEquals(outcomes, ["name0.test.", "name1.test.", "name2.test."]);
    assert(server.dials <= 3, `${server.dials} dials`);
    assertEquals(server.states, ["up"]);
  });
}

Deno.test("Upstream sends new queries over a second connection while the first is doubted, and keeps the first open", async () => {
  using server = new Server((name, query, channel, number) =>
    number > 0 ? answer(name, query, channel, number) : undefined
  );
  const slow = await server.askFor(["first.test"], 60_000);
  await server.pass(1_100);
  const others = await server.ask(5);
  await server.pass(50);
  assertEquals(others, ["name0.test.", "name1.test.", "name2.test.", "name3.test.", "name4.test."]);
  assertEquals([slow, server.channels[0]!.closed], [["first.test."], false]);
});

Deno.test("Upstream does not send a query again that a copy has answered, when the dead connection closes", async () => {
  let isDead = false;
  using server = new Server((name, query, channel, number) =>
    number === 0 && isDead ? undefined : answer(name, query, channel, number)
  );
  await server.ask(1);
  await server.pass(100);
  isDead = true;
  const outcomes = await server.askFor(["a.test", "b.test"]);
  await server.pass(1_500);
  const sent = () => ["a.test", "b.test"].map((name) => server.sent(name));
  assertEquals([outcomes, sent(), server.channels[0]!.closed], [["a.test.", "b.test."], [2, 2], false]);
  server.channels[0]!.end();
  await server.pass(100);
  assertEquals(sent(), [2, 2]);
});

for (
  const [what, rule, reason] of [
    ["garbage", garbage, /malformed/],
    ["another question", wrong, /another question/],
    ["FORMERR without EDNS", formerr, /refuses EDNS/],
    ["by closing", close, /closed the connection/],
    ["nothing", silence, /does not answer/],
    ["under other IDs", wrongId, /does not answer|answers no query/],
  ] as const
) {
  Deno.test(`an upstream that answers ${what} to every query backs off, says why, and is up with the first useful answer`, async () => {
    using server = new Server(rule);
    for (let count = 0; count < 1_000; count++) {
      await server.askFor([`n${count}.test`]);
      await server.pass(20);
    }
    assertEquals([...new Set(server.states)], ["down"]);
    assert(reason.test(server.reason!), server.reason);
    assert(server.dials < 50, `${server.dials} handshakes in 20 s`);
    server.rule = answer;
    const start = server.time.now();
    let outcomes: string[];
    do {
      outcomes = await server.askFor(["again.test"]);
      await server.pass(200);
    } while (outcomes[0] !== "again.test." && server.time.now() - start < 6_000);
    assertEquals([outcomes, server.states.at(-1)], [["again.test."], "up"]);
  });
}

for (
  const [what, rule] of [
    ["garbage", garbage],
    ["another question", wrong],
    ["FORMERR without EDNS", formerr],
    ["by closing", close],
  ] as const
) {
  Deno.test(`names answered with ${what}, and nothing else is asked: that is no proof against the upstream`, async () => {
    using server = new Server(onlyFor("bad", rule));
    for (let count = 0; count < 500; count++) {
      const outcomes = await server.askFor([`bad${count % 7}.test`]);
      await server.pass(80);
      assert(/^read: /.test(outcomes[0]!), outcomes[0]!);
    }
    assert(!server.states.includes("down"), `${server.states}`);
    const isClosing = rule === close; // each query costs the connections that it is sent on
    assert(server.dials < (isClosing ? 2_000 : 150), `${server.dials} handshakes for 500 queries`);
    assertEquals(await useful(server), "name0.test.");
  });
}

async function useful(server: Server): Promise<string> {
  const outcomes = await server.ask(1);
  await server.pass(50);
  return outcomes[0]!;
}

Deno.test("Upstream fails only the name because of which the server closes each connection", async () => {
  using server = new Server(onlyFor("poison", close));
  for (let place = 0; place < 4; place++) {
    const names = ["a.test", "b.test", "c.test"].toSpliced(place, 0, "poison.test");
    const outcomes = await server.askFor(names);
    await server.pass(400);
    assertEquals(outcomes, names.map((name) => name === "poison.test" ? "read: closed" : `${name}.`));
  }
});

Deno.test("Upstream fails only the name after which the server stops answering on a connection", async () => {
  const mute = new Set<FakeChannel>();
  using server = new Server((name, query, channel, number) => {
    if (name.startsWith("mute")) mute.add(channel);
    if (!mute.has(channel)) answer(name, query, channel, number);
  });
  for (let place = 0; place < 4; place++) {
    const names = ["a.test", "b.test", "c.test"].toSpliced(place, 0, "mute.test");
    const outcomes = await server.askFor(names);
    await server.pass(4_500);
    assertEquals(outcomes, names.map((name) => name === "mute.test" ? "read: timed out" : `${name}.`));
  }
  assert(!server.states.includes("down"), `${server.states}`);
});

Deno.test("Upstream backs off after two connections in a row with a flood of unsolicited messages", async () => {
  using server = new Server((_, query, channel) => {
    channel.answer([query]);
    channel.say(frame(...Array.from({ length: 200 }, () => response(query, { id: read(query).id ^ 1 }))));
  });
  for (let count = 0; count < 100; count++) {
    await server.ask(1);
    await server.pass(20);
  }
  assert(server.states.includes("down"));
  assert(server.dials < 60, `${server.dials} handshakes for 100 queries`);
});

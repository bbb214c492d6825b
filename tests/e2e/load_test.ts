/**
 * Under load nothing is lost, and one connection carries it all. The gate takes seconds; for a longer look:
 * `DOT_PROXY_LOAD_SECONDS=30 deno test --allow-all tests/e2e/load_test.ts`.
 */
import { assert, assertEquals } from "../support/assert.ts";
import { modeConfig } from "../support/mode.ts";
import { connectionsTo } from "./connections.ts";
import { dig } from "../support/processes/dig.ts";
import { dnsperf, type Performance } from "./dnsperf.ts";
import { startRig } from "./rig.ts";
import { MANY_NAMES } from "./zones.ts";

/** Each has a connection of its own. */
const THREADS = modeConfig().workers;
/** How long the half rate is kept up. */
const SECONDS = Number(Deno.env.get("DOT_PROXY_LOAD_SECONDS") ?? "5");
/** Long enough to warm up and to see the rate. */
const SECONDS_AT_TOP = 2;

for (const mode of ["udp", "tcp"] as const) {
  Deno.test(`dnsperf over ${mode.toUpperCase()} loses no query at half of the top rate, and one connection goes upstream (7766-4, 7858-6)`, async (t) => {
    assert(SECONDS > 0, "DOT_PROXY_LOAD_SECONDS is a number of seconds");
    // Unbound has most answers in its cache. It leaves Nagle's algorithm on, as BIND does: a rate is no one's merit here.
    await using rig = await startRig("Unbound", { logLevel: "info" });
    await using stack = new AsyncDisposableStack();
    const questions = await Deno.makeTempFile({ prefix: "dot-proxy-e2e-" });
    stack.defer(() => Deno.remove(questions));
    await Deno.writeTextFile(questions, [...mixedQuestions()].join("\n") + "\n");
    await dig(rig.proxy.server, "www.example.test"); // The connection is there before it is counted.
    await using upstream = connectionsTo(rig.server.dotPort);
    const load = { port: rig.proxy.port, mode, questions };

    let rate = 0;
    await rig.step(t, "as fast as it goes", async () => {
      const top = await dnsperf({ ...load, seconds: SECONDS_AT_TOP });
      rate = Math.floor(top.rate / 2);
      console.log(summaryOf(top, mode));
      assertOnlyAnswers(top);
    });

    await rig.step(t, "at half of that", async () => {
      const half = await dnsperf({ ...load, seconds: SECONDS, rate });
      console.log(summaryOf(half, mode));
      assertOnlyAnswers(half);
      assertEquals(half.lost, 0, half.text);
      assertEquals(half.completed, half.sent, half.text);
    });

    await rig.step(t, "on one connection", async () => {
      const { most, ports, samples } = await upstream.counts();
      assert(samples > SECONDS, `${samples} samples are too few`);
      assert(most >= 1 && ports.size <= THREADS, `${most} connections at one time, ${ports.size} in all`);
    });
  });
}

/** No SERVFAIL among them: such an answer counts as a lost query. */
function assertOnlyAnswers({ statuses, text }: Performance): void {
  const others = Object.keys(statuses).filter((status) => status !== "NOERROR" && status !== "NXDOMAIN");
  assertEquals(others, [], text);
  assert((statuses.NOERROR ?? 0) > 0, text);
}

function summaryOf({ sent, lost, rate }: Performance, mode: string): string {
  return `${mode}: ${Math.round(rate)} queries per second, ${lost} of ${sent} lost`;
}

function* mixedQuestions(): Generator<string> {
  for (let index = 0; index < MANY_NAMES; index++) yield `n${index}.example.test A`;
  yield "www.example.test AAAA";
  yield "alias1.example.test A";
  yield "www.signed.test A";
  yield "nope.example.test A";
  yield "_dot._tcp.example.test SRV";
}

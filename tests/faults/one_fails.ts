/**
 * Run by faults_test.ts. One of two upstreams fails, at 500 queries per second. What takes time to arrange is shared: the faults befall one
 * proxy one after the other, as in life.
 */
import { type Fault, Rig, sleep } from "./rig.ts";
import { Server } from "./server.ts";

const FAULTS: Record<string, Fault> = {
  "stalls after the handshake": {
    begin: (server) => server.ask({ do: "behave", as: "silent" }),
    end: async (server) => {
      await server.ask({ do: "behave", as: "healthy" });
      await server.ask({ do: "cut" });
    },
  },
  "is slow (500 ms)": {
    begin: (server) => server.ask({ do: "behave", as: "slow" }),
    end: (server) => server.ask({ do: "behave", as: "healthy" }),
  },
  "answers SERVFAIL": {
    begin: (server) => server.ask({ do: "behave", as: "servfail" }),
    end: (server) => server.ask({ do: "behave", as: "healthy" }),
  },
  "is away every other second": {
    begin: async (server) => {
      for (let times = 0; times < 2; times++) {
        await server.goAway();
        await sleep(1_000);
        await server.comeBack();
        await sleep(1_000);
      }
    },
    end: () => Promise.resolve(),
  },
  "presents a certificate that nobody trusts": {
    begin: (server) => server.swapCertificate(),
    end: (server) => server.restoreCertificate(),
  },
  "is killed": { begin: (server) => server.kill() },
};

Deno.test("with one of two upstreams left, no client sees a failure, and hardly one a delay, when the other", async (t) => {
  await using rig = await Rig.start([await Server.start(), await Server.start()]);
  for (const [what, fault] of Object.entries(FAULTS)) await t.step(what, () => rig.assertUnnoticed(fault));
});

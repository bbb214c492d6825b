/**
 * Every system call that the proxy depends on fails for a while, with each error that a host in trouble gives: nothing
 * panics, no service is lost for good, and the log names a remedy.
 */
import { fileURLToPath } from "node:url";
import { assert, assertEquals } from "../support/assert.ts";
import { askTcp, askUdp } from "../support/clients/plain_client.ts";
import { HostedProxy } from "../e2e/hosted_proxy.ts";
import { MODE } from "../support/mode.ts";
import { succeed } from "../e2e/tools.ts";

/** In the order of failing_calls.c. */
const CALLS = [
  ...["socket", "bind", "accept", "connect", "send", "receive"],
  ...["open", "read", "write", "interfaces", "wait"],
] as const;

/** Error numbers of Linux, and words that the log then has if anything does. */
const ERRORS = [
  ["EINTR", 4, undefined],
  ["EIO", 5, undefined],
  ["ENOMEM", 12, /memory/],
  ["EACCES", 13, undefined],
  ["ENFILE", 23, /no free file descriptors/],
  ["EMFILE", 24, /no free file descriptors.* raise/],
  ["ENOSPC", 28, undefined],
  ["ENOBUFS", 105, /memory|buffers/],
] as const;

/** The library, and the file that selects the failing calls. */
class Faults implements AsyncDisposable {
  readonly env: Record<string, string>;
  readonly #folder: string;
  readonly #file: string;

  private constructor(folder: string) {
    this.#folder = folder;
    this.#file = `${folder}/calls`;
    this.env = { LD_PRELOAD: `${folder}/failing_calls.so`, FAILING_CALLS: this.#file };
  }

  static async create(): Promise<Faults> {
    const faults = new Faults(await Deno.makeTempDir());
    const source = fileURLToPath(new URL("failing_calls.c", import.meta.url));
    await succeed("gcc", ["-shared", "-fPIC", "-o", faults.env.LD_PRELOAD!, source, "-ldl"]);
    await Deno.writeFile(faults.#file, new Uint8Array(CALLS.length));
    return faults;
  }

  /** From now on this call fails with an error number, and no other does. */
  async set(call: typeof CALLS[number] | undefined, error = 0): Promise<void> {
    using file = await Deno.open(this.#file, { write: true }); // in place: the library has it in its memory
    await file.write(Uint8Array.from(CALLS, (each) => each === call ? error : 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Tries until it works: the fault is over, and all comes back by itself. */
async function comesBack(what: string, proxy: HostedProxy, works: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (proxy.child.ended) break;
    if (await works().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(proxy.child.explain(`lost ${what} for good`));
}

let names = 0;
/** A name that no cache knows. */
const fresh = () => `name${++names}.example`;

// Without batches all calls go through the preloaded library. FFI looks symbols up in the C library itself and bypasses it.
const isWhole = MODE === "plain";

for (const [error, number, words] of ERRORS) {
  if (!isWhole && error !== "EMFILE") continue;
  Deno.test(`${error} of any call, under load and on reload, passes and leaves nothing lost`, async () => {
    await using faults = await Faults.create();
    await using proxy = await HostedProxy.start({ env: faults.env, options: ["--tcp-idle-timeout", "1s"] });
    for (const call of CALLS) {
      await faults.set(call, number);
      const quick = { timeout: 150 };
      await Promise.allSettled([
        ...Array.from({ length: 5 }, () => proxy.ask(fresh(), askUdp, quick)),
        ...Array.from({ length: 5 }, () => proxy.ask("cached.example", askTcp, quick)),
        Promise.race([proxy.health(), new Promise((resolve) => setTimeout(resolve, 150))]),
      ]);
      const reloads = proxy.child.log.split("reloaded").length;
      Deno.kill(proxy.child.pid, "SIGHUP");
      for (let waited = 0; waited < 50 && proxy.child.log.split("reloaded").length === reloads; waited++) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await faults.set(undefined);
      const step = `after ${error} of ${call}`;
      await comesBack(`UDP and the upstream ${step}`, proxy, async () => await proxy.ask(fresh()) === 0);
      await comesBack(`TCP ${step}`, proxy, async () => await proxy.ask(fresh(), askTcp) === 0);
      await comesBack(`the admin address ${step}`, proxy, async () => await proxy.health() === 200);
      const before = proxy.child.log.split("reloaded on").length;
      Deno.kill(proxy.child.pid, "SIGHUP");
      await comesBack(
        `the reload ${step}`,
        proxy,
        () => Promise.resolve(proxy.child.log.split("reloaded on").length > before),
      );
    }
    const { log } = proxy.child;
    assert(!/panicked|internal error/.test(log), proxy.child.explain(`met with ${error}`));
    if (words) assert(words.test(log), proxy.child.explain(`has no words for ${error}`));
    assertEquals(await proxy.child.stop(), 0);
  });
}

for (const call of ["socket", "bind", "interfaces"] as const) {
  if (!isWhole) break;
  Deno.test(`a start on which ${call} fails ends with the reason, or goes on without`, async () => {
    for (const [error, number] of ERRORS) {
      if (error === "EINTR") continue; // none of these waits for anything
      await using faults = await Faults.create();
      await faults.set(call, number);
      const start = HostedProxy.start({ env: faults.env });
      const outcome = await start.then(async (proxy) => {
        await using running = proxy;
        assertEquals(await running.child.stop(), 0);
        return running.child.log;
      }, (reason: Error) => reason.message);
      assert(!/panicked|internal error|Uncaught|\.ts:\d/.test(outcome), `${error}: ${outcome}`);
      assert(/Cannot listen|cannot be listed|Cannot list/.test(outcome), `${error}: ${outcome}`);
    }
  });
}

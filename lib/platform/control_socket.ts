/**
 * The control socket: `dot-proxy reload` makes the running process reload, and gets the outcome. A signal has no response, so
 * the systemd unit reloads this way. The socket is in the service's RUNTIME_DIRECTORY (systemd.exec(5)), which only its user
 * and root can enter. Without that variable, there is no socket.
 *
 *     client connects → the process reloads → "reloaded\n", or "failed: REASON\n" → the process closes
 */

import { join } from "node:path";
import { UsageError } from "../core/errors.ts";

const VARIABLE = "RUNTIME_DIRECTORY";
const RELOADED = "reloaded\n";
const FAILED = "failed: ";

/** Path of the socket; undefined without a directory for it. */
function pathFrom(environment: Record<string, string>): string | undefined {
  const directory = environment[VARIABLE]?.split(":")[0];
  return directory ? join(directory, "control") : undefined;
}

export interface ControlOptions {
  readonly environment: Record<string, string>;
  /** Resolves with the reason of a failure, or with undefined after success. Must not reject. */
  readonly reload: () => Promise<string | undefined>;
  /** Called if the socket cannot be opened. The proxy then runs without it. */
  readonly onTrouble: (error: unknown) => void;
}

/** Reloads for each client and sends it the outcome. */
export class ControlSocket implements Disposable {
  readonly #reload: ControlOptions["reload"];
  readonly #listener: Deno.UnixListener | undefined;

  constructor({ environment, reload, onTrouble }: ControlOptions) {
    this.#reload = reload;
    const path = pathFrom(environment);
    if (path === undefined) return;
    try {
      removeStale(path);
      this.#listener = Deno.listen({ transport: "unix", path });
      void this.#accept(this.#listener).catch(onTrouble);
    } catch (error) {
      onTrouble(error);
    }
  }

  [Symbol.dispose](): void {
    this.#listener?.close();
  }

  async #accept(listener: Deno.UnixListener): Promise<void> {
    for await (const client of listener) {
      void this.#answer(client).catch(() => {}); // The client has closed.
    }
  }

  async #answer(client: Deno.UnixConn): Promise<void> {
    using _ = client;
    const failure = await this.#reload();
    const answer = failure === undefined ? RELOADED : `${FAILED}${failure}\n`;
    await new Blob([answer]).stream().pipeTo(client.writable);
  }
}

/** Makes the running process reload. Throws an `Error` with the reason of a failure, and `UsageError` without a socket. */
export async function requestReload(environment: Record<string, string>): Promise<void> {
  const path = pathFrom(environment);
  if (path === undefined) {
    throw new UsageError(
      `dot-proxy reload needs ${VARIABLE} in the environment, as in ExecReload of a systemd unit; elsewhere send SIGHUP to the process`,
    );
  }
  const answer = await new Response((await connect(path)).readable).text();
  if (answer !== RELOADED) throw new Error(answer.trimEnd() || "the process ended before its response");
}

async function connect(path: string): Promise<Deno.UnixConn> {
  try {
    return await Deno.connect({ transport: "unix", path });
  } catch (cause) {
    throw new Error(`cannot connect to "${path}": ${(cause as Error).message}`, { cause });
  }
}

/** Removes the socket of a killed process. */
function removeStale(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

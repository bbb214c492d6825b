/** The command `reload`: the client of the control socket (lib/platform/control_socket.ts). */

import { UsageError } from "../core/errors.ts";
import { requestReload } from "../platform/control_socket.ts";
import { CommandError, EXIT } from "./command.ts";

/** Makes the running process reload and waits for the outcome. Throws `UsageError` for arguments, `CommandError` for a failure. */
export async function reload(args: string[]): Promise<number> {
  if (args.length > 0) {
    throw new UsageError(
      `dot-proxy reload accepts no options, but was given "${args[0]}"; the running process keeps its own`,
    );
  }
  try {
    await requestReload(Deno.env.toObject());
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new CommandError(`reload: ${(cause as Error).message}`, { cause });
  }
  return EXIT.ok;
}

/** Files that the configuration names; one that cannot be read is told with who names it, the reason and a remedy. */
import { UsageError } from "./errors.ts";

/** @param source what names the file: an option, or the upstream whose parameter it is. Throws `UsageError`. */
export function readInputFile(source: string, path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
}

/** For a file that is read later, and little by little. Throws `UsageError`. */
export function checkInputFile(source: string, path: string): void {
  try {
    using file = Deno.openSync(path);
    file.readSync(new Uint8Array(1)); // a directory can be opened, too
  } catch (cause) {
    throw unreadable(source, path, cause);
  }
}

function unreadable(source: string, path: string, cause: unknown): UsageError {
  const reason = (cause as Error).message.replace(/: (open|readfile) '.*'$/s, ""); // the path once more
  return new UsageError(`${source}: cannot read "${path}": ${reason}; ${remedyFor(cause)}`, { cause });
}

function remedyFor(cause: unknown): string {
  if (cause instanceof Deno.errors.NotFound) return "correct the path, or put the file there";
  if (cause instanceof Deno.errors.PermissionDenied) return "let the user read it that this program runs as";
  return "name a file that can be read";
}

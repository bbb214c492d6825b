/** The real programs that these tests need. A missing one fails; nothing is skipped. */
import { find, type Program, PROGRAMS } from "../packages.ts";

/** Output of a program, and its end. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The path of a program; throws with the package's name when it is not installed. */
export function pathOf(program: Program): string {
  const path = find(program);
  if (path !== undefined) return path;
  throw new Error(
    `Cannot run ${program}, which is not installed: apt-get install ${PROGRAMS[program].packages}`,
  );
}

/** Runs a program to its end and returns its output. It is killed by its PID after `seconds`. */
export async function run(
  program: Program,
  args: readonly string[],
  { seconds = 60 } = {},
): Promise<Outcome> {
  const child = new Deno.Command(pathOf(program), {
    args: [...args],
    env: { LC_ALL: "C" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const alarm = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
  try {
    const { code, stdout, stderr } = await child.output();
    return { code, stdout: decode(stdout), stderr: decode(stderr) };
  } finally {
    clearTimeout(alarm);
  }
}

/** Like `run`, for a program whose failure is the test's failure. Resolves with its standard output. */
export async function succeed(program: Program, args: readonly string[], options = {}): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code !== 0) {
    throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}`);
  }
  return stdout;
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

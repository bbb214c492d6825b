/** Options of the command line and the environment, as text. An unknown option or variable is a `UsageError`. */

// @ts-types="./std.d.ts"
import { parseArgs } from "@std/cli/parse-args";
// @ts-types="./std.d.ts"
import { closestString } from "@std/text/closest-string";
import { UsageError } from "../core/errors.ts";
import { isRepeatable, type Name, NAMES, type Option, OPTIONS, PREFIX, variable } from "./options.ts";

/** The text of a value and its source, which errors name. */
export interface OptionValue {
  readonly source: string;
  readonly text: string;
}

/** Returns the values of an option: those of the command line, or else of the environment. Throws `UsageError`. */
export function readArguments(
  args: string[],
  environment: Record<string, string>,
): ((name: Name) => OptionValue[]) | "help" | "version" {
  const line = parseLine(args);
  if (line.help) return "help";
  if (line.version) return "version";
  refuseUnknownVariables(environment);
  return (name) => {
    const fromLine = line[name].map((text) => ({ source: `--${name}`, text: text || bareValueOf(name) }));
    return single(name, fromLine.length > 0 ? fromLine : fromEnvironment(name, environment));
  };
}

function parseLine(args: string[]) {
  // parseArgs would read `--no-upstream=x` as `--upstream=x`.
  const negated = args.find((arg) => arg.startsWith("--no-"));
  if (negated !== undefined) refuseOption(negated);
  const line = parseArgs(joinDashes(args), {
    string: NAMES,
    collect: NAMES,
    boolean: ["help", "version"],
    alias: { h: "help" },
    unknown: (arg, key) => key === undefined ? refuseArgument(arg) : refuseOption(arg),
  });
  if (line._.length > 0) refuseArgument(String(line._[0])); // An argument after `--`.
  return line;
}

/** parseArgs would read the `-` of `--query-log -` as a separate argument. */
function joinDashes(args: readonly string[]): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const option = joined.at(-1);
    if (arg === "-" && NAMES.some((name) => option === `--${name}`)) joined.splice(-1, 1, `${option}=-`);
    else joined.push(arg);
  }
  return joined;
}

function refuseArgument(arg: string): never {
  const remedy = arg === ""
    ? "the command line may use a variable that is not set"
    : `write a value after its option, as in --upstream ${arg}`;
  throw new UsageError(`Unexpected argument "${arg}": ${remedy}`);
}

function refuseOption(arg: string): never {
  const [option = ""] = arg.split("=");
  const known = [...NAMES, "help", "version"].map((name) => `--${name}`);
  throw new UsageError(
    `Unknown option ${option}; did you mean ${closestString(option, known)}? see --help`,
  );
}

function refuseUnknownVariables(environment: Record<string, string>): void {
  const known = NAMES.map(variable);
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || known.includes(name) || isServiceLink(name, value)) continue;
    throw new UsageError(`Unknown environment variable ${name}; did you mean ${closestString(name, known)}?`);
  }
}

/**
 * Kubernetes sets variables for each service of the namespace. For a service `dot-proxy` they are
 * `DOT_PROXY_SERVICE_HOST`, `DOT_PROXY_PORT=udp://10.0.0.1:53`, `DOT_PROXY_PORT_53_UDP_ADDR` and similar names.
 */
function isServiceLink(name: string, value: string): boolean {
  return /_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name) ||
    name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value);
}

function fromEnvironment(name: Name, environment: Record<string, string>): OptionValue[] {
  const source = variable(name);
  const text = environment[source];
  if (text === undefined) return [];
  const texts = isRepeatable(name) ? text.split(",").map((each) => each.trim()) : [text];
  return texts.map((text) => ({ source, text }));
}

function bareValueOf(name: Name): string {
  const { valueIfBare = "" }: Option<unknown> = OPTIONS[name];
  return valueIfBare;
}

function single(name: Name, values: OptionValue[]): OptionValue[] {
  if (values.length > 1 && !isRepeatable(name)) {
    throw new UsageError(`--${name} is given ${values.length} times; keep one of them`);
  }
  return values;
}

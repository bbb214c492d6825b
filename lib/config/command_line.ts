/** What the command line and the environment say of each option, as text; what is unknown there is a `UsageError`. */
// @ts-types="./std.d.ts"
import { parseArgs } from "@std/cli/parse-args";
// @ts-types="./std.d.ts"
import { closestString } from "@std/text/closest-string";
import { UsageError } from "../core/errors.ts";
import { isRepeatable, type Name, NAMES, type Option, OPTIONS, PREFIX, variable } from "./options.ts";

/** A text and who gave it, so that an error can name both. */
export interface OptionValue {
  readonly source: string;
  readonly text: string;
}

/** What was said of an option, by whichever of the two was asked: the command line wins. */
export function readArguments(
  args: string[],
  environment: Record<string, string>,
): ((name: Name) => OptionValue[]) | "help" | "version" {
  const line = parseLine(args);
  if (line.help) return "help";
  if (line.version) return "version";
  refuseUnknownVariables(environment);
  return (name) => {
    const fromLine = line[name].map((text) => ({ source: `--${name}`, text: text || aloneOf(name) }));
    return single(name, fromLine.length > 0 ? fromLine : fromEnvironment(name, environment));
  };
}

function parseLine(args: string[]) {
  // parseArgs takes `--no-upstream=x` for `--upstream=x`.
  const negated = args.find((arg) => arg.startsWith("--no-"));
  if (negated !== undefined) refuseOption(negated);
  const line = parseArgs(joinDashes(args), {
    string: NAMES,
    collect: NAMES,
    boolean: ["help", "version"],
    alias: { h: "help" },
    unknown: (arg, key) => key === undefined ? refuseArgument(arg) : refuseOption(arg),
  });
  if (line._.length > 0) refuseArgument(String(line._[0])); // what follows `--`
  return line;
}

/** parseArgs takes the `-` of `--query-log -` for an argument of its own. */
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
    ? "is a variable unset that the command line uses?"
    : `every value follows its option, as in --upstream ${arg}`;
  throw new UsageError(`Unexpected argument "${arg}": ${remedy}`);
}

function refuseOption(arg: string): never {
  const [option = ""] = arg.split("=");
  const known = [...NAMES, "help", "version"].map((name) => `--${name}`);
  throw new UsageError(
    `Unknown option ${option}; did you mean ${closestString(option, known)}? --help lists them all`,
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
 * Kubernetes tells every pod of the services in its namespace, and one called `dot-proxy` comes as
 * `DOT_PROXY_SERVICE_HOST`, `DOT_PROXY_PORT=udp://10.0.0.1:53`, `DOT_PROXY_PORT_53_UDP_ADDR` and their like.
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

function aloneOf(name: Name): string {
  const { valueIfBare: alone = "" }: Option<unknown> = OPTIONS[name];
  return alone;
}

function single(name: Name, given: OptionValue[]): OptionValue[] {
  if (given.length > 1 && !isRepeatable(name)) {
    throw new UsageError(`--${name} is given ${given.length} times; keep one of them`);
  }
  return given;
}

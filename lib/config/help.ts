/** What is written from the table of options for people: `--help` and the README's table. */
import { isRepeatable, type Name, NAMES, needsRestart, type Option, OPTIONS, variable } from "./options.ts";

export function helpText(): string {
  return `dot-proxy answers plain DNS by asking DNS-over-TLS servers.

Usage: dot-proxy [COMMAND] [--OPTION VALUE]...

Commands: none to run; check-config, which prints the configuration and exits
with 0, or with 2 where it cannot be used; healthcheck, which asks a running
dot-proxy with the same options and exits with 0 or 1; reload, by which the
systemd unit asks the running dot-proxy for a reload, and learns its outcome.

${NAMES.map(optionHelp).join("")}  --help, --version
      Print this text, or the version, and exit.

Every option with a value is an environment variable too, --log-level for one
${variable("log-level")}, with commas between repeated values, and a key of --config
FILE: log-level = "debug". The command line wins, then the environment.
`;
}

function optionHelp(name: Name): string {
  const { placeholder, accepts, default: fallback, description: meaning }: Option<unknown> = OPTIONS[name];
  const repeat = isRepeatable(name) ? " May be repeated." : "";
  const restart = needsRestart(name) ? " Not reloaded." : "";
  const text = `${meaning} Accepts ${accepts}.${repeat} Default: ${fallback ?? "none"}.${restart}`;
  return `  --${name} ${placeholder}\n${text.replaceAll(/(.{1,74})(?: |$)/g, "      $1\n")}`;
}

/** The README's table of options, in Markdown. */
export function optionTable(): string {
  const rows = NAMES.map((name) => {
    const { accepts, default: fallback, description: meaning }: Option<unknown> = OPTIONS[name];
    const repeatable = isRepeatable(name) ? " Repeatable." : "";
    const restart = needsRestart(name) ? " Not reloaded." : "";
    return `| \`--${name}\` | ${accepts} | ${fallback ?? "none"} | ${meaning}${repeatable}${restart} |`;
  });
  return ["| Option | Accepts | Default | Meaning |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

/** Texts for people that the table of options generates: `--help` and docs/options.md. */

import { isRepeatable, type Name, NAMES, needsRestart, type Option, OPTIONS, variable } from "./options.ts";

/** The text of `--help`, in lines of at most 80 characters. */
export function helpText(): string {
  return `dot-proxy answers plain DNS queries through DNS-over-TLS servers.

Usage: dot-proxy [COMMAND] [--OPTION VALUE]...

Commands:
  (none)        Run the proxy.
  check-config  Print the configuration with the source of each value, exit 0.
                With a mistake, print the error and exit 2.
  healthcheck   Query the proxy that runs with the same options; exit 0 if it
                responds, else 1.
  reload        Reload the running proxy and print why it failed, if it did.
                For the systemd unit; elsewhere send SIGHUP.

Options:
${NAMES.map(optionHelp).join("")}  --help, --version
      Print this text or the version, and exit.

Each option is also an environment variable, such as ${variable("log-level")}
(separate repeated values with commas), and a key of the --config file, such as
log-level = "debug". The command line overrides the environment, which overrides
the file.
`;
}

function optionHelp(name: Name): string {
  const { placeholder, accepts, default: value, description }: Option<unknown> = OPTIONS[name];
  const repeat = isRepeatable(name) ? " May be repeated." : "";
  const restart = needsRestart(name) ? " Needs a restart." : "";
  const text = `${description} Accepts ${accepts}. Default: ${value ?? "none"}.${repeat}${restart}`;
  return `  --${name} ${placeholder}\n${text.replaceAll(/(.{1,74})(?: |$)/g, "      $1\n")}`;
}

/** The table of options in Markdown. */
export function optionTable(): string {
  const rows = NAMES.map((name) => {
    const { accepts, default: value, description }: Option<unknown> = OPTIONS[name];
    const repeatable = isRepeatable(name) ? " Repeatable." : "";
    const restart = needsRestart(name) ? " Needs a restart." : "";
    return `| \`--${name}\` | ${accepts} | ${value ?? "none"} | ${description}${repeatable}${restart} |`;
  });
  return ["| Option | Accepts | Default | Meaning |", "| --- | --- | --- | --- |", ...rows, ""].join("\n");
}

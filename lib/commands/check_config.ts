/** The command `check-config`. */

import { composeConfig } from "../config/config.ts";
import { configText } from "../config/effective.ts";
import { readFiles } from "../config/files.ts";
import { readAhead } from "../platform/read_file.ts";
import { dropTrustVariables } from "../platform/trust_environment.ts";
import { checkListFiles } from "../resolver/blocklist/list_loader.ts";
import { Proxy } from "../proxy.ts";
import { EXIT, print, readOptions } from "./command.ts";

/**
 * Reads the configuration and every file that it names, and builds everything except sockets. Prints the configuration with
 * the source of each value. Throws `UsageError` for a mistake.
 */
export async function checkConfig(args: string[], version: string): Promise<number> {
  dropTrustVariables();
  const sources = await readOptions(args, version);
  if (!sources) return EXIT.ok;
  const config = composeConfig(sources);
  await checkListFiles(config.policy, "all");
  Proxy.check(await readAhead((file) => readFiles(config, file)));
  print(configText(sources));
  return EXIT.ok;
}

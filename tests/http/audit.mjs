// Runs the audits of graphql-http against the server whose URL is given: every MUST and SHOULD has to pass.
import { serverAudits } from 'graphql-http';

const [url] = process.argv.slice(2);
const failed = [];
for (const audit of serverAudits({ url, fetchFn: fetch })) {
  const result = await audit.fn();
  console.log(`${result.status === 'ok' ? 'ok  ' : 'FAIL'} ${audit.id} ${audit.name}`);
  if (result.status !== 'ok') {
    console.log(`          ${result.reason}`);
    if (!audit.name.startsWith('MAY')) failed.push(audit.id);
  }
}
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exit(1);
}

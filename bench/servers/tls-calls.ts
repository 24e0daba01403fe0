import { systemClock } from '../../src/lib/clock.ts';
import { sendRequest } from '../../src/lib/http-client.ts';

/**
 * Makes calls over TLS one after the other, in one of several ways, and prints the milliseconds of CPU that
 * each has taken. `tls-calls.ts WAY URL CALLS`
 */
const WARM_UP = 300;
const PATIENCE_MS = 5_000;
const BODY = JSON.stringify({ component_appid: 'wx0123456789abcdef', secret: 'x'.repeat(200) });

const [way = '', url = '', calls = ''] = process.argv.slice(2);
const stop = new AbortController().signal;

async function call(): Promise<void> {
  if (way === 'wxkeeper') {
    await sendRequest(new URL(url), Buffer.from(BODY), systemClock, stop, PATIENCE_MS);
    return;
  }
  const headers = way === 'fetch' ? {} : { Connection: 'close' };
  const answer = await fetch(url, { method: 'POST', body: BODY, headers });
  await answer.text();
}

for (let count = 0; count < WARM_UP; count += 1) await call();
const before = process.cpuUsage();
for (let count = 0; count < Number(calls); count += 1) await call();
const { user, system } = process.cpuUsage(before);
console.log((user + system) / 1000 / Number(calls));

import express from 'express';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeApiKey, parseApiKeyEntry, type ApiKey } from '../../src/config/api-keys.ts';
import { createInternalApp } from '../../src/http/internal/app.ts';
import type { Seen } from '../../src/http/internal/route.ts';
import { listen, type Listener } from '../../src/http/server.ts';
import { createLog } from '../../src/lib/log.ts';
import { NO_HANDLERS } from '../kit/handlers.ts';
import { COMPONENT } from '../kit/platform.ts';

/** What is counted of responses: patterns, so that no appid becomes a label. */

const { key, entry } = makeApiKey('tests', 'status:read');
let listener: Listener;
let seen: Seen[];

beforeEach(async () => {
  seen = [];
  const dashboard = express.Router();
  dashboard.get('/pages/:page', (_request, response) => void response.send('page'));
  const app = createInternalApp({
    handlers: {
      ...NO_HANDLERS,
      livez: (_request, response) => void response.send('ok'),
      readyz: (_request, response) => void response.status(503).end(),
    },
    apiKeys: [parseApiKeyEntry(entry)].filter((one): one is ApiKey => one !== undefined),
    log: createLog({ level: 'error' }),
    dashboard,
    observe: (one) => seen.push(one),
  });
  listener = await listen(app, '127.0.0.1', 0);
});
afterEach(() => listener.close(0));

const credential = '/v1/credentials/:kind/:component';

it.each([
  ['GET', '/livez', 200, '/livez'],
  ['HEAD', '/livez', 200, '/livez'],
  ['GET', '/readyz?secret=1', 503, '/readyz'],
  ['DELETE', '/livez', 405, '/livez'],
  ['GET', `/v1/credentials/pre_auth_code/${COMPONENT.appid}`, 403, credential],
  [
    'POST',
    `/v1/credentials/pre_auth_code/${COMPONENT.appid}/rejected`,
    403,
    `${credential}/rejected`,
  ],
  [
    'GET',
    `/v1/credentials/pre_auth_code/${COMPONENT.appid}/rejected`,
    405,
    `${credential}/rejected`,
  ],
  ['GET', '/pages/1', 200, '/pages/:page'],
  ['POST', '/pages/1', 404, 'unmatched'],
  ['GET', `/v1/credentials/${COMPONENT.appid}`, 404, 'unmatched'],
  ['GET', '/v1/credentials/%zz/x', 400, 'unmatched'],
])('%s %s is counted once, as %d of a pattern', async (method, path, status, route) => {
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetch(`http://127.0.0.1:${listener.port}${path}`, { method, headers });
  await response.text();
  expect(response.status).toBe(status);
  await expect.poll(() => seen).toHaveLength(1);
  const { seconds, ...rest } = seen[0] ?? ({} as Seen);
  expect(rest).toEqual({ method, route, status });
  expect(seconds).toBeGreaterThanOrEqual(0);
  expect(seconds).toBeLessThan(5);
});

import { makeApiKey } from '../src/config/api-keys.ts';
import { authorizerAppid, COMPONENT } from './rig/component.ts';
import type { Prepared } from './rig/load.ts';
import type { Options } from './rig/options.ts';
import { createPlatform, fillUp, KIND } from './rig/platform.ts';
import { ratio, type GoalLine, type Report } from './rig/report.ts';
import { compare, send, tableOf, type Contestant, type Results } from './rig/rounds.ts';
import { keeper, reference } from './rig/servers.ts';
import { enter, onStage, type Stage } from './rig/stage.ts';
import { complaints } from './pushes.ts';

/**
 * Reading credentials over HTTP: one that everybody asks for, and a thousand different ones. wxkeeper
 * checks the key of the caller each time; those beside it ask for none.
 */

const CONNECTIONS = [64];
const DIFFERENT = 1_000;
const PREFIX = 'wxkeeper:';
const OURS = 'wxkeeper';
const EXPRESS_MEMORY = 'Express, memory';
const RAW_MEMORY = 'raw node:http, memory';
const RAW_REDIS = 'raw node:http, GET';

export async function measureReads(options: Options): Promise<Report> {
  return await onStage(async (stage) => {
    const { key, entry } = makeApiKey('bench', 'credentials:read');
    const platform = await createPlatform(stage.redis, stage.simulator, PREFIX);
    await fillUp(platform, DIFFERENT);
    await platform.keeper.stop();
    const server = keeper({
      wechat: stage.simulator.url,
      prefix: PREFIX,
      env: { API_KEYS: entry },
    });
    await enter(stage, server, { ...options, only: undefined });
    const [ours] = stage.contestants;
    if (ours === undefined) throw new Error('wxkeeper did not start');
    // Its public listener does not know credentials.
    stage.contestants[0] = { ...ours, running: onInternalPort(ours) };
    const headers = { authorization: `Bearer ${key}`, accept: 'application/json' };
    const hot = await measureHot(stage, options, headers);
    const different = await measureDifferent(stage, options, headers);
    const notes = [...complaints(hot), ...complaints(different)];
    return {
      bench: 'reads',
      title: {
        en: `Reads over HTTP: one credential, then ${DIFFERENT.toLocaleString('en')} different ones`,
        zh: `HTTP 读取：同一个凭证，以及 ${DIFFERENT.toLocaleString('en')} 个不同凭证`,
      },
      tables: [...tableOf(hot), ...tableOf(different)],
      lines: judge(hot, different),
      notes,
      failed: notes.length > 0,
    };
  });
}

function onInternalPort({ running }: Contestant): Contestant['running'] {
  return { ...running, port: running.internalPort };
}

async function measureHot(
  stage: Stage,
  options: Options,
  headers: Prepared['headers'],
): Promise<Results> {
  const request: Prepared = {
    method: 'GET',
    headers,
    body: '',
    path: `/v1/credentials/component_access_token/${COMPONENT.appid}`,
  };
  const [ours] = stage.contestants;
  if (ours === undefined) return new Map();
  const { text } = await send(ours.running.port, request);
  const env = { SUBJECT: COMPONENT.appid, ANSWER: text };
  await enter(stage, await reference('express-read', EXPRESS_MEMORY, { env }), options);
  await enter(stage, await reference('raw-read', RAW_MEMORY, { env }), options);
  const value = valueIn(text);
  return await compare(stage.contestants, {
    ...options,
    connections: CONNECTIONS,
    mayRepeat: true,
    prepare: (count) => Array.from({ length: count }, () => request),
    check: async (contestant) => mustAnswer(contestant, request, value),
  });
}

async function measureDifferent(
  stage: Stage,
  options: Options,
  headers: Prepared['headers'],
): Promise<Results> {
  for (const { running } of stage.contestants.splice(1)) await running.stop();
  const env = { PREFIX };
  await enter(stage, await reference('raw-read-redis', RAW_REDIS, { env }), options);
  const requests = Array.from({ length: DIFFERENT }, (_, index): Prepared => {
    const path = `/v1/credentials/${KIND}/${COMPONENT.appid}/${authorizerAppid(index)}`;
    return { method: 'GET', path, headers, body: '' };
  });
  const inTurn = (count: number) =>
    Array.from({ length: count }, (_, index) => requests[index % requests.length]).filter(
      (one) => one !== undefined,
    );
  return await compare(stage.contestants, {
    ...options,
    connections: CONNECTIONS,
    mayRepeat: true,
    prepare: inTurn,
    check: async (contestant, request) => {
      const authorizer = request.path.split('/').at(-1) ?? '';
      const value = await stage.redis.get(`${PREFIX}${KIND}:${COMPONENT.appid}:{${authorizer}}`);
      await mustAnswer(contestant, request, value ?? '');
    },
  });
}

async function mustAnswer(
  { server, running }: Contestant,
  request: Prepared,
  value: string,
): Promise<void> {
  const { status, text } = await send(running.port, request);
  if (status !== 200 || value === '' || valueIn(text) !== value) {
    throw new Error(`${server.name} answered a read with ${status} ${text.slice(0, 100)}`);
  }
}

function valueIn(text: string): string {
  return (JSON.parse(text) as { value?: string }).value ?? '';
}

function judge(hot: Results, different: Results): GoalLine[] {
  const rate = (results: Results, name: string) => results.get(name)?.get(64)?.perSecond ?? NaN;
  const line = (en: string, zh: string, results: Results, beside: string, atLeast: number) =>
    results.has(beside)
      ? [
          ratio({
            what: { en, zh },
            of: rate(results, OURS),
            to: rate(results, beside),
            atLeast,
          }),
        ]
      : [];
  return [
    ...line(
      'reads/s at c64 of one credential to bare Express from memory',
      'c64 同一凭证每秒读取数，对比裸 Express（内存）',
      ...([hot, EXPRESS_MEMORY, 5] as const),
    ),
    ...line(
      'reads/s at c64 of one credential to raw node:http from memory',
      'c64 同一凭证每秒读取数，对比裸 node:http（内存）',
      ...([hot, RAW_MEMORY, 0.8] as const),
    ),
    ...line(
      'reads/s at c64 of 1,000 credentials to raw node:http + Redis GET',
      'c64 1,000 个凭证每秒读取数，对比裸 node:http + Redis GET',
      ...([different, RAW_REDIS, 1] as const),
    ),
  ];
}

import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Clock } from '../../src/lib/clock.ts';
import type { AlertKind } from '../../src/config/formats.ts';

/**
 * A robot, or a program, that takes alerts over real HTTP. It refuses what the real ones refuse, in
 * their words: a wrong key or signature, a text that is too long, a missing field, too many messages.
 * What it knows of them is written here anew, not taken from the code under test.
 */
export interface WebhookReceiver {
  kind: AlertKind;
  /** With the key in it. */
  url: string;
  /** What nobody but the sender may see. */
  key: string;
  /** What was accepted, oldest first. */
  messages: Accepted[];
  /** Requests of any kind, and why some were refused. */
  requests: number;
  refusals: string[];
  behave(how: Behaviour): void;
  /** Answers so to messages that hold the text; 200 ends it. */
  refuseWith(status: number, text: string): void;
  /** Requests that wait for an answer for ever. */
  hanging(): number;
  close(): Promise<void>;
}

export interface Accepted {
  at: number;
  body: Record<string, unknown>;
  /** All that a person reads. */
  text: string;
}

/** `refuses`: as a robot that was removed from its group. */
export type Behaviour =
  'ok' | 'down' | 'hang' | 'fails' | 'garbage' | 'redirects' | 'refuses' | 'huge';

interface Request {
  url: URL;
  headers: IncomingMessage['headers'];
  text: string;
  body: Record<string, unknown>;
}

/** Returns the refusal, or what a person reads. */
type Rule = (request: Request, state: State) => { refusal: number } | { text: string };

interface State {
  clock: Clock;
  key: string;
  secret: string | undefined;
  accepted: number[];
}

const RULES: Record<AlertKind, { path: (key: string) => string; code: string; check: Rule }> = {
  json: { path: (key) => `/hooks/${key}`, code: 'code', check: checkJson },
  wecom: { path: (key) => `/cgi-bin/webhook/send?key=${key}`, code: 'errcode', check: checkWecom },
  dingtalk: {
    path: (key) => `/robot/send?access_token=${key}`,
    code: 'errcode',
    check: checkDingtalk,
  },
  feishu: { path: (key) => `/open-apis/bot/v2/hook/${key}`, code: 'code', check: checkFeishu },
  serverchan: { path: (key) => `/${key}.send`, code: 'code', check: checkServerchan },
};

export async function createWebhookReceiver(
  kind: AlertKind,
  { clock, secret }: { clock: Clock; secret?: string },
): Promise<WebhookReceiver> {
  const { path, code, check } = RULES[kind];
  const key = `canary${kind}key0123456789abcdef`;
  const state: State = { clock, key, secret, accepted: [] };
  let how: Behaviour = 'ok';
  let unwanted = { status: 200, text: '' };
  const hanging = new Set<Socket>();
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    void readBody(request).then((text) => {
      receiver.requests += 1;
      if (how !== 'ok') {
        misbehave(how);
        return;
      }
      if (unwanted.status !== 200 && text.includes(unwanted.text)) {
        response.writeHead(unwanted.status).end();
        return;
      }
      const url = new URL(request.url ?? '/', 'http://receiver');
      const body = parse(text);
      const json = request.headers['content-type'] === 'application/json';
      const good = request.method === 'POST' && json && body !== undefined;
      const verdict = good
        ? check({ url, headers: request.headers, text, body }, state)
        : { refusal: 9_499 };
      if ('refusal' in verdict) {
        receiver.refusals.push(`${verdict.refusal}: ${text.slice(0, 300)}`);
        if (kind === 'json') response.writeHead(400);
        answer(response, { [code]: verdict.refusal });
        return;
      }
      state.accepted.push(clock.now());
      receiver.messages.push({ at: clock.now(), body: body ?? {}, text: verdict.text });
      answer(response, { [code]: 0 });
    });
    function misbehave(as: Behaviour): void {
      if (as === 'hang') hanging.add(request.socket);
      else if (as === 'down') request.socket.destroy();
      else if (as === 'fails') response.writeHead(500).end('<html>oops</html>');
      else if (as === 'garbage') response.writeHead(kind === 'json' ? 404 : 200).end('<html>?');
      else if (as === 'redirects') response.writeHead(302, { location: receiver.url }).end();
      else if (as === 'refuses')
        answer(response.writeHead(kind === 'json' ? 403 : 200), { [code]: 93_000 });
      else response.writeHead(200).end('x'.repeat(1_000_000));
    }
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => {
      sockets.delete(socket);
      hanging.delete(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const receiver: WebhookReceiver = {
    kind,
    url: `${origin}${path(key)}`,
    key,
    messages: [],
    requests: 0,
    refusals: [],
    behave: (next) => void (how = next),
    refuseWith: (status, text) => void (unwanted = { status, text }),
    hanging: () => hanging.size,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
  return receiver;
}

function checkJson({ url, headers, text, body }: Request, { key, secret, clock }: State) {
  if (url.pathname !== `/hooks/${key}`) return { refusal: 404 };
  const [, t = '', v1 = ''] =
    /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['x-wxkeeper-signature'])) ?? [];
  if (secret !== undefined) {
    const mac = createHmac('sha256', secret).update(`${t}.${text}`).digest('hex');
    const late = Math.abs(clock.now() / 1000 - Number(t)) > 300;
    if (mac !== v1 || late) return { refusal: 401 };
  }
  const fields = 'id status time alert code severity previous_severity component kind since ends';
  const more = 'lasted_seconds title message advice replica version';
  const wanted = `${fields} ${more}`.split(' ');
  if (Object.keys(body).sort().join() !== wanted.sort().join()) return { refusal: 422 };
  return { text: [body.title, body.message, body.advice].join('\n') };
}

function checkWecom({ url, body }: Request, state: State) {
  if (url.pathname !== '/cgi-bin/webhook/send' || url.searchParams.get('key') !== state.key) {
    return { refusal: 93_000 };
  }
  if (tooMany(state)) return { refusal: 45_009 };
  const { content } = (body.markdown ?? {}) as { content?: unknown };
  if (body.msgtype !== 'markdown' || typeof content !== 'string') return { refusal: 40_008 };
  if (content === '' || Buffer.byteLength(content) > 4_096) return { refusal: 40_058 };
  return { text: content };
}

function checkDingtalk({ url, text: raw, body }: Request, state: State) {
  const { searchParams: query } = url;
  if (query.get('access_token') !== state.key) return { refusal: 300_005 };
  if (state.secret !== undefined) {
    const timestamp = query.get('timestamp') ?? '';
    const text = `${timestamp}\n${state.secret}`;
    const sign = createHmac('sha256', state.secret).update(text).digest('base64');
    const late = Math.abs(state.clock.now() - Number(timestamp)) > 3_600_000;
    if (sign !== query.get('sign') || late) return { refusal: 310_000 };
  }
  if (tooMany(state)) return { refusal: 130_101 };
  const { title, text } = (body.markdown ?? {}) as { title?: unknown; text?: unknown };
  if (body.msgtype !== 'markdown' || typeof text !== 'string') return { refusal: 400_101 };
  if (typeof title !== 'string' || title === '' || text === '') return { refusal: 40_035 };
  return Buffer.byteLength(raw) > 20_000 ? { refusal: 460_101 } : { text };
}

function checkFeishu({ url, text: raw, body }: Request, state: State) {
  if (url.pathname !== `/open-apis/bot/v2/hook/${state.key}`) return { refusal: 19_001 };
  if (state.secret !== undefined) {
    const timestamp = String(body.timestamp);
    const sign = createHmac('sha256', `${timestamp}\n${state.secret}`).digest('base64');
    const late = Math.abs(state.clock.now() / 1000 - Number(timestamp)) > 3_600;
    if (typeof body.timestamp !== 'string' || sign !== body.sign || late)
      return { refusal: 19_021 };
  }
  const card = body.card as {
    header?: { title?: { tag?: string; content?: string } };
    elements?: { tag?: string; text?: { tag?: string; content?: string } }[];
  };
  const title = card.header?.title;
  const text = card.elements?.[0]?.text;
  const shaped = title?.tag === 'plain_text' && text?.tag === 'plain_text';
  if (body.msg_type !== 'interactive' || !shaped || !title.content) return { refusal: 9_499 };
  if (Buffer.byteLength(raw) > 20 * 1024) return { refusal: 9_499 };
  return { text: `${title.content}\n${text.content ?? ''}` };
}

function checkServerchan({ url, body }: Request, { key }: State) {
  if (url.pathname !== `/${key}.send`) return { refusal: 40_001 };
  const { title, desp } = body;
  if (typeof title !== 'string' || title === '' || typeof desp !== 'string') {
    return { refusal: 40_002 };
  }
  const fits = Array.from(title).length <= 32 && Buffer.byteLength(desp) <= 32 * 1024;
  return fits ? { text: `${title}\n${desp}` } : { refusal: 40_003 };
}

/** Robots in groups take 20 messages a minute. */
function tooMany({ accepted, clock }: State): boolean {
  return accepted.filter((at) => clock.now() - at < 60_000).length >= 20;
}

function answer(response: ServerResponse, body: object): void {
  response.end(JSON.stringify(body));
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

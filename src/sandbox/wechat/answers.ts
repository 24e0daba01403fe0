import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { failure } from './errcodes.ts';
import type { ApiFault } from './faults.ts';
import { traceAnswer } from './operations.ts';
import type { Answer, World } from './model.ts';

/** As WeChat writes it; note `encoding` where a standard header has `charset`. */
const WECHAT_JSON = 'application/json; encoding=utf-8';

const HTML_PAGE =
  '<!DOCTYPE html><html><head><title>System busy</title></head>' +
  '<body><h1>Please try again later</h1></body></html>\n';

/** Faults about time are not here: they decide when to answer, not what. */
type SpoilingFault = Exclude<ApiFault, { type: 'delay' | 'hang' }>;

/** Every answer says what time the simulator's clock shows, not the machine's. */
export function writeHead(
  world: World,
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string | number>>,
): void {
  response.writeHead(status, {
    ...headers,
    Date: new Date(world.clock.now() + world.dateOffsetMs).toUTCString(),
  });
}

export function sendText(
  world: World,
  response: ServerResponse,
  status: number,
  contentType: string,
  text: string,
): void {
  const bytes = Buffer.from(text);
  writeHead(world, response, status, {
    'Content-Type': contentType,
    'Content-Length': bytes.length,
  });
  response.end(bytes);
}

/** WeChat says 200 also when it refuses. */
export function sendAnswer(world: World, response: ServerResponse, answer: Answer): void {
  traceAnswer(world, response, answer);
  sendText(world, response, 200, WECHAT_JSON, JSON.stringify(answer));
}

/** @param answer what would have been answered without the fault */
export function sendSpoiled(
  world: World,
  response: ServerResponse,
  answer: Answer,
  fault: SpoilingFault,
): void {
  switch (fault.type) {
    case 'status':
      sendText(world, response, fault.status, 'text/plain', fault.body ?? '');
      break;
    case 'html':
      sendText(world, response, 200, 'text/html', HTML_PAGE);
      break;
    case 'body':
      sendText(world, response, 200, fault.contentType ?? WECHAT_JSON, fault.body);
      break;
    case 'errcode':
      sendAnswer(world, response, failure(fault.errcode, world.clock.now(), fault.errmsg));
      break;
    case 'patch':
      sendAnswer(world, response, patched(answer, fault.fields ?? {}, fault.remove ?? []));
      break;
    case 'redirect':
      writeHead(world, response, 302, { Location: fault.location, 'Content-Length': 0 });
      response.end();
      break;
    case 'reset':
      response.socket?.resetAndDestroy();
      break;
    case 'truncate':
      sendHalf(world, response, answer, fault.close ?? false);
      break;
    case 'drip':
      drip(world, response, answer, fault.bytesPerChunk, fault.everyMs);
      break;
    case 'large':
      sendLarge(world, response, answer, fault.bytes);
      break;
  }
}

function patched(answer: Answer, fields: Answer, remove: readonly string[]): Answer {
  const entries = Object.entries({ ...answer, ...fields });
  return Object.fromEntries(entries.filter(([name]) => !remove.includes(name)));
}

function sendHalf(world: World, response: ServerResponse, answer: Answer, close: boolean): void {
  const whole = Buffer.from(JSON.stringify(answer));
  const half = whole.subarray(0, Math.floor(whole.length / 2));
  writeHead(world, response, 200, {
    'Content-Type': WECHAT_JSON,
    'Content-Length': close ? whole.length : half.length,
  });
  if (!close) {
    response.end(half);
    return;
  }
  // Destroyed only once the half is on its way, or the client would see nothing but a reset.
  response.write(half, () => response.socket?.destroySoon());
}

function drip(
  world: World,
  response: ServerResponse,
  answer: Answer,
  bytesPerChunk: number,
  everyMs: number,
): void {
  const bytes = Buffer.from(JSON.stringify(answer));
  writeHead(world, response, 200, {
    'Content-Type': WECHAT_JSON,
    'Content-Length': bytes.length,
  });
  const sendFrom = (offset: number): void => {
    if (response.destroyed) return;
    const end = offset + bytesPerChunk;
    response.write(bytes.subarray(offset, end));
    if (end >= bytes.length) response.end();
    else world.timers.after(everyMs, () => sendFrom(end));
  };
  sendFrom(0);
}

function sendLarge(world: World, response: ServerResponse, answer: Answer, bytes: number): void {
  const tail = '"}';
  const head = JSON.stringify({ ...answer, padding: '' }).slice(0, -tail.length);
  writeHead(world, response, 200, {
    'Content-Type': WECHAT_JSON,
    'Content-Length': Buffer.byteLength(head) + bytes + Buffer.byteLength(tail),
  });
  function* chunks(): Generator<string | Buffer> {
    const block = Buffer.alloc(65_536, 'a');
    yield head;
    for (let left = bytes; left > 0; left -= block.length) yield block.subarray(0, left);
    yield tail;
  }
  // A client that hangs up in the middle does right: that must not count as an error here.
  pipeline(Readable.from(chunks()), response).catch(() => undefined);
}

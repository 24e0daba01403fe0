import type { IncomingMessage, ServerResponse } from 'node:http';
import { callApi, imitateAnswer, isApiPath, nameOf } from './api.ts';
import { sendAnswer, sendSpoiled, sendText } from './answers.ts';
import { handleControl } from './control.ts';
import { failure } from './errcodes.ts';
import { isApiName, takeApiFault, type ApiFaultRule, type ApiName } from './faults.ts';
import { note, type CallRecord } from './ledger.ts';
import { isOverLimit } from './operations-api.ts';
import { beginCall } from './operations.ts';
import { handlePage, isPage } from './pages.ts';
import type { Answer, ApiRequest, World } from './model.ts';

/** Far above any real call, low enough that nobody fills our memory. */
const MAX_BODY_BYTES = 1_048_576;

/** One API call on its way through. */
interface Call {
  world: World;
  api: ApiName;
  path: string;
  request: ApiRequest;
  response: ServerResponse;
  record: CallRecord;
  /** Stops counting this call as in flight, for as long as it waits for the clock. */
  release: () => void;
}

/** Handles any request to host number `host`. */
export async function handleRequest(
  world: World,
  host: number,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // Only the first question mark counts: a redirect_uri that is not encoded has another.
  const [path = '', ...rest] = (incoming.url ?? '').split('?');
  const query = rest.join('?');
  // The control API is not part of the pretended world, so it keeps nobody waiting for idle().
  const isControl = path.startsWith('/_simulator/');
  const release = isControl ? () => undefined : countUntilClosed(world, response);
  const text = await readBody(incoming);
  if (text === undefined) {
    if (!response.destroyed) sendText(world, response, 413, 'text/plain', 'body too large\n');
    return;
  }
  const request: ApiRequest = {
    method: incoming.method ?? '',
    query: new URLSearchParams(query),
    text,
    body: parseObject(text),
  };
  if (isControl) await handleControl({ world, host, path, request, incoming, response });
  else if (isPage(path)) handlePage(world, path, request, incoming, response);
  else handleCall(world, host, path, request, response, release);
}

function handleCall(
  world: World,
  host: number,
  path: string,
  request: ApiRequest,
  response: ServerResponse,
  release: () => void,
): void {
  const api = nameOf(path);
  const appid =
    request.body?.['component_appid'] ?? request.body?.['appid'] ?? request.query.get('appid');
  const record: CallRecord = {
    at: world.clock.now(),
    appid: typeof appid === 'string' ? appid : '',
    api,
    host,
    errcode: null,
  };
  note(world.ledger.calls, record, world.settings.ledgerLimit);
  beginCall(world, record, request, response);
  if (!isApiName(api) || !isApiPath(api, path)) {
    record.errcode = 40066;
    world.onCall?.(record);
    sendAnswer(world, response, failure(40066, world.clock.now()));
    return;
  }
  const call: Call = { world, api, path, request, response, record, release };
  const rule = takeApiFault(world.faults, api, host);
  if (rule === undefined) sendAnswer(world, response, announce(call, work(call)));
  else answerWithFault(call, rule);
}

function answerWithFault(call: Call, rule: ApiFaultRule): void {
  const { world, response, record } = call;
  const { fault } = rule;
  record.fault = fault.type;
  if (fault.type === 'delay') {
    const early = rule.afterMint ? work(call) : undefined;
    call.release();
    // Also for a client that has given up meanwhile: WeChat finishes what it was asked, too.
    world.timers.after(fault.ms, () => {
      countUntilClosed(world, response);
      sendAnswer(world, response, announce(call, early ?? work(call)));
    });
    return;
  }
  const worksFirst = rule.afterMint ?? (fault.type === 'patch' || fault.type === 'drip');
  const answer = worksFirst ? work(call) : imitateAnswer(world, call.api, call.request);
  if (fault.type === 'errcode') record.errcode = fault.errcode;
  announce(call, answer);
  if (fault.type === 'drip' || fault.type === 'hang') call.release();
  if (fault.type !== 'hang') sendSpoiled(world, response, answer, fault);
}

/** Does what was asked for and writes the verdict into the ledger. */
function work(call: Call): Answer {
  const { world, api, path, request, record } = call;
  const answer = isOverLimit(world, path, record)
    ? failure(45009, world.clock.now())
    : callApi(world, api, request);
  const { errcode } = answer;
  record.errcode = typeof errcode === 'number' ? errcode : 0;
  return answer;
}

/** Tells the observer; returns the answer as it came, so that sending can follow. */
function announce(call: Call, answer: Answer): Answer {
  call.world.onCall?.(call.record);
  return answer;
}

function countUntilClosed(world: World, response: ServerResponse): () => void {
  const release = world.activity.begin();
  if (response.closed) release();
  else response.once('close', release);
  return release;
}

/** Undefined when the body is too large or the client left in the middle. */
async function readBody(incoming: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      // Read on to the end all the same: an answer sent too early is lost to most clients.
      if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return bytes > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks).toString();
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return value as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

import type { IncomingMessage, ServerResponse } from 'node:http';
import * as z from 'zod';
import { sendText } from './answers.ts';
import { listAuthorizations } from './authorizers.ts';
import { AUTHORIZATION_ROUTES } from './control-authorizations.ts';
import { FOREIGN_KINDS, mintElsewhere } from './foreign-refresher.ts';
import { pushFaultSchema } from './faults.ts';
import { hostAt, killHost, reviveHost } from './hosts.ts';
import { clearLedger, type Ledger } from './ledger.ts';
import { isLoopback } from './options.ts';
import type { PushFields } from './push-document.ts';
import { TICKET_INFO_TYPE } from './push-message.ts';
import { push, pushMessage, setPushing } from './pusher.ts';
import { SAMPLE_AUTHORIZER } from './samples.ts';
import { issue, usePreAuthCode } from './values.ts';
import { addFault, componentOf, componentsOf } from './world.ts';
import type { ApiRequest, World } from './model.ts';

/**
 * The control API under /_simulator/: the programmatic API as JSON, for people with curl and for
 * tests in other languages. Not part of what WeChat offers.
 */

interface ControlRequest {
  world: World;
  /** The host that was asked. */
  host: number;
  path: string;
  request: ApiRequest;
  incoming: IncomingMessage;
  response: ServerResponse;
}

/** What it returns is sent as JSON; `body` is an object, empty if none was sent. */
type Handler = (control: ControlRequest, body: unknown) => unknown;

class ControlError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const LEDGER_KINDS = ['mints', 'calls', 'pushes', 'messages'] as const;
/** Authorizations that the state lists by name. */
const LISTED = 1000;

const fieldsBody: z.ZodType<PushFields> = z.lazy(() =>
  z.record(z.string(), z.union([z.string(), z.number(), fieldsBody])),
);
const pushBody = pushFaultSchema.omit({ skip: true, stop: true }).extend({
  appid: z.string().optional(),
  info_type: z.string().min(1).optional(),
  xml: z.string().startsWith('<').optional(),
  json: z.string().startsWith('{').optional(),
  fields: fieldsBody.optional(),
});
const accountAppid = z.string().regex(/^[^:/]+$/, 'an appid');
const messageBody = pushFaultSchema.omit({ skip: true, stop: true }).extend({
  appid: z.string().optional(),
  authorizer: accountAppid,
  fields: fieldsBody,
});
const sayBody = messageBody.omit({ fields: true }).extend({
  authorizer: accountAppid.default(SAMPLE_AUTHORIZER),
  /** The same user every time, so that there can be a conversation. */
  openid: z.string().min(1).default('oUserOfTheSimulator'),
  text: z.string().min(1),
});
const pushingBody = z.strictObject({ on: z.boolean(), appid: z.string().optional() });
const ticketBody = z.strictObject({ appid: z.string().optional() });
const hostBody = z.strictObject({ index: z.number().int(), alive: z.boolean() });
const codeBody = z.strictObject({ code: z.string() });
const elsewhereBody = z.strictObject({ kind: z.enum(FOREIGN_KINDS), appid: z.string().optional() });
/** A date that JavaScript can write: its years end at 275760, and ours need not come near. */
const dateBody = z.strictObject({ offsetMs: z.number().min(-1e12).max(1e12) });

const ROUTES: Readonly<Record<string, Handler>> = {
  'GET ': () => ({ routes: Object.keys(ROUTES).map((one) => one.replace(' ', ' /_simulator/')) }),
  'GET state': ({ world }) => describe(world),
  'GET ledger': ({ world, request }) => readLedger(world.ledger, request.query.get('kind')),
  'DELETE ledger': ({ world }) => {
    clearLedger(world.ledger);
    return { ok: true };
  },
  'GET faults': ({ world }) => ({ faults: world.faults }),
  'POST faults': ({ world }, body) => {
    addFault(world, body);
    return { ok: true, faults: world.faults };
  },
  'DELETE faults': ({ world }) => {
    world.faults.length = 0;
    return { ok: true };
  },
  'POST push': ({ world }, body) => pushNow(world, pushBody.parse(body)),
  'POST push-message': ({ world }, body) => {
    const { appid, authorizer, fields, ...fault } = messageBody.parse(body);
    return pushMessage(world, componentOf(world, appid), authorizer, fields, ownFault(fault));
  },
  'POST say': ({ world }, body) => say(world, sayBody.parse(body)),
  'POST pushing': ({ world }, body) => {
    const { on, appid } = pushingBody.parse(body);
    for (const component of componentsOf(world, appid)) setPushing(world, component, on);
    return { ok: true };
  },
  'POST tickets': ({ world }, body) => issueTicket(world, ticketBody.parse(body).appid),
  'POST hosts': switchHost,
  'POST pre-auth-codes/use': ({ world }, body) => ({
    result: usePreAuthCode(world, codeBody.parse(body).code),
  }),
  ...AUTHORIZATION_ROUTES,
  'POST mint-elsewhere': ({ world }, body) => {
    const { kind, appid } = elsewhereBody.parse(body);
    mintElsewhere(world, kind, appid);
    return { ok: true };
  },
  'POST date': ({ world }, body) => {
    world.dateOffsetMs = dateBody.parse(body).offsetMs;
    return { ok: true };
  },
};

export async function handleControl(control: ControlRequest): Promise<void> {
  const { world, path, request, incoming, response } = control;
  try {
    // Also when the listener is open to other machines (allowRemote): this part never is.
    if (!isLoopback(incoming.socket.remoteAddress ?? '')) {
      throw new ControlError(403, 'the control API answers to this machine only');
    }
    const handler = ROUTES[`${request.method} ${path.replace('/_simulator/', '')}`];
    if (handler === undefined) {
      throw new ControlError(404, 'no such control; GET /_simulator/ lists them');
    }
    const body = request.text === '' ? {} : request.body;
    if (body === undefined) throw new ControlError(400, 'the body must be a JSON object');
    const result = await handler(control, body);
    sendJson(world, response, 200, result);
  } catch (error) {
    const { status, message } = explain(error);
    sendJson(world, response, status, { error: message });
  }
}

function explain(error: unknown): { status: number; message: string } {
  if (error instanceof ControlError) return error;
  if (error instanceof z.ZodError) return { status: 400, message: z.prettifyError(error) };
  if (error instanceof RangeError) return { status: 400, message: error.message };
  return { status: 500, message: error instanceof Error ? error.message : 'unknown error' };
}

function sendJson(world: World, response: ServerResponse, status: number, body: unknown): void {
  sendText(world, response, status, 'application/json', `${JSON.stringify(body, null, 2)}\n`);
}

function readLedger(ledger: Ledger, kind: string | null): Partial<Ledger> {
  if (kind === null) return ledger;
  const known = LEDGER_KINDS.find((one) => one === kind);
  if (known === undefined) throw new ControlError(400, `kind is one of ${LEDGER_KINDS.join(', ')}`);
  return { [known]: ledger[known] };
}

function pushNow(world: World, body: z.infer<typeof pushBody>): unknown {
  const { appid, info_type: infoType, xml, json, fields, ...fault } = body;
  const whole = xml ?? json;
  if (whole !== undefined) {
    const name = xml === undefined ? 'json' : 'xml';
    const more = [infoType, fields, xml === undefined ? undefined : json];
    if (more.some((one) => one !== undefined)) {
      throw new ControlError(
        400,
        `${name} is the whole message: no info_type, fields or other document beside it`,
      );
    }
  }
  const what = whole ?? infoType ?? TICKET_INFO_TYPE;
  return push(world, componentOf(world, appid), what, fields, ownFault(fault));
}

/** A text of a user, and no more of what came of it than the user would know, and why. */
async function say(world: World, body: z.infer<typeof sayBody>): Promise<unknown> {
  const { appid, authorizer, openid, text, ...fault } = body;
  const fields = { MsgType: 'text', Content: text, FromUserName: openid };
  const component = componentOf(world, appid);
  const pushed = await pushMessage(world, component, authorizer, fields, ownFault(fault));
  const { user, error, durationMs } = pushed;
  return user === undefined ? { sees: 'nothing', reason: error } : { ...user, afterMs: durationMs };
}

/** Without a variation of its own a push leaves room for the next rule in the queue. */
function ownFault<T extends object>(fault: T): T | undefined {
  return Object.keys(fault).length > 0 ? fault : undefined;
}

function issueTicket(world: World, appid: string | undefined) {
  const { value, expiresAt } = issue(world, componentOf(world, appid).appid, TICKET_INFO_TYPE);
  return { value, expiresAt };
}

async function switchHost(control: ControlRequest, body: unknown): Promise<unknown> {
  const { world, host, response } = control;
  const { index, alive } = hostBody.parse(body);
  hostAt(world, index);
  if (alive) {
    await reviveHost(world, index);
  } else if (world.hosts.every((one) => one.index === index || one.server === undefined)) {
    throw new ControlError(409, 'this is the last living host: nothing could revive it any more');
  } else if (index === host) {
    // Its own answer has to leave first.
    response.once('finish', () => void killHost(world, index));
  } else {
    await killHost(world, index);
  }
  return { ok: true, index, alive };
}

/** No secrets, and no values: those are in the ledger. */
function describe(world: World): unknown {
  const now = world.clock.now();
  return {
    now,
    time: new Date(now).toISOString(),
    settings: world.settings,
    hosts: world.hosts.map(({ index, url, server }) => ({
      index,
      url,
      alive: server !== undefined,
    })),
    components: [...world.components.values()].map((component) => ({
      appid: component.appid,
      callbackUrl: component.callbackUrl ?? null,
      pushing: component.pushing,
    })),
    accounts: [...world.accounts.keys()].map((appid) => ({ appid })),
    authorizations: describeAuthorizations(world),
    authorizationCount: [...world.authorizations.values()].reduce((sum, one) => sum + one.size, 0),
    dateOffsetMs: world.dateOffsetMs,
    faults: world.faults.length,
  };
}

/** The first ones of each component: there may be a hundred thousand. */
function describeAuthorizations(world: World): unknown[] {
  return [...world.authorizations.keys()].flatMap((appid) =>
    Array.from(
      listAuthorizations(world, appid, 0, LISTED),
      ([authorizer, { rotating, kind, refreshToken }]) => ({
        appid,
        authorizer,
        rotating,
        kind,
        exchanged: refreshToken !== '',
      }),
    ),
  );
}

import { failure } from './errcodes.ts';
import type { ApiName } from './faults.ts';
import type { MintKind } from './ledger.ts';
import { setPushing } from './pusher.ts';
import { judge, lifeMs, mint, randomValue, type Component, type World } from './world.ts';

/**
 * What the API calls do. The order of the checks is WeChat's: the token in the query before the
 * body, the appid before the secret, the secret before the ticket.
 */

export interface ApiRequest {
  method: string;
  query: URLSearchParams;
  /** The body as it came. */
  text: string;
  /** The body if it is a JSON object. */
  body: Readonly<Record<string, unknown>> | undefined;
}

/** The JSON that is sent; an `errcode` other than 0 makes it a refusal. */
export type Answer = Readonly<Record<string, unknown>>;

/** A call either answers or names the errcode it fails with. */
type Outcome = Answer | number;

const APIS: Record<ApiName, (world: World, request: ApiRequest) => Outcome> = {
  api_component_token: componentToken,
  api_create_preauthcode: createPreAuthCode,
  api_start_push_ticket: startPushTicket,
};

export function callApi(world: World, api: ApiName, request: ApiRequest): Answer {
  const outcome = request.method === 'POST' ? APIS[api](world, request) : 43002;
  return typeof outcome === 'number' ? failure(outcome, world.clock.now()) : outcome;
}

/** A success that never happened: for faults that pretend work without doing any. */
export function imitateAnswer(world: World, api: ApiName): Answer {
  switch (api) {
    case 'api_component_token':
      return tokenAnswer(world, 'component_access_token', randomValue('component_access_token'));
    case 'api_create_preauthcode':
      return tokenAnswer(world, 'pre_auth_code', randomValue('pre_auth_code'));
    case 'api_start_push_ticket':
      return { errcode: 0, errmsg: 'ok' };
  }
}

/** Delay until the first push after a successful api_start_push_ticket. */
const START_PUSH_MS = 1000;

function componentToken(world: World, request: ApiRequest): Outcome {
  const component = authenticate(world, request, 'component_appsecret');
  if (typeof component === 'number') return component;
  const ticket = request.body?.['component_verify_ticket'];
  if (typeof ticket !== 'string') return 61006;
  // A component's ticket is worth nothing to another one, so only its own are looked at.
  const verdict = judge(component.issued.component_verify_ticket.get(ticket), world.clock.now());
  if (verdict !== 'live') return verdict === 'expired' ? 61005 : 61006;
  const { value } = mint(world, component, 'component_access_token', ticket);
  return tokenAnswer(world, 'component_access_token', value);
}

function createPreAuthCode(world: World, request: ApiRequest): Outcome {
  // Both names are documented for this call: older pages use the first, newer ones the second.
  const token =
    request.query.get('component_access_token') ?? request.query.get('access_token') ?? '';
  if (token === '') return 41001;
  const owner = [...world.components.values()].find((component) =>
    component.issued.component_access_token.has(token),
  );
  const verdict = judge(owner?.issued.component_access_token.get(token), world.clock.now());
  if (owner === undefined || verdict !== 'live') return verdict === 'expired' ? 42001 : 40001;
  const component = findComponent(world, request);
  if (typeof component === 'number') return component;
  if (component !== owner) return 40013;
  return tokenAnswer(world, 'pre_auth_code', mint(world, component, 'pre_auth_code').value);
}

function startPushTicket(world: World, request: ApiRequest): Outcome {
  // Not component_appsecret: the pages name the field differently for this call.
  const component = authenticate(world, request, 'component_secret');
  if (typeof component === 'number') return component;
  if (component.pushing) {
    return failure(0, world.clock.now(), 'component ticket push is already in normal state');
  }
  setPushing(world, component, true, START_PUSH_MS);
  return { errcode: 0, errmsg: 'ok' };
}

function tokenAnswer(world: World, kind: MintKind, value: string): Answer {
  return { [kind]: value, expires_in: Math.floor(lifeMs(world, kind) / 1000) };
}

function authenticate(
  world: World,
  request: ApiRequest,
  secretField: 'component_appsecret' | 'component_secret',
): Component | number {
  const component = findComponent(world, request);
  if (typeof component === 'number') return component;
  const secret = request.body?.[secretField] ?? '';
  if (secret === '') return 41004;
  return secret === component.secret ? component : 40125;
}

function findComponent(world: World, request: ApiRequest): Component | number {
  if (request.text === '') return 44002;
  if (request.body === undefined) return 47001;
  const appid = request.body['component_appid'] ?? '';
  if (appid === '') return 41018;
  const component = typeof appid === 'string' ? world.components.get(appid) : undefined;
  return component ?? 40013;
}

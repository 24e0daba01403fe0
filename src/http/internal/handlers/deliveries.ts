import express, { type Request, type RequestHandler } from 'express';
import { routesOf } from '../../../deliveries/matching.ts';
import { readTold } from '../../../deliveries/told.ts';
import { KeeperError } from '../../../lib/errors.ts';
import { iso } from '../../../lib/time-format.ts';
import { describeDeliveries, type ShownRoute } from '../../../status/deliveries.ts';
import { isHeld, readKeptPush } from '../../../store/deliveries/kept-push.ts';
import { moveDeliveries, readDead, waitingIn } from '../../../store/deliveries/queue.ts';
import { resumeTarget } from '../../../store/deliveries/target-state.ts';
import type { Store } from '../../../store/redis/store.ts';
import { findEvent } from '../../../store/tickets/event-stream.ts';
import { faultsIn, knownComponent } from '../../explain.ts';
import type { HandlersOf } from '../route.ts';
import { chosenSchema, type DELIVERY_ROUTES } from '../routes/deliveries.ts';

/** What became of a push, and what a person does about deliveries that were given up. */

export interface DeliveriesOptions {
  store: Store;
  components: readonly string[];
  routes: readonly ShownRoute[];
  /** Something of this component waits. */
  kick: (component: string) => void;
}

const MOST_SHOWN = 100;
const MAX_BODY = '64kb';

export function deliveryHandlers(options: DeliveriesOptions): HandlersOf<typeof DELIVERY_ROUTES> {
  const json = express.json({ limit: MAX_BODY, inflate: false, type: () => true });
  return {
    readPush: showPush(options),
    readDeliveries: showRoute(options),
    resumeDeliveries: resume(options),
    replayDeliveries: [json, move(options, 'replay')],
    discardDeliveries: [json, move(options, 'discard')],
  };
}

function showPush({ store, components }: DeliveriesOptions): RequestHandler {
  return async (request, response) => {
    const component = knownComponent(components, request);
    const id = String(request.params.push);
    const kept = await readKeptPush(store, component, id);
    if (kept === undefined) {
      response.json(await showUndelivered(store, component, id));
      return;
    }
    const { fields, attempts } = kept;
    response.json({
      id,
      component_appid: component,
      authorizer_appid: fields.authorizer ?? '',
      received_at: iso(Number(fields.at)),
      url: fields.type,
      info_type: fields.info_type ?? '',
      msg_type: fields.msg_type ?? '',
      event: fields.event ?? '',
      held: fields.awaits !== undefined && (await isHeld(store, component, id)),
      routes: (fields.targets ?? '').split(','),
      deliveries_open: Math.max(0, Number(fields.open ?? 0)),
      attempts: attempts.flatMap(({ target, attempt, told }) => {
        const read = readTold(told);
        if (read === undefined) return [];
        const { at, ms, status, replica } = read;
        return [
          { route: target, attempt, at: iso(at), took_ms: ms, status: String(status), replica },
        ];
      }),
    });
  };
}

/** @throws KeeperError `not_found` */
async function showUndelivered(store: Store, component: string, id: string) {
  const event = await findEvent(store, component, id);
  if (event === undefined) throw new KeeperError('not_found', 'No such push is known any more.');
  const { fields } = event;
  return {
    id,
    component_appid: component,
    authorizer_appid: fields.authorizer_appid ?? '',
    received_at: fields.received_at ?? iso(event.at),
    url: null,
    info_type: fields.info_type ?? '',
    msg_type: fields.msg_type ?? '',
    event: fields.event ?? '',
    held: false,
    routes: [],
    deliveries_open: 0,
    attempts: [],
  };
}

function showRoute(options: DeliveriesOptions): RequestHandler {
  return async (request, response) => {
    const { store } = options;
    const { component, route } = named(options, request);
    const { deliveries } = await describeDeliveries(store, [route], component, store.time.now());
    const dead = await readDead(store, component, route.name, MOST_SHOWN);
    response.json({
      ...deliveries[0],
      dead: dead.map(({ id, at }) => ({ id, given_up_at: iso(at) })),
    });
  };
}

function resume(options: DeliveriesOptions): RequestHandler {
  return async (request, response) => {
    const { component, route } = named(options, request);
    await resumeRoute(options, component, route.name);
    response.json({ resumed: true });
  };
}

/** @throws KeeperError `store_unavailable` */
export async function resumeRoute(
  { store, kick }: DeliveriesOptions,
  component: string,
  route: string,
): Promise<void> {
  await resumeTarget(store, component, route);
  kick(component);
}

function move(options: DeliveriesOptions, what: 'replay' | 'discard'): RequestHandler {
  return async (request, response) => {
    const { component, route } = named(options, request);
    const chosen = chosenSchema.safeParse(request.body ?? {});
    if (!chosen.success) {
      throw new KeeperError('bad_request', `${faultsIn(chosen.error).join('; ')}.`);
    }
    const { ids, since } = chosen.data;
    const { store, kick } = options;
    const from = since === undefined ? 0 : Date.parse(since);
    const moved =
      ids === undefined
        ? await moveAll(store, component, route.name, what, from)
        : await moveDeliveries(store, component, route.name, what, 'dead', ids);
    kick(component);
    response.json({ moved });
  };
}

/** All dead letters of a route. @throws KeeperError `store_unavailable` */
export async function moveDeadLetters(
  { store, kick }: DeliveriesOptions,
  component: string,
  route: string,
  what: 'replay' | 'discard',
): Promise<void> {
  await moveAll(store, component, route, what, 0);
  kick(component);
}

/** Some at a time: Redis is never held up. Those that are given up meanwhile stay. */
async function moveAll(
  store: Store,
  component: string,
  route: string,
  what: 'replay' | 'discard',
  from: number,
): Promise<number> {
  const until = store.time.now();
  let moved = 0;
  for (;;) {
    const ids = await waitingIn(store, component, route, 'dead', { from, until });
    if (ids.length === 0) return moved;
    moved += await moveDeliveries(store, component, route, what, 'dead', ids);
  }
}

/** @throws KeeperError `unknown_component`, `not_found` */
function named({ components, routes }: DeliveriesOptions, request: Request) {
  const component = knownComponent(components, request);
  const name = String(request.params.route);
  const route = routesOf(routes, component).find((one) => one.name === name);
  if (route === undefined)
    throw new KeeperError('not_found', 'No such delivery route is configured.');
  return { component, route };
}

import type { Route } from '../config/routes.ts';
import type { PushTraits } from './push-to-deliver.ts';

/** Whoever has a ticket can act as the platform, so it goes only to who asks for it by name. */
const TICKET = 'component_verify_ticket';

/** The routes that take a push, in their order. */
export function routesFor(routes: readonly Route[], push: PushTraits): Route[] {
  return routes.filter((route) => takes(route, push));
}

function takes({ match }: Route, push: PushTraits): boolean {
  const { component, authorizer, infoType, msgType, event } = match;
  if (push.infoType === TICKET && (infoType === 'any' || infoType === undefined)) return false;
  return (
    fits(component, push.component) &&
    fits(authorizer, push.authorizer) &&
    fits(infoType, push.infoType) &&
    fits(msgType, push.msgType) &&
    fits(event, push.event)
  );
}

function fits(wanted: readonly string[] | 'any' | undefined, found: string | undefined): boolean {
  if (wanted === undefined) return true;
  if (found === undefined || found === '') return false;
  return wanted === 'any' || wanted.includes(found);
}

/** The routes of one component. */
export function routesOf<R extends Pick<Route, 'match'>>(
  routes: readonly R[],
  component: string,
): R[] {
  return routes.filter(({ match }) => match.component?.includes(component) ?? true);
}

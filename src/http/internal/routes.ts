import type { Route } from './route.ts';
import { AUTHORIZATION_LINK_ROUTES } from './routes/authorization-links.ts';
import { AUTHORIZER_ROUTES } from './routes/authorizers.ts';
import { DELIVERY_ROUTES } from './routes/deliveries.ts';
import { CREDENTIAL_ROUTES } from './routes/credentials.ts';
import { OPERATIONS_ROUTES } from './routes/operations.ts';
import { SERVICE_ROUTES } from './routes/service.ts';

/** The whole table of the internal listener, but for the dashboard, which has sessions of its own. */
export const ROUTES = [
  ...SERVICE_ROUTES,
  ...CREDENTIAL_ROUTES,
  ...AUTHORIZATION_LINK_ROUTES,
  ...AUTHORIZER_ROUTES,
  ...DELIVERY_ROUTES,
  ...OPERATIONS_ROUTES,
] as const satisfies readonly Route[];
